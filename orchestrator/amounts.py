"""Amounts in messages: how many of what, and how many bytes."""

from __future__ import annotations

from collections.abc import Sequence


def counted(number: float, noun: str) -> str:
    """Return e.g. ``1 worker``, ``1,797 images`` or ``0.5 CPUs``."""
    text = f"{number:,}" if isinstance(number, int) else f"{number:g}"
    return f"{text} {noun}" if number == 1 else f"{text} {noun}s"


def bytes_text(num_bytes: int) -> str:
    """Return a number of bytes in decimal units, e.g. ``17.3 kB``.

    As rich.filesize has it; training also runs where rich is not installed.
    """
    if num_bytes < 1000:
        return counted(num_bytes, "byte")
    amount = num_bytes / 1000
    for unit in ("kB", "MB", "GB"):
        if amount < 999.95:
            return f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:,.1f} TB"


def some(names: Sequence[str], *, at_most: int = 3) -> str:
    """Return the first few of some names, and how many there are more."""
    return ", ".join(names[:at_most]) + (f" and {len(names) - at_most:,} more" if len(names) > at_most else "")
