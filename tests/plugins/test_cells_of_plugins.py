"""Cells of own code: their keys, what else they have of it, and how they get to know it."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from commands import ROOT, Call
from own_files import DOTS, PAIRMIX, TINYNET, install, write

from orchestrator.data import DATASETS
from orchestrator.experiment import Cell, CodeSpec, expand, load_experiment
from orchestrator.models import build_model
from orchestrator.plan.images import images_of
from orchestrator.plugins import carried, plugin_of, plugins_in_use, use_plugins

TEXT = """
name: own
dataset: dots
model: [convnet, {tinynet: {width: [4, 8]}}]
augment: [erm, {pairmix: {share: [0.1, 0.3]}}]
train: {epochs: 1, batch_size_per_worker: 8}
"""
# Not as the example calls its files, which other tests import.
FILES = {"my_net.py": TINYNET, "my_mix.py": PAIRMIX, "my_dots.py": DOTS}


def cells_of(folder: Path, **changed: str) -> list[Cell]:
    files = [write(folder, name, changed.get(name.removesuffix(".py"), text)) for name, text in FILES.items()]
    use_plugins(list(map(str, files)))
    return expand(load_experiment(write(folder, "own.yaml", TEXT)))


def test_a_key_holds_the_code_of_each_part_that_is_of_a_plugin(tmp_path: Path) -> None:
    cells = cells_of(tmp_path)
    codes = {kind: plugin.code for kind, name in cells[-1].names.items() if (plugin := plugin_of(kind, name))}
    assert cells[-1].code == CodeSpec(**codes)
    assert cells[0].code == CodeSpec(dataset=codes["dataset"])
    assert cells[-1].params()["code.model"] == codes["model"]
    assert "code.model" not in cells[0].params()
    assert cells[-1].setting.endswith(f" · code {cells[-1].code.short}")
    assert "code" not in str(cells[-1].settings)  # no row and no column is named after it
    assert Cell.model_validate(cells[-1].model_dump(mode="json")).key == cells[-1].key
    assert len({cell.key for cell in cells}) == len(set(cells)) == 9


def test_what_is_changed_makes_other_cells_of_it_alone(tmp_path: Path) -> None:
    before = cells_of(tmp_path)
    assert [cell.key for cell in cells_of(tmp_path, my_net=f"# a comment\n{TINYNET}")] == [c.key for c in before]
    for file, text, is_of in (
        ("my_net", TINYNET.replace("nn.ReLU(), ", ""), lambda cell: cell.model.name == "tinynet"),
        ("my_mix", PAIRMIX.replace("1 - self.share", "1.0 - self.share"), lambda cell: cell.augment.name == "pairmix"),
        ("my_dots", DOTS.replace("150", "151"), lambda _: True),
    ):
        after = cells_of(tmp_path, **{file: text})
        assert [a.key != b.key for a, b in zip(after, before, strict=True)] == list(map(is_of, before))
        assert [cell.key_without_code for cell in after] == [cell.key_without_code for cell in before]


def test_a_cell_without_own_code_is_as_it_was(tmp_path: Path) -> None:
    cells_of(tmp_path)
    text = "{name: own, dataset: digits, model: convnet, augment: erm}"
    (cell,) = expand(load_experiment(write(tmp_path, "ours.yaml", text)))
    assert cell.code is None
    assert cell.key == cell.key_without_code
    use_plugins([])
    assert expand(load_experiment(tmp_path / "ours.yaml")) == [cell]


def test_what_other_code_has_decoded_is_decoded_anew(tmp_path: Path) -> None:
    (tmp_path / "dots").mkdir()
    entries = set()
    for text in (DOTS, DOTS.replace("150", "151"), f"# a comment\n{DOTS}"):
        cells = cells_of(tmp_path, my_dots=text)
        assert DATASETS["dots"].code == cells[0].code.dataset  # type: ignore[union-attr]
        experiment = load_experiment(tmp_path / "own.yaml", [f"data_dir={tmp_path}"])
        entries.add(images_of(cells[0].dataset, experiment).entry_name)
    assert len(entries) == 2


def test_an_edited_file_is_read_anew_and_an_old_one_is_gone(tmp_path: Path) -> None:
    cells_of(tmp_path)
    first = plugins_in_use()
    use_plugins([str(tmp_path / name) for name in FILES])
    assert plugins_in_use() == first
    assert all(mine is other for mine, other in zip(plugins_in_use(), first, strict=True))
    cells_of(tmp_path, my_net=TINYNET.replace("width: int = 4", "width: int = 6"))
    assert build_model("tinynet", num_classes=2, num_channels=1, image_size=8).get_submodule("0").out_channels == 6
    use_plugins([])
    with pytest.raises(ValueError, match="model='tinynet' is not known"):
        build_model("tinynet", num_classes=2, num_channels=1, image_size=8)
    assert not any(str(tmp_path) == folder for folder in sys.path)


def test_another_process_uses_what_is_carried_as_it_was_read(tmp_path: Path) -> None:
    write(tmp_path, "layers.py", "deeper = 1\n")
    cells = cells_of(tmp_path, my_net="from layers import deeper\n" + TINYNET)
    sent = carried()
    # Edited meanwhile, and what it imports is gone.
    write(tmp_path, "my_net.py", TINYNET.replace("nn.ReLU()", "nn.Tanh()"))
    (tmp_path / "layers.py").unlink()
    program = (
        "import pickle, sys\n"
        "from orchestrator.experiment import Cell, expand\n"
        "from orchestrator.experiment.code_spec import code_in_use\n"
        "from orchestrator.models import build_model\n"
        "carried, texts = pickle.loads(sys.stdin.buffer.read())\n"
        "carried.use(); carried.use()\n"
        "cells = [Cell.model_validate_json(text) for text in texts]\n"
        "assert all(code_in_use(cell.names) == cell.code for cell in cells)\n"
        "print(build_model('tinynet', num_classes=2, num_channels=1, image_size=8)[1])\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program],
        input=pickle.dumps((sent, [cell.model_dump_json() for cell in cells])),
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    )
    assert done.stdout.decode().strip() == "ReLU()", done.stderr.decode()


def test_other_code_on_another_machine_is_refused(tmp_path: Path) -> None:
    from dataclasses import replace

    from orchestrator.errors import UserError

    cells_of(tmp_path)
    sent = carried()
    use_plugins([])
    other = replace(sent, wanted=tuple((module, entry, "0" * 16) for module, entry, _ in sent.wanted))
    with pytest.raises(UserError, match=r"plug-in my_net: .*my_net.py on \S+ is \w+, and the driver has 0{16}"):
        other.use()
    assert plugins_in_use() == ()
    with pytest.raises(UserError, match="plug-ins have not arrived on"):
        replace(sent, folder=f"{tmp_path}/zetasweep_plugins_none").use()


def test_installed_packages_are_imported_when_a_name_asks_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = (
        "[zetasweep.models]\ntinynet = nets_of_mine:build_tinynet\nnot_asked_for = no_such_module:build\n"
        "[zetasweep.augmentations]\npairmix = mix_of_mine:PairMix\n"
        "[zetasweep.datasets]\ndots = dots_of_mine:DATASETS\n"
    )
    dots = DOTS.replace("DATASETS = {", "ALL = {") + '\nDATASETS = ALL["dots"]\n'
    install(tmp_path, "ofmine", points, nets_of_mine=TINYNET, mix_of_mine=PAIRMIX, dots_of_mine=dots)
    monkeypatch.syspath_prepend(str(tmp_path))
    file = write(tmp_path, "own.yaml", TEXT)
    digits = write(tmp_path, "ours.yaml", "{name: a, dataset: digits, model: convnet, augment: erm}")
    load_experiment(digits)
    assert "nets_of_mine" not in sys.modules
    cells = expand(load_experiment(file))
    assert {"nets_of_mine", "mix_of_mine", "dots_of_mine"} <= sys.modules.keys()
    code = cells[-1].code
    assert code is not None
    assert None not in (code.model, code.augment, code.dataset)


def test_the_variable_and_the_option(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [write(tmp_path, name, text) for name, text in FILES.items()]
    file = write(tmp_path, "own.yaml", TEXT)
    monkeypatch.setenv("ZETASWEEP_PLUGINS", ":".join(map(str, paths)))
    assert "9 cells: 9 missing" in call("status", file).out
    # What the command line names goes before the variable.
    assert "dataset = dots" in call("status", file, "--plugin", paths[0]).err
    monkeypatch.delenv("ZETASWEEP_PLUGINS")
    monkeypatch.chdir(tmp_path)
    options = [word for name in FILES for word in ("--plugin", name)]
    shown = call("plan", file, *options).out
    assert "9 cells: 9 missing" in shown
    assert f"own code:  {tmp_path}/my_net.py: " in shown
    assert call("status", file).code == 2  # and nothing stays of the call before
