"""Keeps the terminal for the sweep: what Ray, Tune and MLflow print goes to a log file, beside what the sweep says."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from orchestrator.credentials import without_secrets
from orchestrator.lasting_output import LastingText
from orchestrator.shown_warnings import warnings_shown_by
from orchestrator.terminal import new_console, print_lines


class _Formatter(logging.Formatter):
    """Leaves credentials out, also of tracebacks."""

    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


@contextmanager
def output_to(log: Path) -> Iterator[Console]:
    """Send this process's output and errors, native code included, to `log`; yield a console on the old output.

    What zetasweep warns of is shown there, too.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    terminal, errors = os.dup(1), os.dup(2)
    console_file = LastingText(os.fdopen(os.dup(terminal), "wb"), encoding=sys.stdout.encoding or "utf-8")
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
    ours = logging.getLogger("orchestrator")
    level = ours.level
    ours.setLevel(logging.INFO)
    console = new_console(console_file)
    try:
        with warnings_shown_by(lambda text: print_lines(console, [text], style="yellow")):
            yield console
    finally:
        ours.setLevel(level)
        logging.getLogger().removeHandler(handler)
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(terminal, 1)
        os.dup2(errors, 2)
        os.close(terminal)
        os.close(errors)
        console_file.close()
