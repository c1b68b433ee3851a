"""What options and parameters of plug-ins may be: what a file says, a key holds, and `list` shows."""

from __future__ import annotations

from pathlib import Path

import pytest
from own_files import TINYNET, write

from augment import AUGMENTATIONS, SINGLE_IMAGES, parameters
from orchestrator.errors import ConfigError, UserError
from orchestrator.experiment import Cell, columns, expand, load_experiment
from orchestrator.experiment.model_spec import OWN_FIELDS
from orchestrator.guide.catalogue import UNSAID, items_of, meaning, parameter_range
from orchestrator.models.options import TAKEN
from orchestrator.plugins import use_plugins

OWN = """
from dataclasses import dataclass
from augment import Augmentation
from augment.contract import parameter

def anything(name, value):
    return value

def word(name, value):
    if value not in ("a", "b"):
        raise TypeError(value)
    return value

@dataclass(frozen=True)
class Own(Augmentation):
    word: str = parameter(word)
    pair: tuple = parameter(anything, default=(1, 2.0))
    flag: bool = parameter(anything, default=False)
    nothing: float | None = parameter(anything, default=None)
    min_batch_size = 1

    def draw(self, shape, *, generator):
        return None

    def apply(self, images, targets, draw):
        return images, targets

AUGMENTATIONS = {"own": Own}
"""


def cells(folder: Path, options: str) -> list[Cell]:
    text = f"{{name: x, dataset: digits, model: convnet, augment: {{own: {options}}}}}"
    return expand(load_experiment(write(folder, "own.yaml", text)))


def test_a_parameter_is_what_the_plugin_takes(tmp_path: Path) -> None:
    use_plugins([str(write(tmp_path, "own_mix.py", OWN))])
    found = cells(tmp_path, "{word: [a, b], pair: [[1, 2], [3, 4]], flag: [true, false]}")
    assert len({cell.key for cell in found}) == 8
    assert found[0].augment.params == {"word": "a", "pair": (1, 2), "flag": True, "nothing": None}
    assert [Cell.model_validate_json(cell.model_dump_json()).key for cell in found] == [cell.key for cell in found]
    (alone,) = cells(tmp_path, "{word: a, pair: [3, 4]}")
    assert alone.augment.label == "own(flag=False, nothing=None, pair=3-4, word=a)"


def test_a_search_takes_a_tuple_for_one_value_as_a_grid_does(tmp_path: Path) -> None:
    use_plugins([str(write(tmp_path, "own_mix.py", OWN))])

    def pairs(options: str, num: int) -> set[object]:
        search = f"{{sampler: random, num_samples: {num}}}"
        text = f"{{name: x, dataset: digits, model: convnet, augment: {{own: {options}}}, search: {search}}}"
        (column,) = columns(load_experiment(write(tmp_path, "own.yaml", text)))
        return {column.configuration(point).augment.params["pair"] for point in column.ask(num)}

    assert pairs("{word: [a, b], pair: [3, 4]}", 2) == {(3, 4)}
    assert pairs("{word: [a, b], pair: [[1, 2], [3, 4]]}", 4) == {(1, 2), (3, 4)}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("{}", r"own.word\n  allowed: a value, or a list of values\n  remedy:  It is missing"),
        ("{word: c}", r"own.word = c\n  allowed: another value: .*own_mix.py, line 11: TypeError: c"),
        ("{word: {a: 1}}", r"own.word = \{a: 1\}\n  allowed: a number, a word, true, false, null, or a list"),
    ],
)
def test_what_a_parameter_cannot_be_is_refused(options: str, said: str, tmp_path: Path) -> None:
    use_plugins([str(write(tmp_path, "own_mix.py", OWN))])
    with pytest.raises(ConfigError, match=said):
        cells(tmp_path, options)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            OWN.replace("default=None", "default=((1,),)"),
            r"\['own'\]: nothing is \(\(1,\),\) by default\n  allowed: finite num",
        ),
        (OWN.replace("flag: bool", "train: bool"), r"\['own'\]: its option train\n  allowed: other names"),
        *(
            (TINYNET.replace("width: int = 4", f"width: int = 4, {name}=None"), rf"\['tinynet'\]: its option {name}\n")
            for name in TAKEN
        ),
    ],
)
def test_what_no_file_could_say_is_refused_when_it_is_loaded(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said):
        use_plugins([str(write(tmp_path, "own_code.py", text))])


def test_what_a_check_makes_of_a_value_has_to_fit_into_a_key(tmp_path: Path) -> None:
    text = OWN.replace("    return value\n\ndef word", "    return {'x': value} if value == 7 else value\n\ndef word")
    use_plugins([str(write(tmp_path, "own_mix.py", text))])
    with pytest.raises(ConfigError, match=r"own.nothing = 7\n  allowed: .* the plug-in makes \{'x': 7\} of it"):
        cells(tmp_path, "{word: a, nothing: 7}")


def test_no_option_is_called_as_what_is_said_of_any_model() -> None:
    assert set(TAKEN) == {*OWN_FIELDS, "train"}


def test_list_shows_an_augmentation_that_says_nothing(tmp_path: Path) -> None:
    use_plugins([str(write(tmp_path, "own_mix.py", OWN))])
    (own,) = (item for item in items_of("augmentations") if item.name == "own")
    assert [(option.name, option.allowed, option.what) for option in own.options[:2]] == [
        ("word", UNSAID, ""),
        ("pair", UNSAID, ""),
    ]


def test_ours_say_all() -> None:
    for make in (*AUGMENTATIONS.values(), *SINGLE_IMAGES.values()):
        for name in parameters(make):
            assert meaning(make, name)
            assert parameter_range(make, name) != UNSAID
