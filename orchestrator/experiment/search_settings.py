"""The section ``search``, typed and frozen: which configurations are tried, and which of them train to the end.

The description of a field is what a user is told is allowed there.
"""

from __future__ import annotations

from typing import Annotated, Literal, NoReturn

from pydantic import BeforeValidator, Field, ValidationInfo, WithJsonSchema, field_validator, model_validator

from orchestrator.experiment.field_types import TEXT_PATTERN, Bool, Count, Frozen, Integer, Real, Text, refuse

SamplerName = Literal["grid", "random", "qmc", "optuna"]
# So many are asked of a sampler that learns, where the file says nothing: each waits for the results of those before.
USUAL_BATCH = 8
# Their members change what they train with on the way.
_POPULATIONS = ("pbt", "pb2", "population_based", "populationbasedtraining")
# They stop single trials, on the epochs that these have so far.
_PER_TRIAL = ("asha", "hyperband", "bohb", "median", "median_stopping", "successive_halving")
_SCHEDULE = (
    "A member of a population has no fixed configuration, so no key, and no seeds to compare it by. What it would find "
    "is a schedule, which is raced like any other value: gamma: {linear: [6.0, 2.0]}."
)
_RACE = (
    "It stops single seeds on early epochs: where mixing wins late its winners were worse than a ladder's, and most "
    "had one seed at the end: race: ladder."
)


def _sampler_of_configurations(value: object) -> object:
    if isinstance(value, str) and value.lower() in _POPULATIONS:
        raise refuse("grid, random, qmc or optuna", _SCHEDULE)
    return value


def _race_of_configurations(value: object) -> object:
    for refused, remedy in ((_POPULATIONS, _SCHEDULE), (_PER_TRIAL, _RACE)):
        if isinstance(value, str) and value.lower() in refused:
            raise refuse("none, ladder, or rungs written out", remedy)
    return value


def _one_or_more(value: object) -> object:
    return (value,) if isinstance(value, str) else value


_ROW_SCHEMA = {"type": "string", "pattern": TEXT_PATTERN}
_ROWS_SCHEMA = {"anyOf": [_ROW_SCHEMA, {"type": "array", "items": _ROW_SCHEMA}]}
Rows = Annotated[tuple[Text, ...], BeforeValidator(_one_or_more), WithJsonSchema(_ROWS_SCHEMA)]
_ROWS = "the name of an augmentation or a row as the table shows it, or a list of these"


class RungSettings(Frozen):
    """A rung that is written out."""

    seeds: Count = Field(
        title="of each configuration that is left the first so many seeds are trained",
        description="an integer, at least 1",
    )
    epochs: Count = Field(title="until this epoch", description="an integer, at least 1")
    keep: Count = Field(title="so many configurations go on", description="an integer, at least 1")


class Budget(Frozen):
    """What a search may take of each data set and model."""

    device_hours: Real | None = Field(
        title="GPU hours, or where there are no GPUs hours of a slot; they become epochs by the speed of the "
        "first rung",
        default=None,
        gt=0,
        description="a finite number above 0, or null; either this or epochs",
    )
    epochs: Count | None = Field(
        title="epochs of all cells together",
        default=None,
        description="an integer, at least 1, or null; either this or device_hours",
    )

    @model_validator(mode="after")
    def _is_one(self) -> Budget:
        if (self.device_hours is None) == (self.epochs is None):
            raise refuse("either device_hours or epochs", "Write budget: {epochs: 2000}, or leave it out.")
        return self


class Confirming(Frozen):
    """What ``zetasweep confirm``, a command of its own, trains on fresh seeds, where no option says it."""

    top: Count | None = Field(
        title="how many of the best rows, beside the baselines",
        default=None,
        description="an integer, at least 1, or null",
    )
    seeds: Annotated[int, Field(strict=True, ge=2)] | None = Field(
        title="on how many seeds, none of which the search had",
        default=None,
        description="an integer, at least 2, or null",
    )
    against: Rows = Field(
        title="the baselines; an empty list is what a table compares with; of a name that several rows have, the one "
        "that is placed best",
        default=(),
        description=_ROWS,
    )

    @field_validator("seeds", mode="before")
    @classmethod
    def _are_counted(cls, seeds: object) -> object:
        if isinstance(seeds, list):
            raise refuse(
                "how many seeds, an integer, at least 2",
                "Which ones is not chosen: they begin at 1000000, so that none is one that has helped to choose.",
            )
        return seeds


