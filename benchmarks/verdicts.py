"""Claim: what `compare` says of a table is false in at most one of twenty tables, and finds what is there.

Run, ten minutes of one core::

    python benchmarks/verdicts.py [--tables 8000] [--only PATTERN] [--slack 0] [--json PATH]

Tables are drawn, and judged by `orchestrator.results.statistics`. What is counted, among others:

* ``false word``: tables whose rows are all equal, and of which some row is called better or worse than the baseline;
* ``best kept``: those where a row that is as good as any (the first) is among those that may be the best;
* ``any ruled out``: those where some row is ruled out, while all are equal: no error, since some other row is as good;
* ``single star``: those where a single row is left that may be the best, while all are equal;
* ``falsely equal``: those where a row is called equal within a margin that it is just beyond;
* ``power``: those where a row that is half a point better is called so;
* ``detectable``: as ``power``, for the difference that the tables say they would find in 0.8 of all.

The rows are equal but for noise: normal; Student's t with three degrees of freedom; log-normal; counts of wrong images;
with the seeds' own part (``rho``), cells missing at random, rows of unlike spread (`verdict_tables.py`). Of simulated
models on simulated images, with the images' part estimated (`verdict_images.py`). Of what is done with several tables
(`verdict_sweeps.py`). ``--slack`` widens the bars, for few tables. The exit code is 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import re
import sys
import zlib
from pathlib import Path
from typing import Any

import verdict_images
import verdict_sweeps
import verdict_tables
from figures import origin, say, write_json
from numpy.random import default_rng
from verdict_bars import ALL, Claim

CLAIMS: tuple[Claim, ...] = (*verdict_tables.CLAIMS, *verdict_sweeps.CLAIMS, *verdict_images.CLAIMS)


def main() -> None:
    """Draw and judge the tables, print each figure beside its bar, and say whether all are met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, default=ALL, metavar="N", help="at most, of each (default: %(default)s)")
    parser.add_argument("--only", default="", metavar="PATTERN", help="those whose names match this pattern")
    parser.add_argument("--slack", type=float, default=0.0, help="widens the bars (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures there, too, as they come")
    arguments = parser.parse_args()
    source, missed = origin(), 0
    figures: dict[str, dict[str, Any]] = {}
    for claim in CLAIMS:
        if not re.search(arguments.only, claim.label):
            continue
        num_tables = min(arguments.tables, claim.tables)
        # Each claim has numbers of its own, whatever else is asked for.
        found = claim.measured(default_rng(zlib.crc32(claim.label.encode())), num_tables)
        # Claims with the same rows and seeds have one entry: of each thing that is counted one asks.
        entry = figures.setdefault(claim.label, {"bars": {}})
        entry["bars"] |= {bar.what: str(bar) for bar in claim.bars}
        entry |= {"tables": num_tables, **found}
        missed += _told(claim, dict(found), slack=arguments.slack)
        if arguments.json:
            write_json(arguments.json, source=source, figures=figures)
    sys.exit(1 if missed or not figures else 0)


def _told(claim: Claim, found: dict[str, Any], *, slack: float) -> int:
    """Print what was found; return how many bars are missed."""
    missed = 0
    for bar in claim.bars:
        met = bar.is_met(found[bar.what], slack=slack)
        missed += not met
        verdict = "met" if met else "MISSED"
        say(f"{claim.label:60} {bar.what:18} {found.pop(bar.what):.4f}  {bar!s:22} {verdict}")
    for what, figure in found.items():
        say(f"{claim.label:60} {what:18} {figure:.4f}")
    return missed


if __name__ == "__main__":
    main()
