"""Searches made up of learning curves, for the tests of what is shown of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

from sweep_samples import DIGITS, ERM, make_cells, make_run, trained_with

from orchestrator.experiment import AugmentSpec, Cell, Confirming, Experiment, SearchSettings, TrainSettings, columns
from orchestrator.racing import Followed, Following, Kept
from orchestrator.records import CellRun, CellStatus, Curve
from orchestrator.results.raced import Raced
from orchestrator.search import SAMPLERS, Point, Rung, Search, Space, Told, batches_of, follow, ladder

EPOCHS = 8
ALPHAS = tuple(round(0.1 * step, 1) for step in range(1, 12))
# Twelve: the ladder has four rungs for them.
RACED = (ERM, *(AugmentSpec(name="mixup", params={"alpha": alpha}) for alpha in ALPHAS))


def cells_of(*augments: AugmentSpec, models: Sequence[str] = ("convnet",), num_seeds: int = 5) -> list[Cell]:
    """The cells of a column: of `RACED`, unless others are given."""
    return trained_with(make_cells(*augments or RACED, seeds=range(num_seeds), models=models), epochs=EPOCHS)


def error_of(cell: Cell, epoch: int) -> float:
    """Validation error: it falls from epoch to epoch, and from row to row of `RACED`, whose last is the best."""
    alpha = float(cell.augment.values.get("alpha") or 0.0)
    return round((0.4 - 0.02 * alpha + 0.002 * cell.seed) * (1 + 1 / epoch), 6)


def raced(
    cells: Sequence[Cell],
    *,
    rounds: int | None = None,
    rungs_of: Callable[[int], Sequence[Rung]] | None = None,
    batch: int | None = None,
    keep: Collection[str] = (),
    known: Collection[str] = (),
    failed: Collection[tuple[str, int]] = (),
    num_samples: int | None = None,
    curve: Callable[[Cell, int], float] = error_of,
    name: Callable[[Cell], str] = lambda cell: cell.augment.label,
) -> tuple[Raced, dict[str, CellRun]]:
    """Return the search over the configurations of some cells, and their runs.

    Args:
        cells: Of one data set and model; of `EPOCHS` epochs.
        rounds: So often the open legs are trained; None until none is.
        rungs_of: The rungs; None for the ladder's.
        batch: So many at once; None for all.
        keep: Labels of augmentations that are never stopped.
        known: Configurations, by label, that were finished before the search.
        failed: Configurations, by label, and seeds, which fail at once.
        num_samples: So many are wanted; None for those of the cells.
        curve: Validation error of a cell at an epoch.
        name: What a configuration is called.
    """
    names = {name(cell): cell.config_key for cell in cells}
    by_leg = {(cell.config_key, cell.seed): cell for cell in cells}
    lost = {(names[label], seed) for label, seed in failed}
    seeds = tuple(dict.fromkeys(cell.seed for cell in cells))
    space = Space({label: {} for label in names if label not in known})
    wanted = num_samples or len(space.branches)
    curves: dict[tuple[str, int], list[float]] = {
        (cell.config_key, cell.seed): [curve(cell, epoch) for epoch in range(1, EPOCHS + 1)]
        for cell in cells
        if name(cell) in known
    }
    asked = batches_of(
        wanted,
        batch=batch or wanted,
        rungs_of=rungs_of or (lambda num: ladder(num, len(seeds), EPOCHS)),
        num_kept=len(keep),
    )

    def ask(num: int, told: tuple[Told, ...]) -> tuple[Point, ...]:
        return SAMPLERS["grid"](space, num, seed=0, told=told)

    def now() -> Search:
        return follow(
            ask,
            asked,
            name_of=lambda point: names[point.branch],
            seeds=seeds,
            curves=curves,
            kept_as=lambda point: point.branch if point.branch in keep else None,
            failed=lost,
            known=[Point(label, ()) for label in known],
        )

    search = now()
    while search.decision.legs and rounds != 0:
        for leg in search.decision.legs:
            cell = by_leg[leg.configuration, leg.seed]
            curves[leg.configuration, leg.seed] = [curve(cell, epoch) for epoch in range(1, leg.epochs + 1)]
        search, rounds = now(), None if rounds is None else rounds - 1
    found = Raced(
        label=f"{cells[0].dataset.label} / {cells[0].model.label}",
        labels={name: label for label, name in names.items()},
        search=search,
        seeds=seeds,
        epochs=EPOCHS,
        num_samples=wanted,
        batch=batch or wanted,
        trained_epochs=sum(map(len, curves.values())),
        most_epochs=sum(each.epochs for each in asked[: len(search.races)]),
        space=space,
    )
    return found, {cell.key: run for leg, cell in by_leg.items() if (run := _run(cell, curves.get(leg), leg in lost))}


def _run(cell: Cell, curve: Sequence[float] | None, has_failed: bool) -> CellRun | None:
    if has_failed:
        return make_run(cell, {}, status="failed", epoch=None, reason="no memory")
    if not curve:
        return None
    metrics = {"val/error": curve[-1]}
    status: CellStatus = "interrupted" if len(curve) < EPOCHS else "done"
    if status == "done":
        metrics |= {"best/error": curve[-1], "test/error": curve[-1] + 0.01}
    return replace(make_run(cell, metrics, status=status, epoch=len(curve)), epochs=EPOCHS)


def experiment_of(
    race: str = "ladder", *, keep: Sequence[str] = ("erm",), confirm: Confirming | None = None
) -> Experiment:
    """The experiment that the cells of `cells_of` are of, with a search of all of them."""
    return Experiment(
        name="sample",
        dataset=(DIGITS,),
        model=("convnet",),
        augment=RACED,
        seed=tuple(range(5)),
        train=TrainSettings(epochs=EPOCHS),
        search=SearchSettings(race=race, keep=tuple(keep), confirm=confirm),
        file=Path("sample.yaml"),
    )


def followed(experiment: Experiment, *, rounds: int | None = None) -> tuple[Followed, dict[str, CellRun]]:
    """Return its search as whoever looks follows it, and the runs as it sees them; legs are trained as in `raced`."""
    following, runs = Following(experiment, columns(experiment)), dict[str, CellRun]()
    while True:
        now = following.followed(runs, Kept(sweep=experiment.name))
        if not now.legs or rounds == 0:
            return now, now.seen(runs)
        rounds = None if rounds is None else rounds - 1
        for cell, until in now.legs:
            curve = {epoch: error_of(cell, epoch) for epoch in range(1, until + 1)}
            run = _run(cell, list(curve.values()), has_failed=False)
            assert run is not None
            runs[cell.key] = replace(run, curve=Curve({"best/error": curve, "best/loss": curve}))
