"""Where a cell stands in the table: its row is a configuration, its column what it was trained on."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.experiment import AugmentSpec, Cell, DatasetSpec


@dataclass(frozen=True)
class Column:
    """What a column of the table was trained on."""

    dataset: str
    model: str

    @property
    def label(self) -> str:
        """``dataset / model``."""
        return f"{self.dataset} / {self.model}"


@dataclass(frozen=True)
class Layout:
    """The places of a table.

    Attributes:
        rows: Labels of the configurations, in the experiment's order: the augmentation, and of all other settings those
            that differ within a column, e.g. ``erm, lr=0.05``.
        columns: Data set and model, in the experiment's order.
        cells: Of each place that has some; they differ in seed and fold alone, unless settings were left out of the
            labels.
        augments: What each row is of.
        settings: Of each column, what differs between columns alone, e.g. ``epochs=5``; empty where nothing does.
    """

    rows: tuple[str, ...]
    columns: tuple[Column, ...]
    cells: Mapping[tuple[str, Column], tuple[Cell, ...]]
    augments: Mapping[str, AugmentSpec]
    settings: Mapping[Column, str]

    def of_column(self, column: Column) -> dict[str, tuple[Cell, ...]]:
        """Return the cells of each row in a column; of the rows that are not planned there none."""
        return {row: self.cells.get((row, column), ()) for row in self.rows}

    def check(self) -> None:
        """Raise ValueError if a place has cells of several configurations, or the same cell twice."""
        for members in self.cells.values():
            unlike = any(_configuration(cell) != _configuration(members[0]) for cell in members)
            if unlike or len({cell.replicate for cell in members}) < len(members):
                raise ValueError(
                    f"these cells share a place of the table, and differ in more than seed and fold, or not at all: "
                    f"{', '.join(cell.key for cell in members)}"
                )


def lay_out(cells: Sequence[Cell], *, left_out: Collection[str] = ()) -> Layout:
    """Return the place of each cell.

    Args:
        cells: In the experiment's order.
        left_out: Settings that are no part of the labels, as in `Cell.settings`.
    """
    names = _names_of_datasets(cells)
    at = [Column(names[cell.dataset.over_folds], cell.model.label) for cell in cells]
    settings = [_without(cell.settings, left_out) for cell in cells]
    within, between = _differing(at, settings)
    shown_as = _short([*within, *between])
    rows = [
        ", ".join([cell.augment.label, *_written(of_cell, within, shown_as)])
        for cell, of_cell in zip(cells, settings, strict=True)
    ]
    places: dict[tuple[str, Column], list[Cell]] = {}
    for row, column, cell in zip(rows, at, cells, strict=True):
        places.setdefault((row, column), []).append(cell)
    return Layout(
        rows=tuple(dict.fromkeys(rows)),
        columns=tuple(dict.fromkeys(at)),
        cells={place: tuple(members) for place, members in places.items()},
        augments={row: cell.augment for row, cell in zip(rows, cells, strict=True)},
        settings={
            column: ", ".join(_written(of_cell, between, shown_as))
            for column, of_cell in zip(at, settings, strict=True)
        },
    )


def last_part(setting: str) -> str:
    """Return what is shown of a setting's name: ``lr`` of ``train.lr``."""
    return setting.rpartition(".")[2]


def varying(cells: Sequence[Cell]) -> list[str]:
    """Return the settings in which cells differ."""
    settings = [cell.settings for cell in cells]
    return [name for name in _all_names(settings) if len({of_cell.get(name) for of_cell in settings}) > 1]


def rows_named(augments: Mapping[str, AugmentSpec], name: str) -> tuple[str, ...]:
    """Return the rows that a name means.

    Args:
        augments: Of each row.
        name: A row's label, or the augmentation that it has, with parameters or without.
    """
    if name in augments:
        return (name,)
    return tuple(row for row, augment in augments.items() if name in (augment.label, augment.name))


def _names_of_datasets(cells: Sequence[Cell]) -> dict[DatasetSpec, str]:
    """Return what each data set is called: by its options where another one has the same name."""
    specs = dict.fromkeys(cell.dataset.over_folds for cell in cells)
    called: dict[str, int] = {}
    for spec in specs:
        called[spec.label] = called.get(spec.label, 0) + 1
    plain = {spec: spec.model_copy(update={"shown_as": None}).label for spec in specs}
    return {spec: spec.label if called[spec.label] == 1 else f"{spec.label}: {plain[spec]}" for spec in specs}


def _configuration(cell: Cell) -> dict[str, object]:
    """Return what `Cell.config_key` is a digest of, which takes longer."""
    return {**dict(cell), "dataset": cell.dataset.over_folds, "seed": None}


def _without(settings: Mapping[str, str], left_out: Collection[str]) -> dict[str, str]:
    return {name: value for name, value in settings.items() if name not in left_out}


def _all_names(settings: Sequence[Mapping[str, str]]) -> list[str]:
    return list(dict.fromkeys(name for of_cell in settings for name in of_cell))


def _differing(at: Sequence[Column], settings: Sequence[Mapping[str, str]]) -> tuple[list[str], list[str]]:
    """Return the settings that differ within a column, and those that differ between columns alone."""
    within, between = [], []
    for name in _all_names(settings):
        found: dict[Column, set[str | None]] = {}
        for column, of_cell in zip(at, settings, strict=True):
            found.setdefault(column, set()).add(of_cell.get(name))
        if any(len(values) > 1 for values in found.values()):
            within.append(name)
        elif len(set().union(*found.values())) > 1:
            between.append(name)
    return within, between


def _short(names: Sequence[str]) -> dict[str, str]:
    """Return the last part of each name, or the whole where another one has the same."""
    last = [last_part(name) for name in names]
    return {name: part if last.count(part) == 1 else name for name, part in zip(names, last, strict=True)}


def _written(settings: Mapping[str, str], names: Sequence[str], shown_as: Mapping[str, str]) -> list[str]:
    return [f"{shown_as[name]}={settings[name]}" for name in names if name in settings]
