"""The contracts of models, augmentations and data sets, for those of your own: one line of a test each.

::

    from zetasweep.testing import check_augmentation, check_dataset, check_model

    def test_tinynet():
        check_model(build_tinynet, width=8)

Each tries every clause and names those that do not hold. `MODEL_CLAUSES` and the others are the clauses themselves,
for who would rather have a test of each: they are what zetasweep's own are tested by. No test runner is needed.

`fake_cuda` is what finds on a CPU where code would wait for a GPU, or mix its tensors with those of the CPU::

    def test_my_loop():
        with fake_cuda() as cuda:
            model = TinyNet().to(cuda.device)
            with cuda.no_waits():
                loss = step(model, images_on(cuda.device))

Augmentations and models are tried so by their contracts: on the GPU itself, where there is one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from augment import Augmentation
from orchestrator.data import DatasetInfo
from zetasweep._augmentation_contract import AUGMENTATION_CLAUSES
from zetasweep._clauses import check_clauses
from zetasweep._dataset_contract import DATASET_CLAUSES, DatasetCase, registered
from zetasweep._fake_cuda import fake_cuda
from zetasweep._fake_mode import FakeCuda, HostWaitsError
from zetasweep._model_contract import MODEL_CLAUSES, ModelCase

__all__ = [
    "AUGMENTATION_CLAUSES",
    "DATASET_CLAUSES",
    "MODEL_CLAUSES",
    "DatasetCase",
    "FakeCuda",
    "HostWaitsError",
    "ModelCase",
    "check_augmentation",
    "check_dataset",
    "check_model",
    "fake_cuda",
]


def check_model(
    build: Callable[..., nn.Module],
    *,
    image_sizes: Sequence[int] = (8, 63, 64),
    num_channels: Sequence[int] = (1, 3),
    without: Collection[str] = (),
    **options: Any,
) -> None:
    """Check what a sweep expects of a model.

    Args:
        build: What stands in ``MODELS``.
        image_sizes: In pixels; a size that it refuses by `augment.ParameterError` is passed over, but not all.
        num_channels: Of the images.
        without: Names of clauses that are not meant to hold.
        options: Of the model, by keyword.

    Raises:
        AssertionError: Names each clause that does not hold, and why.
    """
    case = ModelCase(build, tuple(image_sizes), tuple(num_channels), options)
    check_clauses(MODEL_CLAUSES, case, without=without)


def check_augmentation(augmentation: Augmentation, *, without: Collection[str] = ()) -> None:
    """Check what a training expects of an augmentation.

    Args:
        augmentation: One with settings, e.g. ``MyMix(alpha=0.4)``, that mixes a batch of 12.
        without: Names of clauses that are not meant to hold: ``targets_follow_the_images`` of one that darkens images,
            for example.

    Raises:
        AssertionError: Names each clause that does not hold, and why.
    """
    check_clauses(AUGMENTATION_CLAUSES, augmentation, without=without)


def check_dataset(
    name: str,
    info: DatasetInfo,
    data_dir: Path | str = ".",
    *,
    path: str | None = None,
    layout: Mapping[str, Any] | None = None,
    without: Collection[str] = (),
) -> None:
    """Check what a sweep expects of a data set.

    Args:
        name: What it is called in ``DATASETS``.
        info: What stands there.
        data_dir: A small one lies here, in a folder of its name: six images or more of each class for training, no two
            alike. Left out for one that is embedded.
        path: The folder or file below `data_dir`, of a set whose ``path_option`` asks for one.
        layout: Further options that its function takes.
        without: Names of clauses that are not meant to hold.

    Raises:
        AssertionError: Names each clause that does not hold, and why.
    """
    with tempfile.TemporaryDirectory() as scratch, registered(name, info):
        case = DatasetCase(name, Path(data_dir).absolute(), Path(scratch), path, layout or {})
        check_clauses(DATASET_CLAUSES, case, without=without)
