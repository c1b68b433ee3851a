"""How the section ``search`` is read."""

from __future__ import annotations

from orchestrator.experiment.problems import Problems, read_section
from orchestrator.experiment.search_settings import RungSettings, SearchSettings


def read_search(problems: Problems, raw: object) -> SearchSettings | None:
    """Return the section ``search``; None if there is none, or something is wrong with it.

    Args:
        problems: Takes the problems.
        raw: What stands in the file.
    """
    if raw is None:
        return None
    rungs: list[RungSettings | None] = []
    if isinstance(raw, dict) and isinstance(race := raw.get("race"), list) and race:
        # Each rung by itself: of a value that may be a word, too, pydantic says only that it is neither.
        rungs = [
            read_section(problems, RungSettings, rung, key=f"search.race[{index}]") for index, rung in enumerate(race)
        ]
        raw = {**raw, "race": [rung for rung in rungs if rung is not None] or "none"}
    found = read_section(problems, SearchSettings, raw, key="search")
    return found if None not in rungs else None
