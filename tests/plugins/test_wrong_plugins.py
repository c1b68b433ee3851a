"""Plug-ins that cannot be used: what is said of each, without a traceback, and that nothing of it stays."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from commands import ROOT, Call
from own_files import DOTS, EXPERIMENT, PAIRMIX, TINYNET, install, write

from augment import AUGMENTATIONS, parameters
from orchestrator.column_names import TAKEN_BY_RESULTS
from orchestrator.data import DATASETS
from orchestrator.errors import UserError
from orchestrator.models import MODELS
from orchestrator.plugins import plugins_in_use, use_plugins

BUILT_IN = {name: list(names) for name, names in (("m", MODELS), ("a", AUGMENTATIONS), ("d", DATASETS))}

# The text of mine.py, and what is said: {file} is its path.
WRONG: dict[str, tuple[str, str]] = {
    "does not import": (
        "x = 1\nimport no_such_module\n",
        r"it cannot be imported: {file}, line 2: ModuleNotFoundError: No module named 'no_such_module'\n"
        r"  remedy:  install no_such_module for .*, or put no_such_module.py beside the plug-in",
    ),
    "raises": (
        "x = {}\ny = x['width']\n",
        r"{file}, line 2: KeyError: 'width'\n  remedy:  mend it; --debug shows the whole traceback",
    ),
    "is no Python": (
        "x = 1\ny = (\n",
        r"{file}, line 2: SyntaxError: '\(' was never closed\n  remedy:  mend that line",
    ),
    "ends": (
        "raise SystemExit(1)\n",
        r"{file}, line 1: SystemExit: 1\n  remedy:  put what is to run as a script below",
    ),
    "adds nothing": ("x = 1\n", r"plug-in {file}: it adds nothing\n  allowed: one of MODELS, AUGMENTATIONS, DATASETS"),
    "has an empty dictionary": ("MODELS = {}\n", r"plug-in {file}: it adds nothing"),
    "has a list": ("MODELS = [1]\n", r"plug-in {file}: MODELS is a list\n  allowed: a dictionary of functions"),
    "has what is no builder": (
        "MODELS = {'tinynet': lambda num_classes: None}\n",
        r"MODELS\['tinynet'\] is <function .*\n  allowed: functions \(\*, num_classes, num_channels, image_size\)",
    ),
    "has what is no augmentation": (
        "AUGMENTATIONS = {'mine': dict}\n",
        r"AUGMENTATIONS\['mine'\] is <class 'dict'>\n  allowed: classes that inherit augment.Augmentation",
    ),
    "has what is no data set": (
        "DATASETS = {'mine': 1}\n",
        r"DATASETS\['mine'\] is 1\n  allowed: orchestrator.data.DatasetInfo",
    ),
    "has a name that is none": (
        TINYNET.replace('"tinynet"', '"tiny net"'),
        r"MODELS: the name 'tiny net'\n  allowed: letters, digits and _",
    ),
    "has our model": (
        TINYNET.replace('"tinynet"', '"convnet"'),
        r"MODELS\['convnet'\]: zetasweep has this name itself",
    ),
    "has torchvision's": (
        TINYNET.replace('"tinynet"', '"alexnet"'),
        r"MODELS\['alexnet'\]: zetasweep has this name itself",
    ),
    "has our augmentation": (
        PAIRMIX.replace('"pairmix"', '"mixup"'),
        r"AUGMENTATIONS\['mixup'\]: zetasweep has this name",
    ),
    "has an annotation that raises": (
        TINYNET.replace("width: int", "width: 'nn.NoSuch'"),
        r"MODELS\['tinynet'\]: its annotations cannot be read: {file}, line 5: AttributeError: .*NoSuch",
    ),
    "has an option that no file can say": (
        TINYNET.replace("width: int = 4", "width: list"),
        r"MODELS\['tinynet'\]: its option width is list and has no default",
    ),
    "has an option without a number": (
        TINYNET.replace("width: int = 4", "width: float = float('nan')"),
        r"MODELS\['tinynet'\]: its option width is nan by default",
    ),
    "has an option that is called like the model": (
        TINYNET.replace("width: int = 4", "width: int = 4, name: str = 'x'"),
        r"MODELS\['tinynet'\]: its option name\n  allowed: other names: model: ",
    ),
    "has an option that is called like a credential": (
        TINYNET.replace("width: int = 4", "width: int = 4, num_tokens: int = 16"),
        r"MODELS\['tinynet'\]: its option num_tokens\n  allowed: names in which there is no token,",
    ),
    "has a parameter that is called like a credential": (
        PAIRMIX.replace("    share:", "    low_pass:").replace("self.share", "self.low_pass"),
        r"AUGMENTATIONS\['pairmix'\]: its option low_pass\n  allowed: names in which there is no token,",
    ),
    "has an augmentation that lacks methods": (
        PAIRMIX.replace("    def draw(", "    def drawn("),
        r"AUGMENTATIONS\['pairmix'\] is <class .*\n  allowed: classes .*\n  remedy:  write draw in it, or in a class",
    ),
    "has the class of all augmentations": (
        "from augment import Augmentation\nAUGMENTATIONS = {'mine': Augmentation}\n",
        r"AUGMENTATIONS\['mine'\] is <class .*\n  allowed: .*\n  remedy:  write apply, draw, min_batch_size in it",
    ),
    "has a data set with a layout of its own": (
        DOTS.replace("embedded=True", "embedded=True, layout_options=('shape',)"),
        r"DATASETS\['dots'\]: its layout option 'shape'\n  allowed: splits, csv, columns",
    ),
    "has a data set that opens nothing": (
        DOTS.replace("open=open_dots", "open=None"),
        r"DATASETS\['dots'\]: its open is None\n  allowed: a function",
    ),
    "is binary": ("x = 1\n\0\n", r"{file} is no text: it holds null bytes\n  remedy:  name a Python file"),
    "has our data set": (DOTS.replace('"dots"', '"digits"'), r"DATASETS\['digits'\]: zetasweep has this name itself"),
}


def said_of(*wanted: str | Path) -> str:
    with pytest.raises(UserError) as raised:
        use_plugins(list(map(str, wanted)))
    now = {name: list(names) for name, names in (("m", MODELS), ("a", AUGMENTATIONS), ("d", DATASETS))}
    assert (now, plugins_in_use()) == (BUILT_IN, ())
    return str(raised.value)


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_said_with_file_and_line(what: str, tmp_path: Path) -> None:
    text, said = WRONG[what]
    file = write(tmp_path, "mine.py", text)
    # Beside one that can be used: neither is.
    good = write(tmp_path, "good.py", PAIRMIX.replace('"pairmix"', '"goodmix"'))
    assert re.search(said.replace("{file}", re.escape(str(file))), said_of(good, file))


@pytest.mark.parametrize("name", TAKEN_BY_RESULTS)
def test_a_parameter_that_results_would_overwrite(name: str, tmp_path: Path) -> None:
    text = PAIRMIX.replace("    share:", f"    {name}:").replace("self.share", f"self.{name}")
    said = said_of(write(tmp_path, "mine.py", text))
    assert f"AUGMENTATIONS['pairmix']: its option {name}\n  allowed: other names than those beside which" in said


def test_none_of_ours_is_called_like_a_column_of_results() -> None:
    assert not {name for make in AUGMENTATIONS.values() for name in parameters(make)} & set(TAKEN_BY_RESULTS)


def test_a_file_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "mine.py", TINYNET)
    assert f"there is no {tmp_path}/mein.py\n  remedy:  did you mean {tmp_path}/mine.py?" in said_of(
        tmp_path / "mein.py"
    )
    assert "there is no module mine\n  remedy:  name a file by its path: --plugin mine.py" in said_of("mine")
    assert "there is no module mine" in said_of("mine.deeper")
    assert "a folder that is no package" in said_of(tmp_path)
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    assert "it must lie in --working-dir, and no .gitignore may name it" in said_of(tmp_path / "mein.py")


def test_names_of_files(tmp_path: Path) -> None:
    for name, said in {
        "my-net.py": "Python cannot import a file of this name",
        "random.py": f"it is called like another module, {sys.modules['random'].__file__}",
        "torch.py": "it is called like another module",
    }.items():
        assert said in said_of(write(tmp_path, name, TINYNET)), name
    write(tmp_path, "random.py", "")
    beside = said_of(write(tmp_path, "mine.py", "x = 1\nimport random\n" + TINYNET))
    assert f"{tmp_path}/mine.py, line 2: import random finds " in beside
    assert "call the file beside it otherwise than random.py" in beside


def test_what_lies_below_the_folder_of_a_file_may_be_another_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As installed packages do in a clone with ``.venv``, and zetasweep's own packages there."""
    installed = write(tmp_path, "env/site-packages/own_net/__init__.py", TINYNET)
    monkeypatch.syspath_prepend(installed.parents[1])
    assert f"it is called like another module, {installed}" in said_of(write(tmp_path, "own_net.py", PAIRMIX))
    package = write(tmp_path, "own_mix/__init__.py", TINYNET)
    assert f"it is called like another module, {package}" in said_of(write(tmp_path, "own_mix.py", PAIRMIX))
    use_plugins([str(package.parent)])
    assert plugins_in_use()[0].file == package


