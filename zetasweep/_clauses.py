"""What a contract is made of: sentences that hold, each a function that raises AssertionError where it does not."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any


def check_clauses(clauses: Sequence[Callable[..., None]], *subject: Any, without: Collection[str] = ()) -> None:
    """Try every clause on a subject.

    Args:
        clauses: They are named like sentences: ``test_`` is not before them, so that no collector takes them for tests.
        subject: What they are about: their arguments.
        without: The names of those that are not meant to hold.

    Raises:
        AssertionError: Names every clause that does not hold, and why.
        ValueError: `without` names none.
    """
    if unknown := set(without) - {clause.__name__ for clause in clauses}:
        raise ValueError(f"no such clause: {', '.join(sorted(unknown))}")
    broken = []
    for clause in (clause for clause in clauses if clause.__name__ not in without):
        try:
            clause(*subject)
        except Exception as error:  # noqa: BLE001 - whatever the code under test raises breaks the clause
            broken.append((clause.__name__, error))
    if broken:
        lines = [f"- {name}: {_said(error)}" for name, error in broken]
        told = f"{len(broken)} of {len(clauses)} clauses do not hold for {subject[0]}:\n" + "\n".join(lines)
        raise AssertionError(told) from broken[0][1]


@contextmanager
def refused(kind: type[Exception], *, saying: str = "") -> Iterator[None]:
    """Expect that what is done within it is refused, with these words in the message."""
    said = None
    try:
        yield
    except kind as error:
        said = str(error)
    assert said is not None, f"it is not refused with {kind.__name__}"
    assert saying in said, f"the refusal does not say {saying!r}: {said}"


def _said(error: Exception) -> str:
    said = " ".join(str(error).split())
    return said or "it does not hold" if isinstance(error, AssertionError) else f"{type(error).__name__}: {said}"
