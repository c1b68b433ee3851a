"""The command line: ``zetasweep`` and ``python -m orchestrator``."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, cast

import click
from rich.console import Console

from orchestrator.cli.data import data
from orchestrator.cli.options import experiment_options
from orchestrator.credentials import without_secrets
from orchestrator.environment import TRACKING_URI, prepare_program
from orchestrator.errors import TrackingError, UserError
from orchestrator.exit_codes import DONE, INCOMPLETE, INTERRUPTED, WRONG_INPUT
from orchestrator.experiment.cells import Cell
from orchestrator.experiment.settings import Experiment
from orchestrator.records import CellRun
from orchestrator.storage.folder import Storage
from orchestrator.tracking.tracker import Tracker

# A path that cannot be, as opposed to a disk that fails later.
PATH_ERRORS = (errno.ENAMETOOLONG, errno.EACCES, errno.ENOTDIR, errno.EISDIR)
# Of `orchestrator.sweep.run.Outcome`, which takes seconds to import.
CODES = {"DONE": DONE, "INCOMPLETE": INCOMPLETE, "INTERRUPTED": INTERRUPTED}
FORMATS = ("table", "markdown", "csv", "latex")


class _Opened:
    """An experiment with its cells; the heavy libraries are imported here, not for --help."""

    def __init__(self, path: str, overrides: Sequence[str]) -> None:
        from orchestrator.experiment.cells import expand
        from orchestrator.experiment.load import load_experiment
        from orchestrator.storage.folder import Storage

        self.experiment: Experiment = load_experiment(Path(path), overrides)
        self.cells: list[Cell] = expand(self.experiment)
        self.storage: Storage = Storage(self.experiment.storage)
        # What the file says goes first; MLflow's own variable may hold a password, and the file may not.
        self._origin = "tracking.uri" if self.experiment.tracking.uri else TRACKING_URI
        self._tracking_uri = self.experiment.tracking.uri or os.environ.get(TRACKING_URI)

    def tracker(self) -> Tracker:
        """Connect to the experiment's MLflow store, making a SQLite one if it is not there yet."""
        from orchestrator.tracking.tracker import Tracker

        if self._tracking_uri:
            return Tracker(self._tracking_uri, origin=self._origin)
        self.storage.prepare()
        return Tracker(f"sqlite:///{self.storage.database}", artifacts=self.storage.artifacts_dir)

    @property
    def database(self) -> Path | None:
        """The file of the MLflow store; None for one on a server."""
        from orchestrator.uris import database_of

        return database_of(self._tracking_uri) if self._tracking_uri else self.storage.database

    def runs(self) -> dict[str, CellRun]:
        """Return the known runs of the cells; a store that is not there yet is not made, it has none."""
        self.storage.check()
        if self.database is None or self.database.exists():
            return self.tracker().cell_runs(self.cells)
        if self._tracking_uri:
            from orchestrator.tracking.database import check_place

            check_place(self.database, self._origin)
            click.echo(f"{self._origin}: {self.database} is not there yet, run makes it", err=True)
        return {}


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="zetasweep")
def cli() -> None:
    """Which augmentation, with which settings, is best for my data?

    EXPERIMENT is a YAML file, see experiments/. Exit codes: 0 done, 1 some cells failed or are missing, 2 the input is
    wrong and nothing was started, 130 interrupted.
    """


cli.add_command(data)


@cli.command()
@experiment_options
def plan(experiment: str, overrides: tuple[str, ...]) -> int:
    """Show cells, what is done, slots, resources and disk; run nothing."""
    opened = _Opened(experiment, overrides)
    from orchestrator.plan.plan import check_inputs, make_plan, other_data, render_plan
    from orchestrator.results.terminal import render_status
    from orchestrator.sweep.cluster import planned_layout

    split_hashes = check_inputs(opened.experiment)
    runs = opened.runs()
    placed = planned_layout(opened.experiment.resources)
    console = Console()
    console.print(render_status(opened.cells, runs))
    console.print(render_plan(make_plan(opened.experiment, opened.cells, runs, placed), opened.experiment))
    for warning in other_data(opened.cells, runs, split_hashes):
        console.print(f"warning:   {warning}", markup=False, highlight=False)
    return DONE


@cli.command()
@experiment_options
@click.option("--download", is_flag=True, help="Fetch data sets that are missing, where torchvision can.")
def run(experiment: str, overrides: tuple[str, ...], download: bool) -> int:
    """Run what is missing; the same command again continues, extends or does nothing."""
    opened = _Opened(experiment, overrides)
    from orchestrator.data import download_dataset
    from orchestrator.plan.plan import check_inputs

    if download:
        for spec in opened.experiment.dataset:
            download_dataset(spec.name, opened.experiment.data_dir)
    split_hashes = check_inputs(opened.experiment)
    opened.storage.prepare()
    with opened.storage.locked(opened.experiment.name):
        from orchestrator.sweep.run import run_missing

        outcome = run_missing(
            opened.experiment, opened.cells, opened.storage, opened.tracker(), split_hashes=split_hashes
        )
        return CODES[outcome.name]