class SearchSettings(Frozen):
    """Which configurations are tried, and which of them train to the end.

    Attributes:
        race: As it is written; rungs are checked to be ones that can be raced.
    """

    sampler: Annotated[SamplerName, BeforeValidator(_sampler_of_configurations)] = Field(
        title="where the configurations lie: grid tries all of the lists, qmc spreads evenly, optuna learns from the "
        "batches before",
        default="grid",
        description="grid, which takes lists only, random, qmc or, with the extra zetasweep[optuna], optuna",
    )
    num_samples: Count | None = Field(
        title="how many configurations are tried, of each data set and model",
        default=None,
        description="an integer, at least 1; null with the sampler grid, which tries all",
    )
    batch: Count | None = Field(
        title=f"how many are asked of optuna at a time, each batch raced to its end; null is {USUAL_BATCH}",
        default=None,
        description="an integer, at least 1, with the sampler optuna; null with the others, which learn nothing",
    )
    race: Annotated[
        Literal["none", "ladder"] | tuple[RungSettings, ...],
        BeforeValidator(_race_of_configurations),
    ] = Field(
        title="which of them train on: none trains all to the end",
        default="none",
        description="none, ladder, or rungs written out: [{seeds: 1, epochs: 15, keep: 16}, ...]",
    )
    metric: Literal["error"] = Field(
        title="what a race compares and a sampler is told, of validation", default="error", description="error"
    )
    keep: Rows = Field(
        title="what is never stopped; of a name that several configurations have, the best of each rung",
        default=(),
        description=_ROWS,
    )
    budget: Budget | None = Field(
        title="what the search of each data set and model may take: it becomes narrower, and still ends with a winner",
        default=None,
        description="{device_hours: 8} or {epochs: 2000}, or null for none",
    )
    confirm: Confirming | None = Field(
        title="what the command zetasweep confirm trains on fresh seeds once the search is over, without which no "
        "difference of it has an interval; run ends by saying the command",
        default=None,
        description="{top: 3, seeds: 10, against: [erm]}, or null for what that command takes",
    )
    warm_start: Bool | None = Field(
        title="whether finished cells of the same data set and model are told to optuna, once, at the beginning",
        default=None,
        description="true, or false or null for none",
    )
    seed: Annotated[Integer, Field(ge=0, le=2**32 - 1)] | None = Field(
        title="of all that samplers draw; null is 0",
        default=None,
        description="an integer from 0 to 4294967295, or null with the sampler grid, which draws nothing",
    )

    @field_validator("metric", mode="before")
    @classmethod
    def _of_validation(cls, metric: object) -> object:
        if isinstance(metric, str) and metric.split("/")[0] == "test":
            raise refuse(
                "error, of validation",
                "What chooses by the test set has nothing left to test on; confirm trains the winner anew for that.",
            )
        if metric != "error":
            raise refuse(
                "error, of validation",
                "A race was shown to find good rows by the error alone. Leave it out; for another metric race: none "
                "trains all rows, and compare.metric decides between them.",
            )
        return metric

    @field_validator("num_samples")
    @classmethod
    def _grid_tries_all(cls, num_samples: int | None, info: ValidationInfo) -> int | None:
        if num_samples is not None and info.data.get("sampler") == "grid":
            raise refuse("null with search.sampler=grid, which tries all", "Leave it out, or write sampler: random.")
        return num_samples

    @field_validator("batch", "warm_start")
    @classmethod
    def _optuna_learns(cls, value: int | bool | None, info: ValidationInfo) -> int | bool | None:
        sampler = info.data.get("sampler")
        if value not in (None, False) and sampler in ("grid", "random", "qmc"):
            _refuse_for(sampler, "which learns nothing", "Leave it out, or write sampler: optuna.")
        return value

    @field_validator("seed")
    @classmethod
    def _grid_draws_nothing(cls, seed: int | None, info: ValidationInfo) -> int | None:
        if seed is not None and info.data.get("sampler") == "grid":
            _refuse_for("grid", "which draws nothing", "Leave it out; seeds of the trainings stand at seed.")
        return seed

    @property
    def is_drawn(self) -> bool:
        """Whether configurations are chosen by a sampler, and not simply all."""
        return self.sampler != "grid"


def _refuse_for(sampler: str, why: str, remedy: str) -> NoReturn:
    raise refuse(f"null with search.sampler={sampler}, {why}", remedy)
