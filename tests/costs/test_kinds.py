"""Which cells take equally long."""

from __future__ import annotations

import pytest
from sweep_samples import ERM, MIXUP, ZETA, ZETA_BATCH, make_cells, trained_with

from orchestrator.costs import kind_of, kind_of_params, labels_of


@pytest.mark.parametrize(
    ("settings", "is_same"),
    [
        ({"lr": 0.3}, True),
        ({"epochs": 90}, True),
        ({"weight_decay": 0.0}, True),
        ({"label_smoothing": 0.1}, True),
        ({"batch_size_per_worker": 32}, False),
        ({"precision": "bf16"}, False),
        ({"optimizer": "adamw"}, False),
        ({"ema_decay": 0.9}, False),
        ({"accumulate": 2}, False),
        ({"clip_grad_norm": 1.0}, False),
    ],
)
def test_what_changes_no_step_makes_no_kind(settings: dict[str, object], is_same: bool) -> None:
    (cell,) = make_cells(ERM, seeds=(0,))
    (other,) = trained_with([cell], **settings)
    assert (kind_of(cell) == kind_of(other)) is is_same


def test_seeds_and_gamma_are_of_one_kind_and_the_number_of_samples_is_not() -> None:
    zeta, other_seed = make_cells(ZETA, seeds=(0, 7))
    other_gamma = make_cells(ZETA.model_copy(update={"params": {"gamma": 4.0, "num_mixed": 4}}), seeds=(0,))[0]
    (batch,) = make_cells(ZETA_BATCH, seeds=(0,))
    assert kind_of(zeta) == kind_of(other_seed) == kind_of(other_gamma)
    assert kind_of(zeta) != kind_of(batch)


def test_the_augmentation_is_apart() -> None:
    kinds = [kind_of(cell) for cell in make_cells(ERM, MIXUP, ZETA, seeds=(0,))]
    assert len({kind.training_id for kind in kinds}) == 1
    assert len({kind.augment_id for kind in kinds}) == 3
    (two,) = trained_with(make_cells(ERM, seeds=(0,)), workers=2)
    assert kind_of(two).label == "digits convnet, batch 64 x 2"


def test_trainings_of_one_label_are_told_apart() -> None:
    (cell,) = make_cells(ERM, seeds=(0,))
    trainings = [cell, *trained_with([cell], optimizer="adamw"), *trained_with([cell], workers=2)]
    assert list(labels_of(map(kind_of, trainings)).values()) == [
        "digits convnet, batch 64, optimizer=sgd",
        "digits convnet, batch 64, optimizer=adamw",
        "digits convnet, batch 64 x 2",
    ]


def test_mlflow_tells_the_kind_of_a_run() -> None:
    (cell,) = make_cells(ZETA, seeds=(3,))
    assert kind_of_params(cell.params() | {"setting": cell.setting}) == kind_of(cell)