@cli.command()
@experiment_options
def sync(experiment: str, overrides: tuple[str, ...]) -> int:
    """Deliver to MLflow what it did not take while the cells were trained."""
    opened = _Opened(experiment, overrides)
    opened.storage.prepare()
    with opened.storage.locked(opened.experiment.name):
        from orchestrator.sweep.run import deliver_waiting

        return CODES[deliver_waiting(opened.experiment, opened.cells, opened.storage, opened.tracker()).name]


@cli.command()
@experiment_options
def status(experiment: str, overrides: tuple[str, ...]) -> int:
    """Show what is done, running, failed and missing, cell by cell."""
    opened = _Opened(experiment, overrides)
    from orchestrator.results.terminal import render_status

    runs = opened.runs()
    Console().print(render_status(opened.cells, runs))
    return _coverage(opened.cells, runs)


@cli.command()
@experiment_options
@click.option("--metric", default="test/error", show_default=True, help="test/..., val/... or best/...")
@click.option("--format", "format_", type=click.Choice(FORMATS), default="table", show_default=True)
def compare(experiment: str, overrides: tuple[str, ...], metric: str, format_: str) -> int:
    """Print augmentations x (data set, model): mean ± standard deviation over seeds."""
    opened = _Opened(experiment, overrides)
    from orchestrator.results.comparison import compare as compare_runs
    from orchestrator.results.export import remarks
    from orchestrator.results.terminal import Format, render

    runs = opened.runs()
    comparison = compare_runs(opened.cells, runs, metric=metric)
    shown = render(comparison, cast(Format, format_))
    if format_ == "csv":
        # The lines of a CSV file are all data; what must be said beside them goes past it.
        click.echo("\n".join(remarks(comparison)), err=True)
    if isinstance(shown, str):
        click.echo(shown, nl=False)
    else:
        Console().print(shown)
    return _coverage(opened.cells, runs)


@cli.command()
@experiment_options
@click.option("--metric", default="error", show_default=True, help="A validation metric.")
@click.option("--register", metavar="NAME", help="Register the best seed's model under NAME, with the alias 'best'.")
def select(experiment: str, overrides: tuple[str, ...], metric: str, register: str | None) -> int:
    """Choose the best configuration on validation, mean over seeds; the test metric is shown but not used."""
    opened = _Opened(experiment, overrides)
    from orchestrator.results.selection import select as select_runs
    from orchestrator.results.terminal import render_selection

    runs = opened.runs()
    selections = select_runs(opened.cells, runs, metric=metric)
    Console().print(render_selection(selections))
    if register is not None:
        _register(opened.tracker(), selections, register)
    return _coverage(opened.cells, runs)


@cli.command()
@experiment_options
@click.option("--fix", is_flag=True, help="Mend what can be mended.")
def doctor(experiment: str, overrides: tuple[str, ...], fix: bool) -> int:
    """Find what is wrong with the environment, the runs and the checkpoints; exit with 1 if any of it is left."""
    opened = _Opened(experiment, overrides)
    from orchestrator.doctor.examine import examine

    return examine(
        opened.experiment, opened.cells, opened.storage, database=opened.database, connect=opened.tracker, fix=fix
    )


def _register(tracker: Tracker, selections: Sequence[Any], name: str) -> None:
    chosen = [selection for selection in selections if selection.model_uri is not None]
    if len(selections) != 1 or len(chosen) != 1:
        raise UserError(
            f"--register {name}: needs exactly one data set with a finished selection, got {len(chosen)} of "
            f"{len(selections)}\n  remedy:  name one with -o dataset=NAME, or run what is missing"
        )
    if chosen[0].mixed_data:
        raise UserError(
            f"--register {name}: the cells of {chosen[0].dataset} saw different images or labels: not comparable\n"
            "  remedy:  restore the data set, or train the cells again with another storage and tracking.experiment"
        )
    from orchestrator.tracking.registry import register_model

    version = register_model(tracker.store, chosen[0].model_uri, name)
    click.echo(f"registered as {name}, version {version}, alias 'best'")


def _coverage(cells: Sequence[Cell], runs: dict[str, CellRun]) -> int:
    done = all(cell.key in runs and runs[cell.key].status == "done" for cell in cells)
    return DONE if done else INCOMPLETE


def _like_ctrl_c(number: int, frame: FrameType | None) -> None:
    on_ctrl_c = signal.getsignal(signal.SIGINT)
    if not callable(on_ctrl_c):  # ignored, as a shell has it for what it starts in the background
        raise KeyboardInterrupt
    on_ctrl_c(number, frame)


def main() -> None:
    """Run the command line and exit with its code."""
    # A job that is stopped gets SIGTERM; it ends like Ctrl-C, with its runs closed.
    signal.signal(signal.SIGTERM, _like_ctrl_c)
    prepare_program()
    debug = "--debug" in sys.argv
    try:
        code = cli.main(standalone_mode=False)
    except UserError as error:
        if debug:
            raise
        click.echo(f"error: {without_secrets(str(error))}", err=True)
        code = WRONG_INPUT
    except TrackingError as error:
        if debug:
            raise
        click.echo(f"error: {without_secrets(str(error))}", err=True)
        code = INCOMPLETE
    except OSError as error:
        if debug:
            raise
        click.echo(f"error: {without_secrets(str(error))}", err=True)
        code = WRONG_INPUT if error.errno in PATH_ERRORS else INCOMPLETE
    except click.ClickException as error:
        error.show()
        code = WRONG_INPUT
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        code = INTERRUPTED
    sys.exit(code)
