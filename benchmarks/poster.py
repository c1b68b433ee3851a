"""What the ζ-mixup poster says of mixed images, measured on real CIFAR-10 images with the poster's settings.

Run, about ten minutes of one core::

    python benchmarks/poster.py --images DIR [--networks FOLDER] [--json PATH]

``--images`` names a folder with ``{train,test}/CLASS/*.png``. Images of the test split are mixed in batches of 128,
without crops and flips. Measured, as in the figures of ``zetasweep report``, and by the same functions:

* the intrinsic dimension of 4,000 images, around 1,000 of them, before and after mixing, in four draws of both;
* ghosting, the second weight, the effective number of samples and the entropy of a label, in four times 100 batches;
* what networks of ``experiments/cifar10-small.yaml``, trained without mixing, make of 1,000 mixed images, in four
  draws: Fréchet distance to other real images, confidence, and how far off labels are. They are trained first, and
  kept in ``--networks``, where another call finds them; without it this part is left out.

± is the standard deviation over the draws; of the dimension, that of the difference to the same draw's images.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from figures import origin, say, write_json
from torch import Tensor

from augment import AUGMENTATIONS, Augmentation
from orchestrator.data import Dataset, load_dataset
from orchestrator.experiment import Cell, expand, load_experiment
from orchestrator.records import CellResult
from orchestrator.report.intrinsic_dimension import NUM_DRAWS, NUM_IMAGES, changes
from orchestrator.report.measures.dimension import NUM_NEIGHBOURS
from orchestrator.report.mixed import blending
from orchestrator.report.seen import seen_by
from orchestrator.storage import Storage
from orchestrator.train import TrainedNetwork, train_cell

BATCH_SIZE = 128
NUM_CENTRES, NUM_SEEN = 1000, 2 * 1000
EXPERIMENT = Path(__file__).parents[1] / "experiments" / "cifar10-small.yaml"
SETTINGS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("erm", {}),
    ("mixup", {"alpha": 1.0}),
    ("cutmix", {"alpha": 1.0}),
    ("zeta_mixup", {"gamma": 2.0, "num_mixed": 4}),
    ("zeta_mixup", {"gamma": 2.4, "num_mixed": 128}),
    ("zeta_mixup", {"gamma": 2.8, "num_mixed": 4}),
    ("zeta_mixup", {"gamma": 2.8, "num_mixed": 128}),
    ("zeta_mixup", {"gamma": 4.0, "num_mixed": 128}),
    ("cutmix_zeta_mixup", {"gamma": 2.8, "num_mixed": 128}),
    ("dirichlet", {"num_mixed": 128, "alpha": 1.0}),
)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="{train,test}/CLASS/*.png")
    parser.add_argument("--networks", type=Path, metavar="FOLDER", help="where networks are trained, or found")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures there, too")
    arguments = parser.parse_args()
    source = origin()
    overrides = [
        f"data_dir={arguments.images.absolute().parent}",
        f"dataset={{image_folder: {{folder: {arguments.images.name}, num_train: 10000}}}}",
        "augment=erm",
        "resources.workers=1",
    ]
    experiment = load_experiment(EXPERIMENT, overrides)
    cells = expand(experiment)
    spec = cells[0].dataset
    say("decoding")
    dataset = load_dataset(
        spec.name, experiment.data_in, **spec.decode_options(), **spec.split_options(), cache=experiment.cache.open()
    )
    mixing = {label_of(name, params): AUGMENTATIONS[name](**params) for name, params in SETTINGS}
    figures: dict[str, Any] = {}
    for part, measure in parts(dataset, cells, mixing, arguments.networks).items():
        figures[part] = measure()
        show(part, figures[part])
        if arguments.json is not None:
            write_json(arguments.json, source=source, settings=settings(len(cells)), **figures)


def parts(
    dataset: Dataset, cells: Sequence[Cell], mixing: Mapping[str, Augmentation], networks: Path | None
) -> dict[str, Callable[[], Any]]:
    """Return what is measured, by name, and how."""
    found: dict[str, Callable[[], Any]] = {
        "blending": lambda: blends(dataset, mixing),
        "intrinsic_dimension": lambda: dimensions(dataset, mixing),
    }
    if networks is not None:
        storage = Storage(networks.absolute())
        found["seen_by_erm"] = lambda: seen(dataset, mixing, [trained(cell, dataset, storage) for cell in cells])
    return found


def label_of(name: str, params: Mapping[str, float]) -> str:
    """Return what tables call it."""
    return f"{name}({', '.join(f'{key}={value}' for key, value in params.items())})" if params else name


def settings(num_networks: int) -> dict[str, int]:
    """Return what the figures depend on."""
    return {
        "draws": NUM_DRAWS,
        "batch_size": BATCH_SIZE,
        "images": NUM_IMAGES,
        "neighbours": NUM_NEIGHBOURS,
        "centres": NUM_CENTRES,
        "images_seen": NUM_SEEN // 2,
        "networks": num_networks,
    }


def images_of(dataset: Dataset, num: int, draw: int) -> tuple[Tensor, Tensor]:
    """Return test images, float32 [num, C, S, S] in [0, 1], and their labels."""
    chosen = torch.randperm(len(dataset.test), generator=torch.Generator().manual_seed(draw))[:num]
    return dataset.images[dataset.test.rows[chosen]].float() / 255, dataset.test.labels[chosen]


def progress(what: str) -> Callable[[int, int], None]:
    """Return what says how far it is."""
    return lambda done, total: say(f"{what}: {done} of {total}")


def blends(dataset: Dataset, mixing: Mapping[str, Augmentation]) -> dict[str, Any]:
    """How images and labels are blended, by augmentation."""
    found = {}
    for name, augmentation in mixing.items():
        say(f"blending: {name}")
        measure = partial(
            blending,
            augmentation,
            dataset.test.labels,
            num_classes=dataset.num_classes,
            batch_size=BATCH_SIZE,
            image_size=dataset.stored_size,
        )
        found[name] = spread([asdict(measure(seed=draw)) for draw in range(NUM_DRAWS)])
    return found


def dimensions(dataset: Dataset, mixing: Mapping[str, Augmentation]) -> dict[str, Any]:
    """The intrinsic dimension of the images, and what mixing adds to it, by estimator."""
    found = changes(
        partial(images_of, dataset, NUM_IMAGES),
        {name: augmentation for name, augmentation in mixing.items() if name != "erm"},
        batch_size=BATCH_SIZE,
        num_centres=NUM_CENTRES,
        on_progress=progress("intrinsic dimension"),
    )
    return {
        estimator: {name: {"mean": values.mean(), "std": values.std(ddof=1)} for name, values in of.items()}
        for estimator, of in found.items()
    }


def trained(cell: Cell, dataset: Dataset, storage: Storage) -> TrainedNetwork:
    """Return the network of a cell, which is trained now if it was not yet."""
    folder = storage.cell(cell.key)
    folder.path.mkdir(parents=True, exist_ok=True)
    result = train_cell(
        cell,
        dataset,
        checkpoint_dir=folder.path,
        device=torch.device("cpu"),
        report=lambda epoch: say(f"{cell.label}: epoch {epoch.epoch}, error {epoch.metrics['val/error']:.3f}"),
    )
    assert isinstance(result, CellResult), "it is trained to its end"
    say(f"{cell.label}: test error {result.metrics['test/error']:.3f}")
    return TrainedNetwork(cell, dataset, folder)


def seen(
    dataset: Dataset, mixing: Mapping[str, Augmentation], networks: Sequence[TrainedNetwork]
) -> dict[str, dict[str, Any]]:
    """What networks trained without mixing make of mixed images, by augmentation."""
    draws: dict[str, list[dict[str, float]]] = {name: [] for name in mixing}
    for draw in range(NUM_DRAWS):
        images, labels = images_of(dataset, NUM_SEEN, draw)
        found = seen_by(
            networks,
            mixing,
            images,
            labels,
            num_classes=dataset.num_classes,
            batch_size=BATCH_SIZE,
            seed=draw,
            on_progress=progress(f"seen by erm, draw {draw + 1} of {NUM_DRAWS}"),
        )
        for name, each in found.items():
            draws[name].append(asdict(each))
    return {name: spread(of) for name, of in draws.items()}


def spread(draws: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Return mean and standard deviation of each measure."""
    of = {measure: np.array([draw[measure] for draw in draws]) for measure in draws[0]}
    return {measure: {"mean": float(values.mean()), "std": float(values.std(ddof=1))} for measure, values in of.items()}


def show(part: str, figures: Mapping[str, Any]) -> None:
    """Print a line for each augmentation."""
    print(part)
    for name, of in figures.items():
        each = of if part != "intrinsic_dimension" else {row.ljust(42): value for row, value in of.items()}
        separator = ", " if part != "intrinsic_dimension" else "\n    "
        values = separator.join(f"{key} {value['mean']:.3f} ± {value['std']:.3f}" for key, value in each.items())
        print(f"  {name:42}", values, sep=separator if part == "intrinsic_dimension" else " ", flush=True)


if __name__ == "__main__":
    main()
