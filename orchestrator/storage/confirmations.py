"""What is confirmed of a sweep, as it was chosen: a file that keeps it as it is from the first cell on."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from orchestrator.errors import UserError
from orchestrator.storage.atomic import written_whole

# Far from what people write, so that the seeds of a confirmation are told from a sweep's wherever they stand.
FIRST_SEED = 1_000_000


class _Record(BaseModel):
    # What a later version adds is no mistake.
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class RankedRow(_Record):
    """A row as it stood when the choice was made.

    Attributes:
        row: As tables show it.
        configuration: What its cells share (``Cell.config_key``).
        mean: Of the metric that decided, over `cells`; None without a value.
        cells: The keys of the cells that the mean is of.
        num_planned: How many cells it should have had.
        rung: In which rung a race had stopped it; None for one that had trained to the end. Its mean is the validation
            error at the end of that rung.
        loss: What tells it apart from equal ones, of a search; None without one.
    """

    row: str
    configuration: str
    mean: float | None
    cells: tuple[str, ...]
    num_planned: int
    rung: int | None = None
    loss: float | None = None


class Choice(_Record):
    """What is confirmed of a column.

    Attributes:
        dataset: The data set, as tables show it.
        model: The network.
        number: 1, or more if the column was chosen for before.
        chosen_at: When, UTC, e.g. ``2026-11-29 17:40``.
        metric: What decided: of validation, at the tested epoch.
        top: How many rows were asked for, beside the baselines.
        against: The baselines; the first is the one that a table compares with.
        asked: As what they were asked for, where of a search a name stood for the best row that has it.
        taken: The rows that are trained: the best of validation, and then the baselines.
        passed_over: The others, best first.
        seeds: Those that they are trained with, from `FIRST_SEED` on.
        looked_at: With how many seeds there were results when more were added, each time.
    """

    dataset: str
    model: str
    number: int
    chosen_at: str
    metric: str
    top: int
    against: tuple[str, ...]
    taken: tuple[RankedRow, ...]
    passed_over: tuple[RankedRow, ...]
    seeds: tuple[int, ...]
    looked_at: tuple[int, ...] = ()
    asked: tuple[str, ...] = ()

    @property
    def column(self) -> tuple[str, str]:
        """Data set and model, as tables show them."""
        return self.dataset, self.model


class Confirmation(_Record):
    """What is confirmed of a sweep.

    Attributes:
        format: Of the file.
        sweep: The experiment's name.
        choices: One for each column that was chosen for.
        earlier: Those that a later choice of the same column has replaced.
    """

    format: Literal[1] = 1
    sweep: str
    choices: tuple[Choice, ...] = ()
    earlier: tuple[Choice, ...] = ()

    @property
    def trainings(self) -> frozenset[tuple[str, int]]:
        """All that is, or was, kept for confirming: configurations with seeds."""
        choices = (*self.choices, *self.earlier)
        return frozenset((row.configuration, seed) for each in choices for row in each.taken for seed in each.seeds)

    def save(self, path: Path) -> None:
        """Write it to `path`, whole or not at all.

        Raises:
            OSError: The disk is full or not writable; the file that was there stays.
        """
        with written_whole(path) as file:
            file.write(self.model_dump_json(indent=2).encode())

    @classmethod
    def load(cls, path: Path, *, shown: str = "") -> Confirmation | None:
        """Return what `save` wrote to `path`, which people know as `shown`; None if there is no such file.

        Raises:
            UserError: It is damaged, or of a later version's format.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise UserError(
                f"{shown or path}: no confirmation that this version of zetasweep reads ({where or 'JSON'}: "
                f"{first['msg']})",
                remedy="restore it, or read it with the version that wrote it; without it, what was confirmed is "
                "chosen anew, on other seeds",
            ) from error
