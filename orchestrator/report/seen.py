"""What networks that were trained without mixing make of mixed images: how real these are, and their labels right."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from augment import Augmentation
from orchestrator.errors import UserError
from orchestrator.report.figure import Material
from orchestrator.report.measures.blending import cross_entropy, entropy
from orchestrator.report.measures.realism import frechet_distance
from orchestrator.report.mixed import Mixed, mixed
from orchestrator.report.sources import Scene, mixing_of, prepared
from orchestrator.results import Names
from orchestrator.storage import BEST
from orchestrator.train import TrainedNetwork
from orchestrator.waiting import counting

SEED = 0
# Of the test split, a half of them mixed and a half of them not: as many as networks see in a minute or two.
NUM_IMAGES, NUM_LARGE_IMAGES, LARGE = 1000, 256, 64
NUM_NETWORKS = 2


@dataclass(frozen=True)
class Seen:
    """What networks that were trained without mixing, and did not see these images, make of them once they are mixed.

    Attributes:
        frechet: The squared Fréchet distance of their features to those of other real images.
        confidence: The mean probability of the predicted class.
        label_loss: The mean cross-entropy of the soft label and the prediction, in nats.
        label_error: The same less the entropy of the soft label: how far off the label is.
    """

    frechet: float
    confidence: float
    label_loss: float
    label_error: float


def networks_of(material: Material, scene: Scene) -> tuple[list[TrainedNetwork], str]:
    """Return networks of finished cells of erm, of one model, one training and one fold; in words what is missing."""
    storage = material.experiment.kept_in
    finished = [
        cell
        for cell in scene.cells
        if cell.augment.label == "erm"
        and (run := material.runs.get(cell.key)) is not None
        and run.has_result
        # Of other splits, a network may have been trained on what are test images now.
        and run.split_hash in (None, scene.dataset.split_hash)
        and run.pixel_hash in (None, scene.dataset.pixel_hash)
    ]
    with storage.glance():
        there = [cell for cell in finished if storage.cell(cell.key).has(BEST)]
    alike = [
        cell for cell in there if (cell.model, cell.dataset, cell.train) == (there[0].model, scene.spec, there[0].train)
    ]
    if not alike:
        missing = "is finished on these images" if not finished else f"has its best weights in {storage.shown()}"
        return [], f" Realism and whether labels are right are not known: no cell of erm {missing}."
    found, problem = [], ""
    for cell in alike[:NUM_NETWORKS]:
        try:
            found.append(TrainedNetwork(cell, scene.dataset, storage.cell(cell.key)))
        except (UserError, OSError) as error:
            told = error.in_one_line if isinstance(error, UserError) else error
            problem = f" A network of erm is left out: {told}."
    return found, problem


def seen_in(scene: Scene, networks: Sequence[TrainedNetwork]) -> dict[str, Seen]:
    """Return what networks make of test images of a data set, by augmentation; see `seen_by`."""
    side = scene.spec.image_size or scene.dataset.stored_size
    num = NUM_IMAGES if side <= LARGE else NUM_LARGE_IMAGES
    images, labels = prepared(scene, scene.dataset.test, num, seed=SEED)
    batch_size = min(scene.batch_size, len(images) // 2)
    rows, _ = mixing_of(scene, batch_size, Names())
    with counting(f"what erm makes of mixed images of {scene.spec.label}") as show:
        return seen_by(
            networks,
            rows,
            images,
            labels,
            num_classes=scene.dataset.num_classes,
            batch_size=batch_size,
            seed=SEED,
            on_progress=show,
        )


def seen_by(
    networks: Sequence[TrainedNetwork],
    rows: Mapping[str, Augmentation],
    images: Tensor,
    labels: Tensor,
    *,
    num_classes: int,
    batch_size: int,
    seed: int,
    on_progress: Callable[[int, int], None],
) -> dict[str, Seen]:
    """Return what networks make of images that each augmentation mixed, the mean of the networks.

    Args:
        networks: Which have not seen the images.
        rows: The augmentations by name.
        images: float32 ``[n, C, S, S]`` in [0, 1]: the first half is mixed, the other is what that is compared with, so
            that augmentations that leave images as they are say how far real ones are from each other.
        labels: int64 ``[n]``
        num_classes: K.
        batch_size: At most n / 2.
        seed: Of the mixing.
        on_progress: Is told how many augmentations are done, and of how many.
    """
    half = len(images) // 2
    real = [network.outputs(images[half:]).features.numpy() for network in networks]
    found: dict[str, Seen] = {}
    for done, (row, augmentation) in enumerate(rows.items(), start=1):
        made = mixed(
            augmentation, images[:half], labels[:half], num_classes=num_classes, batch_size=batch_size, seed=seed
        )
        each = [_by(network, made, features) for network, features in zip(networks, real, strict=True)]
        found[row] = Seen(*(sum(values) / len(each) for values in zip(*each, strict=True)))
        on_progress(done, len(rows))
    return found


def _by(network: TrainedNetwork, made: Mixed, real: NDArray[np.float32]) -> tuple[float, float, float, float]:
    outputs = network.outputs(made.images)
    loss = float(cross_entropy(made.targets, outputs.logits).mean())
    return (
        frechet_distance(outputs.features.numpy(), real),
        float(outputs.logits.softmax(dim=1).amax(dim=1).mean()),
        loss,
        loss - float(entropy(made.targets).mean()),
    )
