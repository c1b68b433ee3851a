"""How what there is to choose from is shown: in lines, or as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace

from rich.console import Group, RenderableType
from rich.text import Text

from orchestrator.guide.catalogue import Item, Option
from orchestrator.terminal import plain_table

# What nearly all have is told once.
_NEARLY_ALL = 0.8
# Of a library with more names than that they are counted: timm has more than a thousand.
_MOST_OF_A_LIBRARY = 200
_DIFFERS = "default: their own, see --filter"


def as_json(items: Sequence[Item]) -> str:
    """Return a list of objects: ``name``, ``what``, further facts, and ``options`` with all that `Option` has."""
    found = [
        {"name": item.name, "what": item.what, **dict(item.facts), "options": [asdict(each) for each in item.options]}
        for item in items
    ]
    return json.dumps(found, indent=2, ensure_ascii=False, default=list) + "\n"


def as_lines(items: Sequence[Item]) -> RenderableType:
    """Return a table of the items, and below it their options: those that nearly all have once."""
    libraries = Counter(_library(item) for item in items)
    counted = {name: count for name, count in libraries.items() if count > _MOST_OF_A_LIBRARY and len(libraries) > 1}
    table = plain_table()
    for title in ("name", *(dict(items[0].facts) if items else ()), "what it is"):
        table.add_column(title, no_wrap=title != "what it is")
    for item in items:
        if _library(item) not in counted:
            table.add_row(item.name, *dict(item.facts).values(), Text(item.what))
    more = [f"and {count:,} of {name}: --filter {name}/" for name, count in counted.items()]
    return Group(table, *map(Text, [*more, *_option_lines(items)]))


def _library(item: Item) -> str:
    return item.name.rpartition("/")[0]


def _option_lines(items: Sequence[Item]) -> Iterator[str]:
    """Yield a line for each option; above them who has it."""
    counts = Counter(option.name for item in items for option in item.options)
    shared = {name for name, count in counts.items() if len(items) > 1 and count >= _NEARLY_ALL * len(items)}
    told: dict[str, Option] = {}
    for option in (option for item in items for option in item.options if option.name in shared):
        other = told.setdefault(option.name, option)
        if other.default != option.default:
            told[option.name] = replace(other, default=_DIFFERS)
    for item in items:
        own = [option for option in item.options if option.name not in shared]
        yield from _of(item.name, own)
    yield from _of("each of them" if told else "", list(told.values()))


def _of(owner: str, options: Sequence[Option]) -> Iterator[str]:
    if options:
        yield f"\noptions of {owner}:"
    for option in options:
        usual = f"default {json.dumps(option.default, default=str)}"
        usual = "required" if option.required else _DIFFERS if option.default == _DIFFERS else usual
        what = f"{option.what}; " if option.what else ""
        yield f"  {option.name}: {what}{option.allowed} ({usual})"
