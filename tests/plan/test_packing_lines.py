"""The plan says in a line what cells share, where they share anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from sweep_samples import DIGITS, ERM, make_cells

from orchestrator.experiment import DatasetSpec, Experiment, Resources
from orchestrator.plan import Layout, Node, make_plan, plan_lines
from orchestrator.plan.packing import packing_lines

OWN = [DatasetSpec.model_validate({"name": "image_folder", "folder": name}) for name in "ab"]
FOLDS = [
    DatasetSpec.model_validate({"name": "image_folder", "folder": "a", "folds": 5, "fold": fold}) for fold in (0, 1)
]
NODES = "2 nodes share 2 data sets: each goes on with what it has decoded, while it can"
GPU = "up to 4 workers share a GPU, each with images of its own on it"


def experiment_of(datasets: list[DatasetSpec], **resources: float) -> Experiment:
    return Experiment(
        name="sample",
        dataset=tuple(datasets),
        model=("convnet",),
        augment=(ERM,),
        file=Path("x.yaml"),
        resources=Resources.model_validate(resources),
    )


@pytest.mark.parametrize(
    ("datasets", "nodes", "share", "expected"),
    [
        (OWN, [Node(2, 0), Node(2, 0)], 0, NODES),
        (OWN, [Node(8, 1), Node(8, 1)], 0.25, f"{GPU}; {NODES}"),
        (OWN, [Node(8, 1)], 0.25, GPU),
        # More than half of one is alone on it.
        (OWN, [Node(8, 1)], 0.6, None),
        (OWN, [Node(2, 0)], 0, None),
        # A head that trains nothing is no node to share with.
        (OWN, [Node(0, 0), Node(2, 0)], 0, None),
        (OWN[:1], [Node(2, 0), Node(2, 0)], 0, None),
        # Nothing is decoded of digits, and of folds the same once.
        ([DIGITS, OWN[0]], [Node(2, 0), Node(2, 0)], 0, None),
        (FOLDS, [Node(2, 0), Node(2, 0)], 0, None),
    ],
)
def test_it_is_said_who_shares_what(
    datasets: list[DatasetSpec], nodes: list[Node], share: float, expected: str | None
) -> None:
    lines = packing_lines(Layout(slots=2, nodes=tuple(nodes)), experiment_of(datasets, gpus_per_worker=share))
    assert lines == ([f"packing:   {expected}"] if expected else [])


def test_it_stands_in_the_plan_below_the_slots() -> None:
    experiment = experiment_of([DIGITS], gpus_per_worker=0.25)
    plan = make_plan(experiment, make_cells(ERM), {}, Layout(slots=4, nodes=(Node(8, 1),)))
    lines = plan_lines(plan, experiment)
    (at,) = [at for at, line in enumerate(lines) if line.startswith("slots:")]
    assert lines[at + 1] == f"packing:   {GPU}"
