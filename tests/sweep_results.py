"""What a sweep left: the rows in MLflow, the weights, the table. Two sweeps of the same cells must leave the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from mlflow import MlflowClient
from mlflow.entities import Run

# What a clock says differs from run to run.
TIMINGS = ("train/images_per_s", "train/epoch_s", "audit/ms_per_step")
BEST = "best.pt"
# What a finished cell keeps.
KEPT = [BEST, "predictions.npz"]

# Cell, metric and step.
Place = tuple[str, str, int]


@dataclass(frozen=True)
class Results:
    """What the cells of a sweep left.

    Attributes:
        runs: The status of each cell's active runs, by key.
        rows: The values of each place in MLflow.
        weights: Of the best epoch, by key.
    """

    runs: Mapping[str, Sequence[str]]
    rows: Mapping[Place, Sequence[float]]
    weights: Mapping[str, Mapping[str, torch.Tensor]]

    def of(self, keys: Sequence[str]) -> Results:
        """Return those of some cells."""
        return Results(
            runs={key: self.runs[key] for key in keys},
            rows={place: values for place, values in self.rows.items() if place[0] in keys},
            weights={key: self.weights[key] for key in keys},
        )

    def lost(self, expected: Results) -> list[Place]:
        """Return the places that `expected` has and these have not."""
        return sorted((expected._counts() - self._counts()).elements())

    def twice(self, expected: Results) -> list[Place]:
        """Return the places that these have more often than `expected`."""
        return sorted((self._counts() - expected._counts()).elements())

    def _counts(self) -> Counter[Place]:
        return Counter({place: len(values) for place, values in self.rows.items()})


def read_results(uri: str, experiment: str, keys: Sequence[str], *, cells_dir: Path) -> Results:
    """Return what the cells `keys` left in the store at `uri` and below `cells_dir`."""
    client = MlflowClient(uri)
    runs: dict[str, list[str]] = {key: [] for key in keys}
    rows: dict[Place, list[float]] = {}
    for run in cell_runs(client, experiment):
        key = run.data.tags["zetasweep.cell"]
        if key not in runs:
            continue
        runs[key].append(run.info.status)
        for metric in run.data.metrics:
            for row in client.get_metric_history(run.info.run_id, metric):
                rows.setdefault((key, metric, row.step), []).append(row.value)
    weights = {
        key: torch.load(cells_dir / key / BEST, weights_only=True)["model"]
        for key in keys
        if (cells_dir / key / BEST).exists()
    }
    return Results(runs, rows, weights)


def cell_runs(client: MlflowClient, experiment: str) -> list[Run]:
    """Return the active runs of the experiment's cells."""
    return _runs(client, experiment, kind="cell")


def sweep_runs(client: MlflowClient, experiment: str) -> list[Run]:
    """Return the active parent runs of the experiment."""
    return _runs(client, experiment, kind="sweep")


def assert_each_row_once(results: Results, *, epochs: int) -> None:
    """Check that every cell has every epoch, once."""
    for key in results.runs:
        names = {metric for cell, metric, step in results.rows if cell == key and step > 0}
        assert {"train/loss", "val/error", "epoch"} <= names
        steps = {
            metric: [step for cell, name, step in results.rows if (cell, name) == (key, metric)] for metric in names
        }
        assert all(sorted(found) == list(range(1, epochs + 1)) for found in steps.values()), (key, steps)
    assert {len(values) for values in results.rows.values()} == {1}


def assert_same(found: Results, expected: Results) -> None:
    """Check that each cell has one finished run, with the rows and weights of `expected`."""
    assert found.runs == {key: ["FINISHED"] for key in expected.runs}
    assert found.lost(expected) == []
    assert found.twice(expected) == []
    for place, values in expected.rows.items():
        if place[1] not in TIMINGS:
            assert found.rows[place] == values, place
    assert found.weights.keys() == expected.weights.keys()
    for key, tensors in expected.weights.items():
        assert found.weights[key].keys() == tensors.keys()
        for name, tensor in tensors.items():
            assert torch.equal(found.weights[key][name], tensor), (key, name)


def _runs(client: MlflowClient, experiment: str, *, kind: str) -> list[Run]:
    known = client.get_experiment_by_name(experiment)
    if known is None:
        return []
    return list(client.search_runs([known.experiment_id], f"tags.`zetasweep.kind` = '{kind}'", max_results=1000))
