"""Amounts as a reader sees them in messages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.filesize import decimal

from orchestrator.amounts import bytes_text, counted


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [
        (0, "worker", "0 workers"),
        (1, "worker", "1 worker"),
        (1797, "image", "1,797 images"),
        (1.0, "CPU", "1 CPU"),
        (0.5, "CPU", "0.5 CPUs"),
    ],
)
def test_one_is_singular(number: float, noun: str, text: str) -> None:
    assert counted(number, noun) == text


@given(st.integers(0, 2 * 10**15))
def test_bytes_are_what_rich_says(num_bytes: int) -> None:
    ours, theirs = bytes_text(num_bytes), decimal(num_bytes)
    # rich rounds 999,999 up to "1,000.0 kB" and has units beyond the terabyte.
    assert ours == theirs or theirs.startswith("1,000.0 ") or num_bytes >= 10**15


@pytest.mark.parametrize(
    ("num_bytes", "text"), [(999_949, "999.9 kB"), (999_950, "1.0 MB"), (3 * 10**15, "3,000.0 TB")]
)
def test_bytes_at_the_edges(num_bytes: int, text: str) -> None:
    assert bytes_text(num_bytes) == text