def test_the_guide_names_what_no_parameter_is_called() -> None:
    guide = (ROOT / "docs" / "own-code.md").read_text()
    assert [name for name in TAKEN_BY_RESULTS if f"`{name}`" not in guide] == []


def test_two_with_one_name(tmp_path: Path) -> None:
    first, second = write(tmp_path, "a.py", TINYNET), write(tmp_path, "b.py", TINYNET)
    assert f"plug-in {second}: MODELS['tinynet']: plug-in {first} has this name, too" in said_of(first, second)
    twin = write(tmp_path, "c/a.py", PAIRMIX)
    assert f"plug-ins {first} and {twin}: both are imported as a" in said_of(first, twin)
    use_plugins([str(first), str(first)])  # the same twice is one
    assert len(plugins_in_use()) == 1


@pytest.mark.parametrize(
    ("text", "model", "augment", "said"),
    [
        (
            TINYNET.replace("return nn.Sequential(", "missing = [][num_classes]\n    return nn.Sequential("),
            "tinynet",
            "erm",
            r"model = tinynet\(width=4\) with dataset = digits: tinynet of plug-in mine: {file}, line \d+: IndexError",
        ),
        (
            PAIRMIX.replace(
                "    min_batch_size = 2", "    @property\n    def min_batch_size(self):\n        return {}['no_such']"
            ),
            "convnet",
            "pairmix",
            r"allowed: values that suit each other: {file}, line \d+: KeyError",
        ),
        (
            PAIRMIX.replace(
                "    min_batch_size = 2", "    min_batch_size = 2\n    def __post_init__(self):\n        self.no.such"
            ),
            "convnet",
            "pairmix",
            r"allowed: values that suit each other: {file}, line \d+: AttributeError: .* has no attribute 'no'",
        ),
        (
            PAIRMIX.replace("parameter(check_fraction", "parameter(lambda name, value: value['x']"),
            "convnet",
            "{pairmix: {share: 0.5}}",
            r"augment.pairmix.share = 0.5\n  allowed: another value: {file}, line \d+: TypeError",
        ),
        (
            DOTS.replace("    labels =", "    root.no_such\n    labels ="),
            "convnet",
            "erm",
            r"dataset = dots: dots of plug-in mine: {file}, line \d+: AttributeError: .*no_such",
        ),
    ],
    ids=["model", "augmentation's batch", "augmentation", "parameter", "data set"],
)
def test_what_raises_when_it_is_made(
    text: str, model: str, augment: str, said: str, call: Call, tmp_path: Path
) -> None:
    file = write(tmp_path, "mine.py", text)
    experiment = write(tmp_path, "x.yaml", EXPERIMENT % (model, augment))
    options = ["-o", "dataset=dots"] if "dots" in text else []
    answer = call(
        "data" if options else "plan", *(["check"] if options else []), experiment, "--plugin", file, *options
    )
    assert answer.code == 2
    told = answer.out + answer.err
    assert re.search(said.replace("{file}", re.escape(str(file))), told), told
    assert "Traceback" not in told


