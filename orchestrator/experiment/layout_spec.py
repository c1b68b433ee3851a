"""Where images of your own lie, and what their splits and the columns of their tables are called."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from orchestrator.data import plain_name
from orchestrator.experiment.field_types import TEXT_PATTERN, Frozen, Text, refuse


def _inside(folder: str) -> str:
    path = PurePosixPath(folder)
    # A link below data_dir may lead anywhere: whoever can put one there can also put images there.
    if path.is_absolute() or ".." in path.parts or folder.startswith("~"):
        raise refuse("a path below data_dir, relative and without .. or ~", "Move the images or set data_dir.")
    return str(path)


# The same for editors, as a JSON schema says it.
_INSIDE_PATTERN = r"^(?![/~])(?!(?:[\s\S]*/)?\.\.(?:/|$))" + TEXT_PATTERN.removeprefix("^")
PathInside = Annotated[Text, Field(json_schema_extra={"pattern": _INSIDE_PATTERN}), AfterValidator(_inside)]


class SplitNames(Frozen):
    """What the splits of images of your own are called: their folders, or what a table says."""

    train: PathInside | None = Field(title="training", default=None, description="a name")
    val: PathInside | None = Field(title="validation", default=None, description="a name")
    test: PathInside | None = Field(title="test", default=None, description="a name")

    @field_validator("val", "test")
    @classmethod
    def _no_other_splits(cls, name: str | None, info: ValidationInfo) -> str | None:
        # What is not named: train is there all the same, another whose usual name is taken is not.
        others = {"train": "train"} | {split: said for split, said in info.data.items() if said is not None}
        for split, other in others.items():
            if name is not None and plain_name(name) == plain_name(other):
                raise refuse(f"another name than that of {split}, {other}", "One folder cannot be two splits.")
        return name


class ColumnNames(Frozen):
    """What the columns of a table of images of your own are called."""

    image: Text | None = Field(title="the file", default=None, description="the name of a column")
    label: Text | None = Field(title="the class", default=None, description="the name of a column")
    split: Text | None = Field(title="the split, see splits", default=None, description="the name of a column")
    group: Text | None = Field(title="what belongs together", default=None, description="the name of a column")
