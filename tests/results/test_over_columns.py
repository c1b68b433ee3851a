"""Several columns: each says one thing, the table can say one together, and data sets can agree."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sweep_samples import DIGITS, ERM, MIXUP, ZETA, make_cells, make_run

from orchestrator.experiment import Cell, Comparing
from orchestrator.experiment.dataset_spec import DatasetSpec
from orchestrator.results import compare, remarks
from orchestrator.results.claims import Claim

CIFAR = DatasetSpec.model_validate({"name": "cifar10"})
FEWER = DatasetSpec.model_validate({"name": "digits", "num_train": 100})
SVHN = DatasetSpec.model_validate({"name": "svhn"})


def error(cell: Cell, *, but: DatasetSpec | None = None) -> float:
    better = {ERM: 0.0, MIXUP: 0.05, ZETA: -0.05}[cell.augment] * (cell.dataset != but)
    return 0.2 - better + 0.001 * ((len(cell.augment.name) + cell.seed) % 3 - 1)


@pytest.mark.parametrize(
    ("datasets", "models", "but", "claims"),
    [
        ((DIGITS, CIFAR), ("convnet",), None, [2, 2]),
        ((DIGITS, CIFAR, SVHN), ("convnet",), None, [3, 3]),
        ((DIGITS, CIFAR, SVHN), ("convnet",), SVHN, [2, 2]),
        ((DIGITS, CIFAR), ("convnet",), CIFAR, []),
        ((DIGITS,), ("convnet", "resnet18"), None, []),
        ((DIGITS, FEWER), ("convnet",), None, []),
        ((DIGITS, CIFAR), ("convnet", "resnet18"), None, [2, 2]),
    ],
)
def test_data_sets_count_and_models_do_not(
    datasets: tuple[DatasetSpec, ...], models: tuple[str, ...], but: DatasetSpec | None, claims: list[int]
) -> None:
    cells = make_cells(ERM, MIXUP, ZETA, datasets=datasets, models=models, seeds=range(4))
    comparison = compare(cells, {cell.key: make_run(cell, {"test/error": error(cell, but=but)}) for cell in cells})
    assert [claim.num_shown for claim in comparison.claims] == claims
    if claims:
        first, second = comparison.claims
        assert first == Claim(MIXUP.label, "better", claims[0], len(datasets))
        assert (second.row, second.verdict) == (ZETA.label, "worse")
        said = f"better than erm on at least {claims[0]} of {len(datasets)} data sets: {MIXUP.label}"
        assert any(line.startswith(said) for line in remarks(comparison))


def test_a_family_of_the_whole_table_shares_one_error_rate() -> None:
    cells = make_cells(ERM, MIXUP, datasets=(DIGITS, CIFAR), models=("convnet", "resnet18"))
    runs = {cell.key: make_run(cell, {"test/error": error(cell)}) for cell in cells}
    each, together = compare(cells, runs), compare(cells, runs, comparing=Comparing(family="table"))
    assert {analysis.alpha for analysis in each.analyses.values()} == {0.05}
    assert {analysis.alpha for analysis in together.analyses.values()} == {0.0125}
    # Each column is held to more, so that the table as a whole has what is said.
    assert "hold together for all rows of the table with 95 % confidence" in " ".join(remarks(together))


def test_copies_of_one_data_set_are_one() -> None:
    """The same images at two sizes, in two files: the names and labels of their splits are the same."""
    copies = [DatasetSpec.model_validate({"name": "medmnist_npz", "file": f"blood{side}.npz"}) for side in ("", "_64")]
    cells = make_cells(ERM, MIXUP, ZETA, datasets=(*copies, DIGITS), seeds=range(4))
    runs = {cell.key: make_run(cell, {"test/error": error(cell)}) for cell in cells}
    assert [claim.num_datasets for claim in compare(cells, runs).claims] == [3, 3]
    hashed = {cell.key: cell.dataset.name for cell in cells}
    runs = {key: replace(run, split_hash=hashed[key]) for key, run in runs.items()}
    assert [(claim.num_shown, claim.num_datasets) for claim in compare(cells, runs).claims] == [(2, 2), (2, 2)]