def test_code_is_never_loaded_because_a_file_says_so(call: Call, tmp_path: Path) -> None:
    write(tmp_path, "mine.py", "raise RuntimeError('it was run')")
    for key in ("plugin: mine.py", "plugins: [mine.py]"):
        text = f"{{{key}, {EXPERIMENT[1:] % ('mine', 'erm')}"
        answer = call("plan", write(tmp_path, "x.yaml", text))
        assert answer.code == 2
        assert "allowed: no code: an experiment file is only data" in answer.err
        assert "remedy:  Choose one of these; or, for one of your own, name its file: --plugin mine.py" in answer.err
        assert "it was run" not in answer.err


def test_an_installed_package_that_cannot_be_used(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    points = "[zetasweep.models]\nbroken_net = broken_nets:build\nlost_net = lost_nets:no_such\nbare_net = lost_nets\n"
    install(tmp_path, "somenets", points, broken_nets="1 / 0\n", lost_nets="x = 1\n")
    install(tmp_path, "othernets", "[zetasweep.models]\ntwin_net = a:b\n")
    install(tmp_path, "morenets", "[zetasweep.models]\ntwin_net = c:d\n")
    for name, said in {
        "broken_net": r"plug-in somenets \(broken_net\): it cannot be imported: .*broken_nets.py, line 1: ZeroDivision",
        "lost_net": r"plug-in .*lost_nets.py: entry point lost_net = lost_nets:no_such is None\n  allowed: functions",
        "bare_net": r"entry point bare_net = lost_nets names a module alone\n  allowed: MODULE:ATTRIBUTE",
        "twin_net": r"the installed packages morenets and othernets have this name in zetasweep.models",
    }.items():
        answer = call("plan", write(tmp_path, "x.yaml", EXPERIMENT % (name, "erm")))
        assert answer.code == 2
        assert re.search(said, answer.err), answer.err
        assert "Traceback" not in answer.err


def test_what_zetasweep_has_goes_before_an_installed_package(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    points = "[zetasweep.models]\nalexnet = grown_nets:build_tinynet\nconvnet = grown_nets:build_tinynet\n"
    install(tmp_path, "grownnets", f"{points}grown_net = grown_nets:build_tinynet\n", grown_nets=TINYNET)
    for name in ("alexnet", "convnet"):
        answer = call("plan", write(tmp_path, "x.yaml", EXPERIMENT % (name, "erm")))
        assert f"{name}: zetasweep's own is meant, and not that of the installed package grownnets" in answer.err
        assert "own code:" not in answer.out
    assert call("list", "models", "--filter", "grown_net").code == 0


def test_the_variable_is_named(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = write(tmp_path, "x.yaml", EXPERIMENT % ("tinynet", "erm"))
    file = write(tmp_path, "mine.py", TINYNET)
    monkeypatch.setenv("ZETASWEEP_PLUGINS", f":{file}::")
    assert call("plan", experiment).code == 0
    monkeypatch.setenv("ZETASWEEP_PLUGINS", f"{file}:{tmp_path}/lost.py")
    answer = call("plan", experiment)
    assert answer.code == 2
    assert f"ZETASWEEP_PLUGINS={file}:{tmp_path}/lost.py: plug-in {tmp_path}/lost.py: there is no " in answer.err
    assert "or change ZETASWEEP_PLUGINS" in answer.err
    assert "a plug-in without a name" in call("plan", experiment, "--plugin", "").err
