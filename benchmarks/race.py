"""Claim: a race finds a winner as good as the whole grid's in a third of its epochs, and does not favour luck.

Run, two minutes of one core::

    python benchmarks/race.py [--resamplings 1000] [--only PATTERN] [--slack 0] [--json PATH]

On three tables of learning curves (``benchmarks/curves``: 12 configurations; on ``cifarmlp2`` early epochs say the
opposite of late ones), five seeds and an order of the configurations are drawn again and again, and raced by
`orchestrator.search.decide`, the product's own. Beside it, on the same draws: the grid, the grid with one seed, halving
with all seeds, and ASHA with every seed as a trial of its own, in four slots. Of each:

* ``epochs``: as a share of the grid's;
* ``tied``: how often the winner is not separated from the configuration that is the best by the test with all seeds of
  the table (paired t, 5 %);
* ``regret``: by how many points of test error it is worse than that, in the mean.

Read is what the product reads, the lowest validation error until an epoch, whose weights a training tests, but for the
loss that tells apart equal ones, which the tables lack; ASHA reads the last, as Ray Tune does. ``at the epoch``: the
same where the error at the epoch is read. ``erm never stopped``: the first configuration goes on whatever its place.
The tables have the test of the last epoch alone, and not of the one that would be tested.

``null``: twelve equal configurations, five seeds, erm never stopped; the interval of the best other against erm from
the cells that were raced, and those of the best three from ten fresh seeds, by `orchestrator.results.statistics`: how
often they say that something differs.
``decide``: seconds of one call for 1,000 configurations and three seeds, whose whole race it decides.

The exit code is 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from figures import origin, say, write_json
from numpy.random import default_rng
from race_rivals import Floats, Table, asha, order_of
from verdict_bars import SIGMA, Bar, said_of

from orchestrator.search import Rung, decide, ladder, ranking, standings

TABLES = ("digits", "cifarmlp", "cifarmlp2")
NUM_SEEDS = 5
NULL_ARMS, NULL_EPOCHS, FRESH, TOP = 12, 16, 10, 3


def main() -> None:
    """Race, print each figure beside its bar, and say whether all are met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--resamplings", type=int, default=1000, metavar="N", help="of a table (default: %(default)s)")
    parser.add_argument("--only", default="", metavar="PATTERN", help="parts whose names match this pattern")
    parser.add_argument("--slack", type=float, default=0.0, help="widens the bars (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures there, too, as they come")
    arguments = parser.parse_args()
    source, missed, figures = origin(), 0, dict[str, Any]()
    for part in (*TABLES, "null", "decide"):
        if not re.search(arguments.only, part):
            continue
        if part == "null":
            found, bars = null(2 * arguments.resamplings), {"confirmed": Bar("separated", most=0.065)}
        elif part == "decide":
            found, bars = cost(), {"1,000 x 3": Bar("s", most=1.0)}
        else:
            found = raced(Table.of(part), arguments.resamplings)
            bars = bars_of(found["grid"])
        figures[part] = {"figures": found, "bars": {f"{row}, {bar.what}": str(bar) for row, bar in pairs(bars)}}
        missed += told(part, found, bars, slack=arguments.slack)
        if arguments.json:
            write_json(arguments.json, source=source, **figures)
    sys.exit(1 if missed or not figures else 0)


def bars_of(grid: Mapping[str, float]) -> dict[str, Any]:
    """Return what the race has to meet where the grid has these figures."""
    return {
        "ladder": (
            Bar("epochs", most=1 / 3),
            Bar("tied", least=grid["tied"] - 0.03),
            Bar("regret", most=grid["regret"] + 0.05),
        )
    }


