"""What is refused of a search, each with its sentence: where, what is allowed, and what to do about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.errors import ConfigError, Problem
from orchestrator.experiment import load_experiment

MIXUP = {"mixup": {"alpha": {"uniform": [0.1, 2.0]}}}
BASE: dict[str, Any] = {
    "name": "s",
    "dataset": "digits",
    "model": "convnet",
    "augment": ["erm", MIXUP],
    "seed": [0, 1, 2],
    "train": {"epochs": 8},
    "search": {"sampler": "random", "num_samples": 6, "race": "ladder"},
}
RUNG = {"seeds": 1, "epochs": 4, "keep": 2}
LISTS: dict[str, Any] = {"augment": ["erm", {"mixup": {"alpha": [0.2, 1.0, 2.0]}}]}


def problems_of(folder: Path, parts: dict[str, Any], *overrides: str) -> list[Problem]:
    path = folder / "s.yaml"
    path.write_text(yaml.safe_dump(BASE | parts, sort_keys=False))
    with pytest.raises(ConfigError) as refused:
        load_experiment(path, overrides)
    return refused.value.problems


def searching(**changes: Any) -> dict[str, Any]:
    return {"search": BASE["search"] | changes}


def written_out(*rungs: tuple[int, int, int], **changes: Any) -> dict[str, Any]:
    return searching(race=[dict(zip(("seeds", "epochs", "keep"), rung, strict=True)) for rung in rungs], **changes)


CASES = [
    # What it is made of.
    ({"search": "ladder"}, "search", "a mapping with the keys sampler", "Write search:"),
    (searching(sampel=3), "search.sampel", "one of the keys", "Did you mean sampler?"),
    (searching(scheduler="asha"), "search.scheduler", "one of the keys", "Choose one of these."),
    (searching(sampler="tpe"), "search.sampler", "random, qmc or", "Change it"),
    (searching(sampler="pbt"), "search.sampler", "grid, random, qmc or optuna", "gamma: {linear: [6.0, 2.0]}"),
    (searching(race="PB2"), "search.race", "none, ladder, or rungs", "no key, and no seeds"),
    (searching(race="asha"), "search.race", "none, ladder, or rungs", "race: ladder"),
    (searching(race="ladders"), "search.race", "none, ladder, or rungs", "Did you mean ladder?"),
    (searching(metric="test/error"), "search.metric", "error, of validation", "nothing left to test on"),
    (searching(metric="accuracy"), "search.metric", "error, of validation", "compare.metric decides between them"),
    # How many.
    (
        searching(num_samples=None),
        "search.num_samples",
        "an integer, at least 1, with search.sampler=random",
        "Add num_samples: 24",
    ),
    (searching(num_samples=0), "search.num_samples", "an integer, at least 1", "Change it"),
    (searching(num_samples=1), "search.num_samples", "more than 1: so many are in it", "Raise it"),
    (LISTS | searching(num_samples=9), "search.num_samples", "1 to 4: the lists have no more", "sampler: grid"),
    (
        {"augment": ["erm", {"mixup": {"alpha": {"loguniform": [1e-5, 2.0]}}}]} | searching(num_samples=4000),
        "max_cells",
        "at least 12000",
        "Lower search.num_samples",
    ),
    (LISTS | searching(sampler="grid"), "search.num_samples", "null with search.sampler=grid", "Leave it out"),
    (searching(batch=2), "search.batch", "null with search.sampler=random, which learns nothing", "sampler: optuna"),
    (searching(sampler="optuna", batch=7), "search.batch", "1 to search.num_samples=6", "Lower it"),
    (searching(warm_start=True), "search.warm_start", "null with search.sampler=random", "sampler: optuna"),
    (LISTS | {"search": {"seed": 1}}, "search.seed", "null with search.sampler=grid, which draws", "seeds of the"),
    # Ranges.
    ({"search": None}, "augment[1].mixup.alpha", "a value or a list, as long as no search", "num_samples: 24"),
    ({"search": {"race": "ladder"}}, "augment[1].mixup.alpha", "search.sampler=grid, which tries all", "as a list"),
    ({"augment": {"mixup": {"alpha": {"uniform": [2, 1]}}}}, "augment.mixup.alpha.uniform", "LOW below HIGH", "Swap"),
    ({"augment": {"mixup": {"alpha": {"uniform": 3}}}}, "augment.mixup.alpha.uniform", "[LOW, HIGH]", "Write both"),
    ({"augment": {"mixup": {"alpha": {"loguniform": [0, 1]}}}}, "augment.mixup.alpha.loguniform", "above 0", "Write"),
    ({"augment": {"mixup": {"alpha": {"uniform": [-1, 1]}}}}, "augment.mixup.alpha.uniform[0]", "above 0", "Change"),
    ({"augment": {"mixup": {"alpha": [1, {"uniform": [1, 2]}]}}}, "augment.mixup.alpha[1]", "in no list", "the values"),
    ({"train": {"lr": {"uniform": [0.1, -1]}}}, "train.lr.uniform", "LOW below HIGH", "Swap them"),
    ({"train": {"lr": {"uniform": [-1, 0.1]}}}, "train.lr.uniform[0]", "a finite number above 0", "Change it"),
    ({"train": {"momentum": {"uniform": [0.5, 1]}}}, "train.momentum.uniform[1]", "0 to below 1", "Change it"),
    ({"train": {"warmup_epochs": {"uniform": [1, 5]}}}, "train.warmup_epochs", "an integer", "randint and lograndint"),
    ({"train": {"epochs": 8, "warmup_epochs": {"randint": [1, 11]}}}, "train.warmup_epochs.randint[1]", "to ", "Short"),
    ({"train": {"label_smoothing": {"uniform": [0, 2]}}}, "train.label_smoothing.uniform[1]", "below 1", "Change it"),
    ({"train": {"lr_decay": {"uniform": [0.1, 0.5]}}}, "train.lr_decay", "the same training", "makes it idle"),
    (
        {
            "train": {"lr": {"uniform": [0.1, 1]}},
            "augment": [
                {"erm": {"train": {"lr": 0.1}}},
                {"mixup": {"alpha": {"uniform": [0.1, 1]}, "train": {"lr": 0.2}}},
            ],
        },
        "train.lr",
        "the same training",
        "said instead of it",
    ),
    ({"seed": {"randint": [0, 9]}}, "seed", "an integer from 0 to", "Write a list for several: [0, 1, 2]"),
    ({"dataset": {"digits": {"image_size": {"randint": [8, 32]}}}}, "dataset.digits.image_size", "in train", "a list"),
    ({"model": {"resnet18": {"seed": {"uniform": [1, 3]}}}}, "model.resnet18.seed", "augment and in train", "a list"),
    # The race.
    ({"seed": 0}, "search.race", "2 seeds at least; this is a race with 1 seed", "cannot tell a better"),
    ({"train": {"epochs": 8, "warmup_epochs": 2}}, "search.race", "rung 1 of the race: it ends with", "the warm-up"),
    ({"train": {"epochs": 8, "warmup_epochs": {"randint": [0, 3]}}}, "search.race", "rung 1 of the race", "Shorten"),
    ({"train": {"epochs": 8, "schedule": "onecycle"}}, "search.race", "the warm-up with epoch 2.4", "end later"),
    ({"train": {"epochs": [8, 9]}}, "train.epochs", "one value in all configurations", "at the same epoch"),
    ({"train": {"epochs": {"randint": [8, 12]}}}, "train.epochs", "one value in all configurations", "same epoch"),
    ({"dataset": {"digits": {"folds": 3}}}, "search", "one fold of a data set, or none", "fold: 0"),
    (searching(race=[]), "search.race", "ladder, or one rung at least", "Change it"),
    (searching(race=[3]), "search.race[0]", "a mapping with the keys seeds, epochs, keep", "Write search.race[0]"),
    (
        searching(race=[{"seeds": 1, "epochs": 4, "epoch": 4, "keep": 2}]),
        "search.race[0].epoch",
        "one of the keys",
        "mean epochs",
    ),
    (searching(race=[{"seeds": 1, "keep": 2}]), "search.race[0].epochs", "an integer, at least 1", "It is missing"),
    (written_out((0, 2, 3), (3, 8, 1)), "search.race[0].seeds", "an integer, at least 1", "Change it"),
    (written_out((4, 2, 3), (3, 8, 1)), "search.race", "rung 1 of the race: seeds = 4", "raise the file's seeds"),
    (written_out((2, 4, 3), (1, 8, 2), (3, 8, 1)), "search.race", "rung 2 of the race: 1 x 8 after", "Sort the rungs"),
    (written_out((1, 4, 2), (2, 6, 3), (3, 8, 1)), "search.race", "keep = 3, of 2", "Keep fewer"),
    (written_out((1, 4, 3), (2, 8, 1)), "search.race", "the last rung of the race", "{seeds: 3, epochs: 8, keep: 1}"),
    (written_out((1, 4, 6), (3, 8, 1)), "search.race[0].keep", "1 to 5, fewer than the 6", "it would stop none"),
    (written_out((1, 4, 3), (3, 8, 3)), "search.race[1].keep", "1 in the last rung", "confirm: {top: 3}"),
    (written_out((1, 2, 3), (2, 4, 3), (3, 8, 1)), "search.race[1].keep", "1 to 2", "it would stop none"),
    (searching(num_samples=2), "search.race", "3 configurations at least", "Leave race out"),
    (searching(sampler="optuna", batch=2), "search.batch", "3 configurations at least", "Raise batch"),
    (
        written_out((1, 4, 2), (3, 8, 1), sampler="optuna", batch=4),
        "search.race[0].keep",
        "fewer than the 2 configurations of the last batch",
        "a multiple of batch: 4",
    ),
    # What a range has.
    (
        {"augment": ["erm", {"cutmix": {"alpha": {"uniform": [0.5, 0.504]}}}]} | searching(num_samples=7),
        "search.num_samples",
        "1 to 6: the ranges and lists have no more",
        "widen a range",
    ),
    ({"augment": {"mixup": {"alpha": {"uniform": [1.0001, 1.0002]}}}}, "augment.mixup.alpha.uniform", "digits", "Move"),
    ({"augment": {"mixup": {"alpha": {"uniform": [1, 10**400]}}}}, "augment.mixup.alpha.uniform", "finite", "Write"),
    # Rows, budget, confirmation.
    (searching(keep=["erm"], race="none"), "search.keep", "nothing with search.race=none", "race: ladder"),
    (searching(confirm={"top": 7}), "search.confirm.top", "1 to 6", "Lower it"),
    (
        searching(budget={"device_hours": 1}, race="none"),
        "search.budget.device_hours",
        "null where all are trained to the end at once",
        "race: ladder",
    ),
    (searching(keep=["ermm"]), "search.keep[0]", "one of: erm, mixup", "Did you mean erm?"),
    (searching(keep=["mixup(alpha=0.5)"]), "search.keep[0]", "one of: erm, mixup", "Choose one of these."),
    (searching(confirm={"against": "cutmix"}), "search.confirm.against[0]", "one of: erm, mixup", "Choose one"),
    (searching(confirm={"seeds": [0, 1]}), "search.confirm.seeds", "how many seeds", "they begin at 1000000"),
    (searching(confirm={"seeds": 1}), "search.confirm.seeds", "an integer, at least 2", "Change it"),
    (searching(confirm={}) | {"seed": [0, 1, 1_000_000]}, "seed", "below 1000000 with search.confirm", "other seeds"),
    (searching(budget={"epochs": 9}), "search.budget.epochs", "epochs at least: the first rung", "or lower num"),
    (searching(budget={}), "search.budget", "either device_hours or epochs", "budget: {epochs: 2000}"),
    (searching(budget={"epochs": 9, "device_hours": 1}), "search.budget", "either device_hours or epochs", "Write"),
    (searching(budget={"hours": 9}), "search.budget.hours", "one of the keys: device_hours, epochs", "Choose one"),
    (searching(budget={"device_hours": 0}), "search.budget.device_hours", "a finite number above 0", "Change it"),
]


@pytest.mark.parametrize(("parts", "key", "allowed", "remedy"), CASES, ids=range(len(CASES)))
def test_it_is_refused(tmp_path: Path, parts: dict[str, Any], key: str, allowed: str, remedy: str) -> None:
    problems = problems_of(tmp_path, parts)
    assert [problem.key for problem in problems] == [key]
    assert allowed in problems[0].allowed
    assert remedy in problems[0].remedy
    assert problems[0].file == str(tmp_path / "s.yaml")


def test_an_override_is_said_to_be_one(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, {}, "search.race=asha")
    assert (problem.file, problem.key, problem.value) == ("-o", "search.race", "asha")
    (problem,) = problems_of(tmp_path, {}, "train.lr={uniform: [-1, 1]}")
    assert (problem.file, problem.key, problem.value) == ("-o", "train.lr.uniform[0]", "-1.0")


def test_all_mistakes_are_said_at_once_each_once(tmp_path: Path) -> None:
    augment = [{"mixup": {"alpha": {"uniform": [-1, 0]}}}, {"zeta_mixup": {"gamma": 2.0, "num_mixed": [1, 4]}}, "ermm"]
    problems = problems_of(tmp_path, {"augment": augment} | searching(sampler="pbt", metric="test/error"))
    assert sorted(problem.key for problem in problems) == [
        "augment[0].mixup.alpha.uniform[0]",
        "augment[0].mixup.alpha.uniform[1]",
        "augment[1].zeta_mixup.num_mixed[0]",
        "augment[2]",
        "search.metric",
        "search.sampler",
    ]


def test_a_wrong_range_hides_no_other_mistake(tmp_path: Path) -> None:
    augment = [{"mixup": {"alpha": {"uniform": [2, 1]}}}, {"zeta_mixup": {"gamma": 2.0}}, "ermm"]
    problems = problems_of(tmp_path, {"augment": augment, "train": {"lr": {"uniform": [0, 1]}}})
    assert sorted(problem.key for problem in problems) == [
        "augment[0].mixup.alpha.uniform",
        "augment[1].zeta_mixup.num_mixed",
        "augment[2]",
        "train.lr.uniform[0]",
    ]


def test_ends_that_cannot_meet_are_refused_though_each_is_allowed(tmp_path: Path) -> None:
    both = {"gamma_low": {"uniform": [2, 4]}, "gamma_high": {"uniform": [3, 5]}, "num_mixed": 4}
    (problem, *_) = problems_of(tmp_path, {"augment": ["erm", {"zeta_mixup_range": both}]})
    assert problem.key == "augment[1].zeta_mixup_range"
