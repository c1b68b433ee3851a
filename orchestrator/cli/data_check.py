"""``zetasweep data check``."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import click

from orchestrator.amounts import counted
from orchestrator.cli.options import examples, experiment_options
from orchestrator.errors import NAMED, DataError
from orchestrator.exit_codes import DONE, INCOMPLETE, WRONG_INPUT
from orchestrator.waiting import waiting_for


@click.command(epilog=examples("zetasweep data check quickstart.yaml"))
@experiment_options
def check(experiment: str, overrides: tuple[str, ...]) -> int:
    """Count images, and find unreadable ones and duplicates across splits; exit with 1 if there are any.

    A near duplicate is the same picture encoded, resized, brightened or cropped otherwise, or mirrored; not turned.
    """
    from orchestrator.experiment import load_experiment
    from orchestrator.terminal import counting_bar, new_console, print_lines

    opened = load_experiment(Path(experiment), overrides)
    # SciPy: a mistake in the file is said before.
    with waiting_for("SciPy to be loaded"):
        from orchestrator.data.leaks import cross_duplicates, lines
        from orchestrator.plan import check_images, distinct_splits

    console, code, tables = new_console(), DONE, []
    for spec in distinct_splits(opened.dataset):
        try:
            with counting_bar(console, f"reading {spec.name}") as show:
                report = check_images(spec, opened, on_progress=show)
        except DataError as error:
            # One set that cannot be read hides nothing about the others.
            others = (str(part.args[0]) for part in error.parts[NAMED:])
            print_lines(
                console,
                [f"error: {opened.place_of(spec)}: {error}", *(f"  {name}" for name in (*error.details, *others))],
            )
            # Labels and images that disagree are what was asked for; anything else is a set that was not looked at.
            code = max(code, INCOMPLETE if error.details else WRONG_INPUT)
            continue
        print_lines(console, lines(report))
        code = max(code, DONE if report.ok else INCOMPLETE)
        tables.append(report.table)
    for left, right in combinations(tables, 2):
        if shared := cross_duplicates(left, right):
            number = counted(len(shared), "picture")
            found = (f"{duplicate.kind}: {duplicate}" for duplicate in shared)
            print_lines(console, [f"{left.name} and {right.name} share {number}:", *found])
    return code
