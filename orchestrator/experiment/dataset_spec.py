"""What an experiment file says about a data set: which images, how large, and what is done to them in training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from augment import ColorJitter, RandomResizedCrop, TrainTransform
from orchestrator.data import DATASETS
from orchestrator.experiment.field_types import Bool, Count, Frozen, Integer, Real, Text, call_of, refuse
from orchestrator.experiment.layout_spec import ColumnNames, PathInside, SplitNames
from orchestrator.experiment.transform_spec import ColorJitterSpec, ResizedCropSpec

VAL_FRACTION = 0.1
# More are of no use, and the list of cells would be long.
MAX_FOLDS = 1000
# The field of what an experiment file calls ``name``: that of the field is the data set's in the registry.
SHOWN_AS = "shown_as"
# In pixels: photographs of skin have up to 6,000.
_LARGEST = 8192
_Side = Annotated[int, Field(strict=True, ge=1, le=_LARGEST)]


def written(field: str) -> str:
    """Return what an experiment file calls a field of `DatasetSpec`."""
    return "name" if field == SHOWN_AS else field


class DatasetSpec(Frozen):
    """A data set and what is done to it; the registry's defaults are filled in, and what has no effect is neutral.

    Attributes:
        image_size: What the model is trained and tested on; tested on the centre.
        cache_size: What images are resized to when they are decoded, if other than `image_size`; crops are taken from
            it.
        shown_as: What the experiment file calls ``name``: its name in tables.
        fold: Given if `folds` is: an experiment file's list becomes several of these.
    """

    name: str = Field(title="which one", description="the name of a data set")
    folder: PathInside | None = Field(
        title="where images of your own lie",
        default=None,
        validate_default=True,
        description="a path below data_dir, for image_folder only",
    )
    file: PathInside | None = Field(
        title="where a file of MedMNIST's format lies",
        default=None,
        validate_default=True,
        description="a path below data_dir, for medmnist_npz only",
    )
    shown_as: Text | None = Field(
        title="its name in tables, in place of all options", default=None, description="a name of your choice"
    )
    csv: PathInside | None = Field(
        title="a table below folder: a column for images, and their labels, splits and groups",
        default=None,
        description="a path below folder, for image_folder only",
    )
    columns: ColumnNames | None = Field(
        title="what the columns of csv are called, where not as usual",
        default=None,
        description="{image: name, label: name, split: name, group: name}, with csv only",
    )
    splits: SplitNames | None = Field(
        title="what the folders of the splits, or the splits in csv, are called",
        default=None,
        description="{train: name, val: name, test: name}, for image_folder only",
    )
    on_unreadable: Literal["refuse", "skip"] | None = Field(
        title="what is done with files that cannot be read: skip leaves them out",
        default=None,
        description="refuse or skip",
    )
    folds: Annotated[int, Field(strict=True, ge=2, le=MAX_FOLDS)] | None = Field(
        title="into how many folds all images are dealt, whatever splits the set has",
        default=None,
        description=f"an integer from 2 to {MAX_FOLDS}, or null for the splits of the set",
    )
    fold: Annotated[int, Field(strict=True, ge=0)] | None = Field(
        title="the fold that is tested on, or a list; all if left out",
        default=None,
        validate_default=True,
        description="integers from 0 to folds - 1",
    )
    image_size: _Side | None = Field(
        title="the side in pixels that the model is trained and tested on",
        default=None,
        description=f"the side in pixels to resize to, 1 to {_LARGEST}; null to keep it",
    )
    cache_size: _Side | None = Field(
        title="the side in pixels that images are decoded to; crops are taken from it",
        default=None,
        description=f"the side in pixels to decode to, image_size to {_LARGEST}; null for image_size",
    )
    val_fraction: Real = Field(
        title="the share of the training images that is validation, where a set has none of its own",
        default=VAL_FRACTION,
        gt=0,
        lt=1,
        description="a number above 0 and below 1",
    )
    num_train: Count | None = Field(
        title="how many of the training images are used, validation among them",
        default=None,
        description="an integer, at least 1, or null for all images",
    )
    crop_padding: Integer = Field(
        title="pixels around an image before it is cropped at random",
        ge=0,
        le=_LARGEST,
        description=f"an integer from 0 to {_LARGEST}; 0 with random_resized_crop",
    )
    padding_mode: Literal["constant", "reflect"] = Field(
        title="what the padding shows: black, or the image mirrored",
        default="constant",
        description="constant or reflect",
    )
    hflip: Bool = Field(title="whether images are mirrored at random, left to right", description="true or false")
    vflip: Bool = Field(
        title="whether images are mirrored at random, top to bottom", default=False, description="true or false"
    )
    rot90: Bool = Field(
        title="whether images are turned by quarters at random", default=False, description="true or false"
    )
    random_resized_crop: ResizedCropSpec | None = Field(
        title="a random part of the image, resized",
        default=None,
        description="{scale: [low, high], ratio: [low, high]}, or null",
    )
    color_jitter: ColorJitterSpec | None = Field(
        title="random changes of brightness, contrast, saturation and hue",
        default=None,
        description="{brightness: x, contrast: x, saturation: x, hue: x}, or null",
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_defaults(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("name"), str) or data["name"] not in DATASETS:
            return data
        return {**cls._usual(data["name"], data), **data}

    @staticmethod
    def _usual(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the registry says about a data set where an experiment says nothing."""
        info = DATASETS[name]
        padding = 0 if options.get("random_resized_crop") is not None else info.crop_padding
        return {"crop_padding": padding, "hflip": info.hflip}

    @field_validator("folder", "file")
    @classmethod
    def _path_of_your_own(cls, path: str | None, info: ValidationInfo) -> str | None:
        name, option = str(info.data.get("name")), str(info.field_name)
        wanted = DATASETS[name].path_option if name in DATASETS else None
        if path is None and wanted == option:
            raise refuse(f"the {option}, below data_dir, of {name}", f"Write {name}: {{{option}: PATH}}.")
        if path is not None and wanted != option:
            allowed = [name for name, known in DATASETS.items() if known.path_option == option]
            place = f"{name} has the option {wanted}" if wanted else f"{name} lies in its own place below data_dir"
            raise refuse(f"for {', '.join(allowed)} only", f"Remove it: {place}.")
        return path

    @field_validator(SHOWN_AS)
    @classmethod
    def _no_other_set(cls, shown_as: str | None, info: ValidationInfo) -> str | None:
        if shown_as in DATASETS and shown_as != info.data.get("name"):
            raise refuse("a name that no other data set has", "Choose another; the data set itself stands before it.")
        return shown_as

    @field_validator("csv", "splits")
    @classmethod
    def _layout_of_your_own(cls, value: object, info: ValidationInfo) -> object:
        name, option = str(info.data.get("name")), str(info.field_name)
        if value is not None and name in DATASETS and option not in DATASETS[name].layout_options:
            allowed = [name for name, known in DATASETS.items() if option in known.layout_options]
            raise refuse(f"for {', '.join(allowed)} only", "Remove it.")
        return None if value == SplitNames() else value

    @field_validator("columns")
    @classmethod
    def _columns_of_a_table(cls, value: ColumnNames | None, info: ValidationInfo) -> ColumnNames | None:
        if value is not None and info.data.get("csv") is None:
            raise refuse("null without csv", "Name the table: csv: labels.csv.")
        return None if value == ColumnNames() else value

    @field_validator("on_unreadable")
    @classmethod
    def _nothing_is_skipped(cls, value: str | None) -> str | None:
        return None if value == "refuse" else value

    @field_validator("fold")
    @classmethod
    def _one_of_the_folds(cls, fold: int | None, info: ValidationInfo) -> int | None:
        if "folds" not in info.data:  # its own mistake
            return fold
        folds = info.data["folds"]
        if fold is not None and folds is None:
            raise refuse("null without folds", "Say how many there are: folds: 5.")
        if folds is not None and (fold is None or fold >= folds):
            raise refuse(f"an integer from 0 to {folds - 1}, or a list of them", "Change it, or leave it out for all.")
        return fold

    @field_validator("cache_size")
    @classmethod
    def _cache_holds_the_image(cls, cache_size: int | None, info: ValidationInfo) -> int | None:
        image_size = info.data.get("image_size")
        if cache_size is not None and image_size is not None and cache_size < image_size:
            raise refuse(f"at least image_size={image_size}", "Raise it, or remove it.")
        return None if cache_size == image_size else cache_size

    @field_validator("padding_mode")
    @classmethod
    def _nothing_to_pad(cls, mode: str, info: ValidationInfo) -> str:
        return mode if info.data.get("crop_padding") else "constant"

    @field_validator("random_resized_crop")
    @classmethod
    def _one_kind_of_crop(cls, value: ResizedCropSpec | None, info: ValidationInfo) -> ResizedCropSpec | None:
        if value is not None and info.data.get("crop_padding"):
            raise refuse("null with crop_padding above 0", "Keep one of the two crops.")
        return value

    @field_validator("color_jitter")
    @classmethod
    def _nothing_to_jitter(cls, value: ColorJitterSpec | None) -> ColorJitterSpec | None:
        return None if value == ColorJitterSpec() else value

    @classmethod
    def options_of(cls, name: str) -> list[str]:
        """Return the options that an experiment file may give a data set: some belong to one alone."""
        every = {option for info in DATASETS.values() for option in (info.path_option, *info.layout_options)}
        elsewhere = every - {DATASETS[name].path_option, *DATASETS[name].layout_options}
        if "csv" in elsewhere:
            elsewhere.add("columns")
        fields = [option for option in cls.model_fields if option != "name" and option not in elsewhere]
        return [written(option) for option in fields]

    @property
    def path(self) -> str | None:
        """Where images of your own lie, below ``data_dir``."""
        return self.folder or self.file

    @property
    def stored_size(self) -> int | None:
        """The side in pixels that images are decoded to; None: as they are."""
        return self.cache_size or self.image_size

    @property
    def layout(self) -> dict[str, Any]:
        """How images of your own lie there: what was said of it."""
        told = {option: getattr(self, option) for option in DATASETS[self.name].layout_options}
        plain = {option: value.model_dump(exclude_none=True) if isinstance(value, Frozen) else value
                 for option, value in told.items()}  # fmt: skip
        return {option: value for option, value in plain.items() if value is not None}

    @property
    def images_id(self) -> tuple[object, ...]:
        """The same for all specs that share their decoded images."""
        return self.name, self.path, self.csv, self.columns, self.splits, self.on_unreadable, self.stored_size

    @property
    def over_folds(self) -> DatasetSpec:
        """The same without the fold: what the folds of a data set have in common."""
        return self if self.fold is None else self.model_copy(update={"fold": None})

    def check_options(self) -> dict[str, Any]:
        """What `orchestrator.data.check_dataset` needs beside the name."""
        return {"path": self.path, "layout": self.layout}

    def open_options(self) -> dict[str, Any]:
        """What `orchestrator.data.open_dataset` needs beside the name."""
        skip = self.on_unreadable == "skip" and self.stored_size is None
        return {**self.check_options(), "skip_unreadable": skip}

    def decode_options(self) -> dict[str, Any]:
        """What `orchestrator.data.decode_dataset` needs beside the name."""
        skip = self.on_unreadable == "skip"
        return {**self.check_options(), "image_size": self.stored_size, "skip_unreadable": skip}

    def split_options(self) -> dict[str, Any]:
        """What `orchestrator.data.split_dataset` needs beside the name."""
        fold = {} if self.folds is None else {"folds": self.folds, "fold": self.fold}
        return {"val_fraction": self.val_fraction, "num_train": self.num_train, **fold}

    def transform(self) -> TrainTransform:
        """Return what is done to the training images."""
        crop, jitter = self.random_resized_crop, self.color_jitter
        return TrainTransform(
            image_size=self.image_size,
            crop_padding=self.crop_padding,
            padding_mode=self.padding_mode,
            hflip=self.hflip,
            vflip=self.vflip,
            rot90=self.rot90,
            random_resized_crop=RandomResizedCrop(**crop.model_dump()) if crop else None,
            color_jitter=ColorJitter(**jitter.model_dump()) if jitter else None,
        )

    @property
    def label(self) -> str:
        """What it is called, or the name with the options that differ from the defaults, e.g.
        ``cifar10(num_train=10000)``; the same for all folds.
        """
        if self.shown_as is not None:
            return self.shown_as
        options = self.model_dump(exclude={"name", "fold"}, exclude_defaults=True, exclude_none=True)
        for option, usual in self._usual(self.name, options).items():
            if options.get(option) == usual:
                del options[option]
        return call_of(self.name, options)
