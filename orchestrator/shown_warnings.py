"""What zetasweep warns of, wherever it does, is shown to the user, and not only logged."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class _Shown(logging.Handler):
    """Shows warnings and errors, without credentials.

    What has a traceback is for the log: what it means is said apart.
    """

    def __init__(self, show: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._show = show

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record; whatever goes wrong with that ends nothing."""
        from orchestrator.credentials import without_secrets  # a fifth of what --help costs

        try:
            if not record.exc_info:
                self._show(without_secrets(record.getMessage()))
        except Exception:  # noqa: BLE001 - as logging has it: where a line is lost, what it is about goes on
            self.handleError(record)


@contextmanager
def warnings_shown_by(show: Callable[[str], None]) -> Iterator[None]:
    """While it lasts, have `show`, and nothing else, show what this process warns of.

    Args:
        show: Takes a text of one or more lines; from whichever thread.
    """
    ours = logging.getLogger("orchestrator")
    before = [handler for handler in ours.handlers if isinstance(handler, _Shown)]
    shown = _Shown(show)
    for handler in before:
        ours.removeHandler(handler)
    ours.addHandler(shown)
    try:
        yield
    finally:
        ours.removeHandler(shown)
        for handler in before:
            ours.addHandler(handler)
