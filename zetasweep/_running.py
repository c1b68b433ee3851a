"""Reads experiments and runs them, as ``zetasweep run`` does."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from orchestrator.environment import prepare_program
from orchestrator.errors import UserError
from orchestrator.experiment import Experiment, load_experiment
from orchestrator.records import Outcome
from orchestrator.short_paths import short_temporary_folders
from orchestrator.shown_warnings import warnings_shown_by
from zetasweep import _overrides


def load(
    experiment: _overrides.Path,
    *,
    overrides: _overrides.Overrides = (),
    plugins: Sequence[_overrides.Path] | None = None,
) -> Experiment:
    """Return an experiment as its file says it, checked; neither data nor cluster is looked at.

    Args:
        experiment: The YAML file.
        overrides: Of its keys: ``{"train.epochs": 2}``, or ``["train.epochs=2"]`` as after ``-o``.
        plugins: Code of your own, as after ``--plugin``: files, or names of modules; it is used until another call says
            otherwise. None for those of ``ZETASWEEP_PLUGINS``.

    Raises:
        UserError: Anything is wrong with file or overrides; the message names all of it.
    """
    file = Path(_overrides.file_of(experiment))
    _overrides.use(plugins)
    return load_experiment(file, _overrides.written(overrides))


def run(
    experiment: _overrides.Path,
    *,
    overrides: _overrides.Overrides = (),
    plugins: Sequence[_overrides.Path] | None = None,
    download: bool = False,
) -> Outcome:
    """Run what is missing of an experiment, and print the comparison: ``zetasweep run`` from Python.

    The same call again continues, extends or does nothing. Ctrl-C, in a notebook the interruption of the kernel, saves
    what is trained and returns ``Outcome.INTERRUPTED``. In a script it stands below ``if __name__ == "__main__":``,
    since processes are started that import the script.

    Args:
        experiment: The YAML file.
        overrides: Of its keys, see `load`.
        plugins: Code of your own, see `load`.
        download: Fetch data sets and published weights that are missing.

    Returns:
        ``Outcome.DONE`` if MLflow has all cells, ``Outcome.INCOMPLETE`` if some have failed or MLflow did not take them
        (`zetasweep.results` says which), or ``Outcome.INTERRUPTED``.

    Raises:
        UserError: The input is wrong, nothing was started, or another sweep is at work on the same cells.
        SweepError: Storage does not answer any more, or was taken over; the same call goes on.
        TrackingError: MLflow refused something, or does not answer any more.
    """
    if threading.current_thread() is not threading.main_thread():
        raise UserError(
            "zetasweep.run: called in a thread, and only the main thread can take Ctrl-C",
            remedy="call it in the main thread, or start the command: zetasweep run",
        )
    file = _overrides.file_of(experiment)
    # Before Ray and MLflow are imported.
    prepare_program()
    with warnings_shown_by(partial(print, file=sys.stderr)), short_temporary_folders():
        from orchestrator.opened import Opened
        from orchestrator.opened.run import download as fetch
        from orchestrator.opened.run import run as run_opened

        _overrides.use(plugins)
        opened = Opened(file, _overrides.written(overrides))
        if download:
            fetch(opened)
        return run_opened(opened)
