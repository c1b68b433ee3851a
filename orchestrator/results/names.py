"""What rows, data sets and models are called where they are shown: as the experiment file says under ``names``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, NamedTuple

from orchestrator.experiment import label_of
from orchestrator.results.comparison import Column, Comparison
from orchestrator.results.readable import AUGMENTATIONS, DATASETS, SINGLE_IMAGES, SYMBOLS, model_name
from orchestrator.results.tex import escaped

# `combine` has parameters of its own, in brackets of their own, and a schedule in these has a third pair.
_INNER = r"(?:[^()]|\([^()]*\))*"
_ROW = re.compile(rf"(?P<name>\w+)(?:\((?P<parameters>(?:[^()]|\({_INNER}\))*)\))?")
_PARAMETER = re.compile(rf"(?P<name>[^=,\s]+)=(?P<value>(?:[^(),]|\({_INNER}\))*)")


@dataclass(frozen=True)
class Names:
    """Texts by what they stand for; each is shown as it is, in TeX too.

    Attributes:
        given: By the label of a row or a data set, or by the name of an augmentation, a data set or a model; behind a
            name, parameters and options stay.
    """

    given: Mapping[str, str] = field(default_factory=dict)

    def row(self, label: str) -> str:
        """Return what a table shows for a row: its label, unless the file says otherwise."""
        row = _parts_of(label)
        text = self._given_to(row)
        return _renamed(label, self.given) if text is None else text

    def readable_row(self, label: str) -> str:
        """Return it as a paper writes it, e.g. ``ζ-mixup (γ=2.8, N=4)``."""
        row = _parts_of(label)
        called = self.given.get(row.name) or AUGMENTATIONS.get(row.name)
        if (text := self._given_to(row)) is not None or called is None:
            return label if text is None else text
        called, parameters = _with_combined(called, row.parameters)
        values = ", ".join(f"{_symbol(name)[0]}={value}" for name, value in parameters)
        return f"{called} ({values}){row.rest}" if values else called + row.rest

    def row_tex(self, label: str) -> str:
        r"""Return it as a paper writes it, in TeX, e.g. ``$\zeta$-mixup ($\gamma=2.8$, $N=4$)``."""
        row = _parts_of(label)
        called = self.given.get(row.name) or AUGMENTATIONS.get(row.name)
        if (text := self._given_to(row)) is not None or called is None:
            return escaped(label if text is None else text)
        called, parameters = _with_combined(called, row.parameters)
        values = ", ".join(f"${_symbol(name)[1]}={_in_tex(value)}$" for name, value in parameters)
        return escaped(called) + (f" ({values})" if values else "") + escaped(row.rest)

    def label(self, text: str) -> str:
        """Return the label of the row that is shown as `text`; `text` itself if the file calls nothing so."""
        return label_of(text, self.given)

    def dataset(self, label: str) -> str:
        """Return what a table shows for a data set."""
        return self.given.get(label) or _renamed(label, self.given)

    def readable_dataset(self, label: str) -> str:
        """Return it as a paper writes it, e.g. ``CIFAR-10 (num_train=10000)``."""
        name, bracket, options = label.partition("(")
        called = self.given.get(name) or DATASETS.get(name)
        if label in self.given or called is None:
            return self.given.get(label, label)
        return f"{called} ({options}" if bracket else called

    def dataset_tex(self, label: str) -> str:
        """Return it as a paper writes it, in TeX."""
        return escaped(self.readable_dataset(label))

    def model(self, label: str) -> str:
        """Return what a table shows for a model."""
        return self.given.get(label) or _renamed(label, self.given)

    def readable_model(self, label: str) -> str:
        """Return it as a paper writes it, e.g. ``ResNet-18`` or ``TinyNet (width=8)``."""
        name, bracket, options = label.partition("(")
        called = self.given.get(name) or model_name(name)
        if label in self.given or called == name:
            return self.given.get(label, label)
        return f"{called} ({options}" if bracket else called

    def model_tex(self, label: str) -> str:
        """Return it as a paper writes it, in TeX."""
        return escaped(self.readable_model(label))

    def _given_to(self, row: _Parts) -> str | None:
        """Return what the file calls this very row, or the augmentation with these parameters that it begins with."""
        if (whole := self.given.get(row.call + row.rest)) is not None:
            return whole
        named = self.given.get(row.call) if row.parameters else None
        return None if named is None else named + row.rest


def named(comparison: Comparison, names: Names) -> Comparison:
    """Return the comparison with its rows, data sets and models called as `names` says."""
    rows = {row: names.row(row) for row in comparison.rows}
    columns = {
        column: Column(names.dataset(column.dataset), names.model(column.model)) for column in comparison.columns
    }
    if not names.given:
        return comparison
    shown: Comparison = _again(comparison, {**rows, **columns})
    return shown


class _Parts(NamedTuple):
    """A row's label in parts: ``zeta_mixup(gamma=2.8, num_mixed=4)``, and what else makes it a configuration."""

    name: str
    parameters: tuple[tuple[str, str], ...]
    call: str
    rest: str


def _parts_of(label: str) -> _Parts:
    found = _ROW.match(label)
    if found is None:
        return _Parts("", (), "", label)
    pairs = tuple((pair["name"], pair["value"]) for pair in _PARAMETER.finditer(found["parameters"] or ""))
    return _Parts(found["name"], pairs, found[0], label[found.end() :])


def _renamed(label: str, given: Mapping[str, str]) -> str:
    """Return `label` with another name before its parameters or options, if there is one."""
    name = re.match(r"\w*", label)
    assert name is not None  # an empty one at least
    return given.get(name[0], name[0]) + label[name.end() :]


def _with_combined(called: str, parameters: tuple[tuple[str, str], ...]) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Return the name with what is done to each image before, and the parameters of both."""
    own = tuple(pair for pair in parameters if pair[0] != "combine")
    combined = dict(parameters).get("combine")
    if combined is None:
        return called, own
    single = _parts_of(combined)
    beside = tuple((f"combine.{name}", value) for name, value in single.parameters)
    return f"{called} + {SINGLE_IMAGES.get(single.name, single.name)}", own + beside


def _in_tex(value: str) -> str:
    """Return a value as mathematics has it: words upright, pairs with a dash."""
    if re.fullmatch(r"[\d.]+-[\d.]+", value):
        return value.replace("-", r"\mbox{--}")
    return value if re.fullmatch(r"[-+\d.e]+", value) else rf"\mbox{{{escaped(value)}}}"


def _symbol(parameter: str) -> tuple[str, str]:
    return SYMBOLS.get(parameter, (parameter, rf"\mathrm{{{escaped(parameter)}}}"))


def _again(value: Any, new: Mapping[Any, Any]) -> Any:
    """Return `value` with every label and column in it replaced: they are its keys, and stand in its tuples."""
    if isinstance(value, str | Column):
        return new.get(value, value)
    if isinstance(value, Mapping):
        return {_again(key, new): _again(entry, new) for key, entry in value.items()}
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return tuple(_again(entry, new) for entry in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{each.name: _again(getattr(value, each.name), new) for each in fields(value)})
    return value