def policies(table: Table) -> dict[str, tuple[Table, tuple[Rung, ...], tuple[str, ...]]]:
    """Return what is raced: which values are read, by which rungs, and whom nothing stops."""
    read = table.lowest_so_far
    num_arms, _, epochs = table.val.shape
    grid, wide = (Rung(NUM_SEEDS, epochs, 1),), ladder(num_arms, NUM_SEEDS, epochs)
    halving = (Rung(NUM_SEEDS, epochs // 4, num_arms // 3), Rung(NUM_SEEDS, epochs // 2, num_arms // 6), *grid)
    return {
        "grid": (read, grid, ()),
        "grid, one seed": (read, (Rung(1, epochs, 1),), ()),
        "halving, all seeds": (read, halving, ()),
        "ladder": (read, wide, ()),
        "ladder, erm never stopped": (read, wide, table.arms[:1]),
        "grid, at the epoch": (table, grid, ()),
        "ladder, at the epoch": (table, wide, ()),
    }


def raced(table: Table, num_resamplings: int) -> dict[str, dict[str, float]]:
    """Return the figures of each policy over the same draws of seeds and orders."""
    rng, found = default_rng(19), defaultdict[str, list[tuple[float, float, float]]](list)
    num_arms, all_seeds, epochs = table.val.shape
    regret, tied, lucky = table.regret, table.tied, []
    known = policies(table)
    for _ in range(num_resamplings):
        seeds = rng.permutation(all_seeds)[:NUM_SEEDS].tolist()
        order = [table.arms[arm] for arm in rng.permutation(num_arms)]
        for name, (read, rungs, keep) in known.items():
            winner, trained = race_of(read, rungs, order, seeds, keep)
            found[name].append((trained, tied[winner], regret[winner]))
        winner, trained, has_one = asha(table.val[:, seeds], order_of(rng, num_arms, NUM_SEEDS))
        found["ASHA, each seed a trial"].append((trained, tied[winner], regret[winner]))
        lucky.append(has_one)
    whole = np.array([num_arms * NUM_SEEDS * epochs, 1, 1])
    means = {name: np.mean(np.array(rows) / whole, axis=0).tolist() for name, rows in found.items()}
    figures = {name: dict(zip(("epochs", "tied", "regret"), row, strict=True)) for name, row in means.items()}
    figures["ASHA, each seed a trial"]["at most one seed of the winner at the end"] = float(np.mean(lucky))
    return figures


def race_of(
    table: Table, rungs: Sequence[Rung], order: Sequence[str], seeds: Sequence[int], keep: Sequence[str]
) -> tuple[int, int]:
    """Return the winner's place in the table, and how many epochs were trained, leg by leg."""
    curves: dict[tuple[str, int], Any] = {}
    trained = 0
    places = {arm: place for place, arm in enumerate(table.arms)}
    while legs := (decision := decide(rungs, order, seeds, curves, keep=keep)).legs:
        for leg in legs:
            cell = leg.configuration, leg.seed
            trained += leg.epochs - len(curves.get(cell, ()))
            curves[cell] = table.val[places[leg.configuration], leg.seed, : leg.epochs].tolist()
    assert decision.winner is not None, "no value is missing"
    return places[decision.winner], trained


def null(num_races: int) -> dict[str, dict[str, float]]:
    """Return how often equal configurations are said to differ from erm, the first of them."""
    rng, tables = default_rng(7), defaultdict[str, list[Floats]](list)
    names, seeds = [f"arm {arm}" for arm in range(NULL_ARMS)], range(NUM_SEEDS)
    rungs = ladder(NULL_ARMS, NUM_SEEDS, NULL_EPOCHS)
    for _ in range(num_races):
        val, test = equal_arms(rng, NUM_SEEDS)
        val = np.minimum.accumulate(val, axis=2)
        curves = {(name, seed): val[arm, seed].tolist() for arm, name in enumerate(names) for seed in seeds}
        race = standings(rungs, names, seeds, curves, keep=names[:1])
        best = [names.index(name) for name in ranking(race) if name != names[0]][:TOP]
        tables["raced cells, validation"].append(val[[0, best[0]], :, -1])
        tables["raced cells, test"].append(test[[0, best[0]]])
        tables["confirmed"].append(equal_arms(rng, FRESH)[1][[0, *best]])
    return {what: {"separated": float(said_of(np.array(of)).has_word.mean())} for what, of in tables.items()}


def equal_arms(rng: np.random.Generator, num_seeds: int) -> tuple[Floats, Floats]:
    """Return validation errors [arms, seeds, epochs] and test errors [arms, seeds] of equal arms, in points.

    From epoch to epoch half of the noise stays; at the end, validation and test share half of their variance.
    """
    shape = (NULL_ARMS, num_seeds)
    lasting, own = rng.normal(0, SIGMA, shape), rng.normal(0, SIGMA, shape)
    noise = rng.normal(0, SIGMA, (*shape, NULL_EPOCHS))
    falling = 30 + 40 * np.exp(-np.arange(NULL_EPOCHS) / 4)
    return falling + (lasting[..., None] + noise) / np.sqrt(2), 30 + (lasting + own) / np.sqrt(2)


def cost() -> dict[str, dict[str, float]]:
    """Return what one call costs: of a whole race, and in its first rung."""
    rng, names, seeds = default_rng(0), [f"c{arm}" for arm in range(1000)], range(3)
    curves = {(name, seed): rng.random(60).tolist() for name in names for seed in seeds}
    rungs = ladder(len(names), len(seeds), 60)
    first = {cell: curve[: rungs[0].epochs] for cell, curve in curves.items() if cell[1] == 0}
    first.popitem()
    return {
        "1,000 x 3": {"s": median_s(lambda: decide(rungs, names, seeds, curves))},
        "1,000 x 3, first rung": {"s": median_s(lambda: decide(rungs, names, seeds, first))},
    }


def median_s(call: Any) -> float:
    """Return the median seconds of the processor that a call takes, of nine."""
    taken = []
    for _ in range(9):
        before = time.process_time()
        call()
        taken.append(time.process_time() - before)
    return float(np.median(taken))


def pairs(bars: Mapping[str, Any]) -> Iterator[tuple[str, Bar]]:
    """Yield each bar with the row that it is of."""
    for row, of_row in bars.items():
        yield from ((row, bar) for bar in (of_row if isinstance(of_row, tuple) else (of_row,)))


def told(part: str, found: Mapping[str, Mapping[str, float]], bars: Mapping[str, Any], *, slack: float) -> int:
    """Print what was found; return how many bars are missed."""
    of = {(row, bar.what): bar for row, bar in pairs(bars)}
    missed = 0
    for row, figures in found.items():
        for what, figure in figures.items():
            bar = of.get((row, what))
            met = bar is None or bar.is_met(figure, slack=slack)
            missed += not met
            verdict = "" if bar is None else f"{bar!s:10} {'met' if met else 'MISSED'}"
            say(f"{part:10} {row:26} {what:42} {figure:.4f}  {verdict}".rstrip())
    return missed


if __name__ == "__main__":
    main()
