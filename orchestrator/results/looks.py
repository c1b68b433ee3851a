"""Looks at a table before it had all of its seeds: who adds seeds until rows are told apart finds what is not there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

Seeds = Mapping[str, Set[str]]
"""Which seeds stood: of each configuration, by its key, the replicates that had a value."""


def earlier_looks(now: Seeds, looks: Sequence[Seeds]) -> list[Set[tuple[str, str]]]:
    """Return the looks after which seeds were added to what was looked at, as pairs of key and replicate.

    Args:
        now: What stands in a column. A look without a seed in common, as before a confirmation by fresh seeds alone,
            does not count, nor does one at the same seeds or at more of them.
        looks: All that there were.
    """
    of_column = {_pairs({key: look[key] for key in now.keys() & look.keys()}): None for look in looks}
    return [look for look in of_column if _was_added_to(look, now)]


def _pairs(seeds: Seeds) -> frozenset[tuple[str, str]]:
    return frozenset((key, seed) for key, of_key in seeds.items() for seed in of_key)


def _was_added_to(look: Set[tuple[str, str]], now: Seeds) -> bool:
    before: dict[str, set[str]] = {}
    for key, seed in look:
        before.setdefault(key, set()).add(seed)
    return any(seeds & now[key] and not now[key] <= seeds for key, seeds in before.items())
