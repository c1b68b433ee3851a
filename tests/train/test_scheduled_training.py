"""Trainings whose augmentation changes from epoch to epoch, or changes each image before: watched, and interrupted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from rank_processes import run_ranks
from trainings import PollUntil, Trained, interrupt, make_cell, numbers, random_dataset, run, same_weights

from augment import BlendDraw, ZetaMixup, p_series_weights
from orchestrator.experiment import AugmentSpec, Cell
from orchestrator.experiment.combine_spec import CombineSpec
from orchestrator.experiment.schedule_spec import Cosine, Linear, Steps
from orchestrator.storage.cell_folder import CellFolder, Point
from orchestrator.train import requests
from orchestrator.train.audit import read_figures
from orchestrator.train.requests import StoppedError

# Four batches in an epoch of the random images.
SMALL: dict[str, Any] = {"epochs": 3, "batch_size_per_worker": 8, "lr": 0.05}
GAMMA, NUM_MIXED = Linear(linear=(6.0, 2.0)), Steps(steps={0: 8, 1: 4, 2: 3})
RAND_AUGMENT = CombineSpec(name="rand_augment", params={"num_ops": 2, "magnitude": Linear(linear=(3, 9))})
AUGMENTS = {
    "bytes": AugmentSpec(
        name="mixup",
        params={"alpha": 1.0},
        combine=CombineSpec(name="rand_augment", params={"num_ops": 2, "magnitude": 9}),
    ),
    "normalized": AugmentSpec(
        name="erm",
        combine=CombineSpec(name="random_erasing", params={"p": 0.5, "scale": (0.1, 0.4), "ratio": (0.3, 3.3)}),
    ),
    "scheduled": AugmentSpec(
        name="zeta_mixup",
        params={"gamma": GAMMA, "num_mixed": NUM_MIXED},
        probability=Cosine(cosine=(0.5, 1.0)),
        combine=RAND_AUGMENT,
    ),
}


def cell_of(augment: AugmentSpec, **settings: Any) -> Cell:
    return make_cell(**(SMALL | settings)).model_copy(update={"augment": augment})


def zeta(**params: Any) -> AugmentSpec:
    return AugmentSpec(name="zeta_mixup", params=params)


def test_each_step_of_an_epoch_has_its_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draws: list[BlendDraw] = []
    draw = ZetaMixup.draw

    def watched(self: ZetaMixup, shape: Any, *, generator: torch.Generator) -> BlendDraw:
        draws.append(draw(self, shape, generator=generator))
        return draws[-1]

    monkeypatch.setattr(ZetaMixup, "draw", watched)
    (tmp_path / "audit").mkdir()  # its batches would be watched, too
    trained = run(cell_of(zeta(gamma=GAMMA, num_mixed=NUM_MIXED)), random_dataset(), tmp_path)
    assert [len(each.weights) for each in draws] == 4 * [8] + 4 * [4] + 4 * [3]
    for each, (gamma, num) in zip(draws[::4], [(6, 8), (4, 4), (2, 3)], strict=True):
        assert torch.equal(each.weights, p_series_weights(num, float(gamma), dtype=torch.float64))
    assert all(torch.equal(draws[4 * (place // 4)].weights, each.weights) for place, each in enumerate(draws))
    told = [(entry.metrics["train/gamma"], entry.metrics["train/num_mixed"]) for entry in trained.history]
    assert told == [(6, 8), (4, 4), (2, 3)]


def test_the_first_epoch_is_that_of_a_cell_that_stays_so(tmp_path: Path) -> None:
    dataset = random_dataset()
    changing, constant = (
        run(cell_of(zeta(gamma=gamma, num_mixed=4)), dataset, tmp_path / str(gamma)) for gamma in (GAMMA, 6.0)
    )
    (first, second, _), (same, other, _) = numbers(changing.history), numbers(constant.history)
    assert (first.pop("train/gamma"), second.pop("train/gamma")) == (6, 4)
    assert first == same
    assert second != other
    figures, plain = (json.loads((each.folder / "audit" / "audit.json").read_text()) for each in (changing, constant))
    assert figures.pop("schedules") == {"gamma": [6, 4, 2]}
    del figures["ms_per_step"], plain["ms_per_step"]
    assert figures == plain, "of what is constant nothing is said"


def test_the_audit_has_what_has_an_effect(tmp_path: Path) -> None:
    augment = zeta(gamma=GAMMA, num_mixed=4).model_copy(update={"combine": RAND_AUGMENT})
    trained = run(cell_of(augment, mixing_off_epochs=1), random_dataset(), tmp_path)
    figures = read_figures(trained.folder / "audit")
    assert figures is not None
    assert figures.schedules == {"gamma": [6, 4], "combine.magnitude": [3, 6, 9]}
    assert [entry.metrics.get("train/gamma") for entry in trained.history] == [6, 4, None]
    assert [entry.metrics["train/combine.magnitude"] for entry in trained.history] == [3, 6, 9]


@pytest.mark.parametrize("name", AUGMENTS)
def test_stopped_within_an_epoch_it_ends_the_same(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "POLL_EVERY_S", 0)
    cell, dataset = cell_of(AUGMENTS[name]), random_dataset()
    whole = run(cell, dataset, tmp_path / "whole")
    plain = run(cell_of(AugmentSpec(name="erm")), dataset, tmp_path / "plain")
    assert not same_weights(whole.weights, plain.weights), "it does something"
    again = tmp_path / "again"
    # An epoch is four batches, and as many of its validation: the second batch of the second epoch.
    with pytest.raises(StoppedError):
        run(cell, dataset, again, poll=PollUntil(10))
    assert CellFolder(again).points()[0] == Point(1, 2)
    interrupt(cell, dataset, again, after=2)
    resumed = run(cell, dataset, again)
    assert numbers(resumed.history) == numbers(whole.history)
    assert resumed.result.metrics == whole.result.metrics
    assert same_weights(resumed.weights, whole.weights)
    assert same_weights(resumed.best_weights, whole.best_weights)


def train_on_rank(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    params = {"gamma": GAMMA, "num_mixed": Steps(steps={0: 4, 1: 3, 2: 2})}
    augment = AUGMENTS["scheduled"].model_copy(update={"params": params, "probability": None})
    cell, dataset = cell_of(augment, batch_size_per_worker=4, workers=2), random_dataset()
    mixed: list[list[float]] = []
    draw = ZetaMixup.draw

    def watched(self: ZetaMixup, shape: Any, *, generator: torch.Generator) -> BlendDraw:
        found = draw(self, shape, generator=generator)
        mixed.append(found.weights.tolist())
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ZetaMixup, "draw", watched)
        (folder / f"whole-{rank}" / "audit").mkdir(parents=True)
        whole = run(cell, dataset, folder / f"whole-{rank}")
    interrupt(cell, dataset, folder / f"resumed-{rank}", after=1)
    resumed = run(cell, dataset, folder / f"resumed-{rank}")
    torch.save((mixed, whole, resumed), folder / f"{rank}.pt")


@pytest.mark.slow
def test_all_ranks_have_the_values_of_the_epoch(tmp_path: Path) -> None:
    run_ranks(train_on_rank, tmp_path, world_size=2)
    found: list[tuple[list[list[float]], Trained, Trained]] = [
        torch.load(tmp_path / f"{rank}.pt", weights_only=False) for rank in range(2)
    ]
    (mixed, whole, resumed), (others, _, other_resumed) = found
    assert mixed == others
    assert [len(weights) for weights in mixed] == 4 * [4] + 4 * [3] + 4 * [2]
    assert numbers(resumed.history) == numbers(whole.history)
    assert resumed.result.metrics == whole.result.metrics == other_resumed.result.metrics
