"""``zetasweep confirm``."""

from __future__ import annotations

import time
from collections.abc import Mapping, Set
from functools import cache
from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import examples, experiment_options
from orchestrator.cli.outcomes import OF_OUTCOME
from orchestrator.waiting import waiting_for

if TYPE_CHECKING:
    from orchestrator.opened import Opened
    from orchestrator.records import CellRun
    from orchestrator.results import Wanted


@click.command(epilog=examples("zetasweep confirm quickstart.yaml --top 3 --seeds 10"))
@experiment_options
@click.option(
    "--top", type=int, metavar="K", help="How many rows beside the baselines.  [default: search.confirm.top, or 3]"
)
@click.option(
    "--seeds",
    type=int,
    metavar="N",
    help="On how many seeds; more than before adds some.  [default: search.confirm.seeds, or 10]",
)
@click.option(
    "--against",
    metavar="ROW",
    multiple=True,
    help="A baseline; a table compares with the first one.  [default: search.confirm.against, or compare.baseline]",
)
@click.option("--again", is_flag=True, help="Choose anew, on other seeds than before.")
def confirm(
    experiment: str,
    overrides: tuple[str, ...],
    top: int | None,
    seeds: int | None,
    against: tuple[str, ...],
    again: bool,
) -> int:
    """Train the best rows and the baseline on new seeds, and compare them on those alone; the same again continues.

    The best rows are those of validation; of a search those that came to the end, and then who got furthest. What was
    chosen at the first call stays chosen.
    """
    from orchestrator.opened import Opened
    from orchestrator.results import Names, Wanted, check_usual, check_wanted, lines_above, wanted_of
    from orchestrator.terminal import new_console, print_lines

    opened = Opened(experiment, overrides)
    is_searched = opened.experiment.search is not None
    names = Names(opened.experiment.names)
    asked = Wanted(top, seeds, tuple(map(names.label, against)))
    wanted = check_wanted(asked, opened.cells, opened.experiment.compare, is_searched=is_searched)
    usual = check_usual(wanted_of(opened.experiment), opened.cells)
    from orchestrator.opened.start import check_start
    from orchestrator.plan import local_layout, other_data

    data = check_start(opened, local_layout)
    opened.storage.prepare()
    with opened.storage.locked(f"{opened.experiment.name}-confirm"):
        # Ray and MLflow: what was checked above is said without waiting for them.
        with waiting_for("MLflow to be loaded"):
            from orchestrator.opened.tracked import tracker_of
            from orchestrator.sweep.run import run_missing

        runs = _settle(opened, wanted, usual, again=again)
        # What was chosen by other images than there are now is trained on these.
        warnings = (f"warning: {warning}" for warning in other_data(opened.cells, runs, data))
        print_lines(new_console(), warnings, style="yellow")
        confirmed, above = opened.confirmed(), lines_above(opened.choices, names)
        outcome = run_missing(
            confirmed.experiment, confirmed.cells, confirmed.storage, tracker_of(confirmed), data=data, above=above
        )
    return OF_OUTCOME[outcome]


def _settle(opened: Opened, wanted: Wanted, usual: Wanted, *, again: bool) -> Mapping[str, CellRun]:
    """Have written down what is confirmed, before anything of it is trained, and say it; the folder is locked.

    Returns:
        What is known of the sweep's cells, and of what was confirmed before.
    """
    # MLflow takes seconds to import.
    from orchestrator.opened.tracked import runs_of, tracker_of
    from orchestrator.results import choice_lines, kept_lines, put_aside, races_of, settle
    from orchestrator.terminal import new_console, print_lines

    @cache
    def known_keys() -> Set[str]:
        return tracker_of(opened).known_keys() | set(opened.storage.cell_keys())

    opened.read_confirmation()  # another process may have begun it since
    before = opened.confirmation
    if again:
        opened.confirmation = put_aside(before, opened.cells, known_keys())
    runs = runs_of(opened, and_of=opened.confirmed().cells)
    opened.confirmation = settle(
        opened.cells,
        runs,
        opened.confirmation,
        wanted,
        comparing=opened.experiment.compare,
        known_keys=known_keys,
        now=time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
        usual=usual,
        races=races_of(opened.followed),
    )
    opened.check_confirmed()
    file = opened.storage.confirmation(opened.experiment.name)
    if opened.confirmation != before:
        opened.confirmation.save(file)
        opened.storage.keep(file)
    console = new_console()
    for choice in opened.choices:
        print_lines(console, choice_lines(choice))
    print_lines(console, kept_lines(opened.choices, usual), style="yellow")
    print_lines(console, [f"  kept in {opened.storage.shown(file)}: the same command goes on with this choice"])
    return runs
