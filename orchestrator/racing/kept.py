"""What a search must not do twice, kept once: what was asked of a sampler, what was told to it first, how fast it is.

All else is made anew from the curves. None of this could be: another version of a sampler asks otherwise, cells are
finished meanwhile, and a machine is faster on another day.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from orchestrator.errors import UserError
from orchestrator.experiment import Column, expand
from orchestrator.search import Point, Told
from orchestrator.storage.atomic import written_whole

_DIGITS = 16


class Kept(BaseModel):
    """What is kept of a search.

    Attributes:
        format: Of the file.
        sweep: The experiment's name.
        asked: The points of each batch, by what was asked (`question`).
        drawn: The same points by `drawn_by` and by the ``config_key`` of their cells: what stays in another space.
        told: What a sampler was told of cells that were finished before the search, by column (`place`).
        epoch_s: How long an epoch of a cell takes, in seconds, by column: what device hours are in epochs.
    """

    # What a later version adds is no mistake.
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    format: Literal[1] = 1
    sweep: str
    asked: dict[str, tuple[Point, ...]] = {}
    drawn: dict[str, dict[str, Point]] = {}
    told: dict[str, tuple[Told, ...]] = {}
    epoch_s: dict[str, float] = {}

    def save(self, path: Path) -> None:
        """Write it to `path`, whole or not at all.

        Raises:
            OSError: The disk is full or not writable; the file that was there stays.
        """
        with written_whole(path) as file:
            file.write(self.model_dump_json(indent=2).encode())

    @classmethod
    def read(cls, text: str | bytes, *, origin: str) -> Kept:
        """Return what was written.

        Args:
            text: JSON.
            origin: Where it stands, for messages.

        Raises:
            UserError: It is damaged, or of a later version's format.
        """
        with _explained(origin):
            return cls.model_validate_json(text)

    @classmethod
    def of(cls, content: object, *, origin: str) -> Kept:
        """Return what plain data says, otherwise as `read`."""
        with _explained(origin):
            return cls.model_validate_json(json.dumps(content))

    @classmethod
    def load(cls, path: Path, *, shown: str = "") -> Kept | None:
        """Return what `save` wrote to `path`, which people know as `shown`; None if there is no such file.

        Raises:
            UserError: As `read`.
        """
        try:
            return cls.read(path.read_bytes(), origin=shown or str(path))
        except FileNotFoundError:
            return None

    def with_missing(self, other: Kept) -> tuple[Kept, int]:
        """Return what either has, and in how many places the other says something else: there its own counts."""
        mine, theirs = (each.model_dump() for each in (self, other))
        names = [name for name, value in mine.items() if isinstance(value, dict) and name != "drawn"]
        num_others = sum(
            theirs[name][key] != value for name in names for key, value in mine[name].items() if key in theirs[name]
        )
        merged = {name: {**getattr(other, name), **getattr(self, name)} for name in names}
        by = dict.fromkeys((*self.drawn, *other.drawn))
        drawn = {each: {**self.drawn.get(each, {}), **other.drawn.get(each, {})} for each in by}
        return self.model_copy(update={**merged, "drawn": drawn}), num_others


@contextmanager
def _explained(origin: str) -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(
            f"{origin}: nothing that this version of zetasweep reads of a search ({where or 'JSON'}: {first['msg']})",
            remedy="restore it, or read it with the version that wrote it; without it, a sampler is asked anew",
        ) from error


def place(column: Column) -> str:
    """Return what stands for a column as the file has it now: another space or another training is another place."""
    pair = (column.dataset, column.model)
    ends = [each for each in column.experiment.grid if (each.dataset, each.model) == pair]
    one_seed = column.experiment.model_copy(update={"seed": column.seeds[:1]})
    return _digest([repr(column.space), [cell.config_key for cell in expand(one_seed, ends)]])


def question(column: Column, num: int, told: Sequence[str]) -> str:
    """Return what stands for what is asked of a column's sampler.

    Of what it is told, which configurations they were (``config_key``), and not what became of them: with one seed more
    a search goes on with the same ones.
    """
    search = column.search
    return _digest([search.sampler, search.seed or 0, num, repr(column.space), [*told]])


def drawn_by(column: Column) -> str:
    """Return what stands for the sampler: of another one, or with another seed, nothing stays."""
    return f"{column.search.sampler} {column.search.seed or 0}"


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:_DIGITS]
