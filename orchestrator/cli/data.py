"""``zetasweep data``: what is there, whether it can be trusted, and decoding it ahead of time."""

from __future__ import annotations

import click

from orchestrator.cli.lazy import Entry, LazyGroup

COMMANDS = {
    "check": Entry(
        "orchestrator.cli.data_check:check",
        "Count images, and find unreadable ones and duplicates across splits; exit with 1 if there are any.",
    ),
    "clear": Entry(
        "orchestrator.cli.data_clear:clear", "Remove decoded images; they are decoded again when they are needed."
    ),
    "list": Entry(
        "orchestrator.cli.data_list:list_", "Show which data sets are known, where each is expected, and what is there."
    ),
    "prepare": Entry(
        "orchestrator.cli.data_prepare:prepare",
        "Decode the images of an experiment now, so that no training waits for it.",
    ),
}


@click.group(cls=LazyGroup, entries=COMMANDS)
def data() -> None:
    """List, check, decode and clear data sets."""
