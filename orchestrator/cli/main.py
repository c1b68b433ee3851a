"""The command line: ``zetasweep`` and ``python -m orchestrator``."""

from __future__ import annotations

import errno
import sys
import traceback
from functools import partial

import click

from orchestrator.cli.lazy import Entry, LazyGroup
from orchestrator.environment import prepare_program
from orchestrator.errors import ClusterError, ExplainedError, SweepError, TrackingError, UserError, explained
from orchestrator.exit_codes import INCOMPLETE, INTERRUPTED, WRONG_INPUT
from orchestrator.lasting_output import lasting_output
from orchestrator.shadows import REMEDY, Shadow, shadows
from orchestrator.short_paths import short_temporary_folders
from orchestrator.shown_warnings import warnings_shown_by
from orchestrator.signals import take_like_ctrl_c

# A path that cannot be, as opposed to a disk that fails later.
PATH_ERRORS = (
    errno.ENAMETOOLONG,
    errno.EACCES,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENOENT,
    errno.EROFS,
    errno.EFBIG,
)
DISK_REMEDY = {
    errno.ENOSPC: "free some room there, and give the command again: what was there stays",
    errno.EDQUOT: "free some of your quota there, and give the command again: what was there stays",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f), and give the command again: what was there stays",
    errno.EROFS: "name a folder elsewhere, or have the disk mounted for writing",
    errno.EACCES: "name a folder elsewhere, or have yourself given the right to write there",
    errno.ENOENT: "name what is there, or make it",
    errno.EIO: "the disk, or the way to it, has failed: see what the system says of it (dmesg)",
}
COMMANDS = {
    "compare": Entry(
        "orchestrator.cli.compare:compare",
        "Print augmentations x (data set, model): mean ± standard deviation over seeds.",
    ),
    "confirm": Entry(
        "orchestrator.cli.confirm:confirm",
        "Train the best rows and the baseline on new seeds, and compare them on those alone; the same again continues.",
    ),
    "data": Entry("orchestrator.cli.data:data", "List, check, decode and clear data sets.", is_group=True),
    "doctor": Entry(
        "orchestrator.cli.doctor:doctor",
        "Find what is wrong with the environment, the runs and the checkpoints; exit with 1 if any of it is left.",
    ),
    "init": Entry(
        "orchestrator.cli.init:init", "Write a commented experiment for the images in FOLDER, or one of the examples."
    ),
    "jobs": Entry("orchestrator.cli.jobs:jobs", "List the jobs of a Ray cluster.", library="Ray"),
    "list": Entry(
        "orchestrator.cli.list:list_", "Show which models, augmentations, data sets or metrics there are, with options."
    ),
    "logs": Entry(
        "orchestrator.cli.logs:logs",
        "Show what a job of a Ray cluster has printed.",
        library="Ray",
    ),
    "plan": Entry(
        "orchestrator.cli.plan:plan",
        "Show cells, what is done, slots, disk, hours and, with a price, money; run nothing.",
    ),
    "plot": Entry("orchestrator.cli.plot:plot", "Write one figure of the report, or its numbers, to a file."),
    "predict": Entry(
        "orchestrator.cli.predict:predict",
        "Say of images in files or folders which class they show, by a model of a finished cell.",
    ),
    "report": Entry(
        "orchestrator.cli.report:report",
        "Write verdict, table and figures as one page, and as files, to storage and to MLflow.",
    ),
    "run": Entry(
        "orchestrator.cli.run:run",
        "Run what is missing; the same command again continues, extends or does nothing.",
    ),
    "select": Entry(
        "orchestrator.cli.select:select",
        "Choose the best configuration on validation, mean over seeds; the test metric is shown but not used.",
    ),
    "status": Entry(
        "orchestrator.cli.status:status",
        "Show what is done, running, failed and missing, cell by cell; of a search also who was stopped, and why.",
    ),
    "stop": Entry(
        "orchestrator.cli.stop:stop",
        "Stop a job of a Ray cluster once all that it trains is saved; the same submit goes on with it.",
        library="Ray",
    ),
    "submit": Entry(
        "orchestrator.cli.submit:submit",
        "Run what is missing as a job of a Ray cluster, and follow it; the same command again continues.",
    ),
    "sync": Entry("orchestrator.cli.sync:sync", "Deliver to MLflow what it did not take while the cells were trained."),
    "ui": Entry(
        "orchestrator.cli.ui:ui", "Show the experiment in MLflow's UI, which only this machine reaches, until Ctrl-C."
    ),
}


@click.group(cls=LazyGroup, entries=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="zetasweep")
def cli() -> None:
    """Which augmentation, with which settings, is best for my data?

    EXPERIMENT is a YAML file, see experiments/. Exit codes: 0 done, 1 some cells failed or are missing, 2 the input is
    wrong and nothing was started, 130 interrupted.
    """


def main() -> None:
    """Run the command line and exit with its code."""
    take_like_ctrl_c()
    prepare_program()
    with lasting_output(), warnings_shown_by(partial(click.echo, err=True)), short_temporary_folders():
        code = _run()
    sys.exit(code)


def _run() -> int:
    """Run the command that was asked for, say what went wrong, and return the exit code."""
    try:
        code: int = cli.main(standalone_mode=False)
    except (UserError, SweepError, TrackingError, ClusterError, OSError) as error:
        if "--debug" in sys.argv:
            raise
        from orchestrator.credentials import without_secrets  # a fifth of what --help costs

        click.echo(f"error: {without_secrets(_told(error))}", err=True)
        code = _code_of(error)
    except click.ClickException as error:
        error.show()
        code = WRONG_INPUT
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        code = INTERRUPTED
    except Exception as error:
        found = list(shadows())
        told = "\n".join([*(f"  {shadow}" for shadow in found), f"  remedy:  {REMEDY}"])
        if "--debug" in sys.argv or not any(_is_of(error, shadow) for shadow in found):
            if found:
                error.add_note(f"Perhaps it is of a module that is found in place of another:\n{told}")
            raise
        click.echo(f"error: {type(error).__name__}: {error}\n{told}", err=True)
        code = WRONG_INPUT
    return code


def _told(error: Exception) -> str:
    """Return what an error says; of a disk, which file it is about, and what to do."""
    if not isinstance(error, OSError) or error.errno is None or error.strerror is None:
        return str(error)
    paths = [str(path) for path in (error.filename, error.filename2) if path is not None]
    where = f"{' -> '.join(paths)}: " if paths else ""
    return explained(f"{where}{error.strerror}", remedy=DISK_REMEDY.get(error.errno, ""))


def _is_of(error: Exception, shadow: Shadow) -> bool:
    """Return whether an error comes from a module that is found in place of another: from importing, or using it."""
    files = {frame.filename for frame in traceback.extract_tb(error.__traceback__)}
    importing = isinstance(error, ImportError) or any("importlib" in file for file in files)
    return importing or shadow.found in files or getattr(getattr(error, "obj", None), "__name__", "") == shadow.name


def _code_of(error: ExplainedError | OSError) -> int:
    wrong_path = isinstance(error, OSError) and error.errno in PATH_ERRORS
    return WRONG_INPUT if wrong_path or isinstance(error, UserError) else INCOMPLETE
