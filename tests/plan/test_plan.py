"""What would be done, and how much disk it takes."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sweep_samples import DIGITS, ERM, MIXUP, make_cells, make_run

from orchestrator.data import load_dataset
from orchestrator.errors import UserError
from orchestrator.experiment import expand
from orchestrator.experiment.dataset_spec import DatasetSpec
from orchestrator.experiment.settings import Experiment
from orchestrator.experiment.train_settings import TrainSettings
from orchestrator.models.registry import build_model
from orchestrator.objects import Address
from orchestrator.plan import (
    DataFound,
    Layout,
    Node,
    as_decoded,
    check_inputs,
    data_lines,
    make_plan,
    other_data,
    pending_cells,
    plan_lines,
)
from orchestrator.records import CellRun
from orchestrator.storage import checkpoints as checkpoint

LAYOUT = Layout(slots=1, nodes=(Node(2, 0),))


def make_experiment(tmp_path: Path, *datasets: DatasetSpec) -> Experiment:
    return Experiment(
        name="sample",
        dataset=datasets or (DIGITS,),
        model=("convnet",),
        augment=(ERM,),
        file=Path("x.yaml"),
        data_dir=tmp_path,
    )


def test_only_finished_cells_are_not_pending() -> None:
    cells = make_cells(ERM, MIXUP, seeds=(0, 1))
    runs = {
        cells[0].key: make_run(cells[0], {}),
        cells[1].key: make_run(cells[1], {}, status="failed"),
        cells[2].key: make_run(cells[2], {}, status="interrupted"),
    }
    assert pending_cells(cells, runs) == cells[1:]


def test_disk_covers_what_a_sweep_writes(tmp_path: Path) -> None:
    cells = make_cells(ERM, seeds=(0, 1, 2))
    planned = make_plan(make_experiment(tmp_path), cells, {}, LAYOUT).disk_peak_bytes
    model = build_model("convnet", num_classes=10, num_channels=1, image_size=8)
    checkpoint.save(tmp_path / "best.pt", {"model": model.state_dict()})
    weights = (tmp_path / "best.pt").stat().st_size
    # Best weights per cell, and MLflow's model of one; and with the momentum the newest two checkpoints, that of the
    # best epoch and the one that is being written.
    assert planned == pytest.approx((3 + 1 + 4 * 2) * weights, rel=0.1)
    assert (
        make_plan(make_experiment(tmp_path), cells, {c.key: make_run(c, {}) for c in cells}, LAYOUT).disk_peak_bytes
        == 0
    )


def test_what_the_training_set_cannot_give_is_refused_before_anything_starts(tmp_path: Path) -> None:
    many = DatasetSpec.model_validate({"name": "digits", "num_train": 99999})
    few = DatasetSpec.model_validate({"name": "digits", "num_train": 60})
    with pytest.raises(UserError) as refused:
        check_inputs(make_experiment(tmp_path, DIGITS, many, few))
    first, remedy, second, lower = str(refused.value).splitlines()
    assert remedy.startswith("  remedy:  Set dataset.num_train from 20 to ")
    assert first.startswith("x.yaml: dataset = digits(num_train=99999): num_train=99999 is not possible")
    assert second.startswith("x.yaml: dataset = digits(num_train=60): ")
    assert lower.startswith("  remedy:  lower train.batch_size_per_worker")
    assert (
        "digits(num_train=60): the training split has 50 images, fewer than one global batch of 1 worker x 64" in second
    )


def test_every_missing_data_set_is_named_at_once(tmp_path: Path) -> None:
    missing = [
        DatasetSpec.model_validate({"name": "cifar10"}),
        DatasetSpec.model_validate({"name": "image_folder", "folder": "mine"}),
    ]
    with pytest.raises(UserError) as refused:
        check_inputs(make_experiment(tmp_path, DIGITS, *missing))
    assert "cifar10" in str(refused.value)
    assert str(tmp_path / "mine") in str(refused.value)


def test_a_share_for_validation_of_a_set_that_has_its_own_is_refused(tmp_path: Path) -> None:
    for part in ("train", "val", "test"):
        for number in range(70 if part == "train" else 2):
            file = tmp_path / "mine" / part / f"class-{number % 2}" / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8)).save(file)
    options = {"name": "image_folder", "folder": "mine"}
    check_inputs(make_experiment(tmp_path, DatasetSpec.model_validate(options)))
    with pytest.raises(UserError, match=r"x\.yaml: dataset = .*: val_fraction=0\.2 has no effect"):
        check_inputs(make_experiment(tmp_path, DatasetSpec.model_validate({**options, "val_fraction": 0.2})))


def test_finished_cells_that_saw_other_data_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = make_cells(ERM, seeds=(0, 1, 2, 3))
    now = check_inputs(make_experiment(tmp_path))
    assert set(now) == {DIGITS}
    hashes = (now[DIGITS].split_hash, "f" * 64, None, "f" * 64)
    runs = {
        cell.key: replace(make_run(cell, {}), split_hash=split_hash)
        for cell, split_hash in zip(cells, hashes, strict=True)
    }
    with monkeypatch.context() as patch:
        # That would take as long as the number of cells times itself.
        patch.setattr(CellRun, "__eq__", lambda *_: pytest.fail("runs are compared with each other"))
        (warning,) = other_data(cells, runs, now)
    assert warning.startswith("2 finished cells of digits saw other images or labels than are there now: ")
    runs[cells[1].key] = replace(runs[cells[1].key], status="failed")
    assert [line.partition(" of ")[0] for line in other_data(cells, runs, now)] == ["1 finished cell"]
    assert not list(other_data(cells[:1], runs, now))


def test_finished_cells_that_saw_other_pixels_under_the_same_names_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZETASWEEP_CACHE", str(tmp_path / "cache"))
    spec = DatasetSpec.model_validate({"name": "image_folder", "folder": "mine"})
    draw_folder(tmp_path / "mine", shade=0)
    experiment = make_experiment(tmp_path, spec)
    cells = expand(experiment.model_copy(update={"seed": (0, 1)}))
    saw = load_dataset("image_folder", tmp_path, path="mine")
    before, older = make_run(cells[0], {}), make_run(cells[1], {})
    runs = {
        cells[0].key: replace(before, split_hash=saw.split_hash, pixel_hash=saw.pixel_hash),
        cells[1].key: replace(older, split_hash=saw.split_hash),
    }
    assert not list(other_data(cells, runs, check_inputs(experiment)))

    draw_folder(tmp_path / "mine", shade=90)
    now = check_inputs(experiment)
    assert now[spec].split_hash == saw.split_hash
    (unknown,) = other_data(cells, runs, now)
    assert unknown.startswith(f"whether 1 finished cell of {spec.label} saw the pixels that are there now is not known")
    load_dataset("image_folder", tmp_path, path="mine")
    (warning,) = other_data(cells, runs, as_decoded(now, experiment))
    assert warning.startswith(f"1 finished cell of {spec.label} saw other pixels under the same names than are there ")


def draw_folder(folder: Path, *, shade: int) -> None:
    """Write or replace images: the same names, whatever the shade is."""
    for number in range(100):
        file = folder / f"class-{number % 2}" / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number, shade, 0)).save(file)


def test_the_hashes_are_those_that_a_training_notes(tmp_path: Path) -> None:
    found, trained = check_inputs(make_experiment(tmp_path))[DIGITS], load_dataset("digits", tmp_path)
    assert (found.split_hash, found.pixel_hash) == (trained.split_hash, trained.pixel_hash)
    assert found.pixel_hash is not None


@pytest.mark.parametrize(
    ("train", "expected"),
    [
        ({"milestones": [2], "lr_decay": 0.2}, ["train.milestones", "train.lr_decay"]),
        ({"optimizer": "adamw", "momentum": 0.5}, ["train.momentum"]),
        ({"optimizer": "adamw", "momentum": 0.9}, []),
        ({"optimizer": "adam", "nesterov": True, "betas": [0.8, 0.9]}, ["train.nesterov"]),
        ({"betas": [0.8, 0.9], "nesterov": False}, ["train.betas"]),
        ({"schedule": "onecycle", "warmup_epochs": 1}, ["train.warmup_epochs"]),
        ({"weight_decay": 0, "no_decay_norm_bias": True}, ["train.no_decay_norm_bias"]),
        ({"schedule": "multistep", "milestones": [2], "lr_decay": 0.2}, []),
    ],
)
def test_settings_without_effect_are_said(tmp_path: Path, train: dict[str, Any], expected: list[str]) -> None:
    settings = TrainSettings.model_validate(train)
    experiment = make_experiment(tmp_path).model_copy(update={"train": (settings,)})
    lines = plan_lines(make_plan(experiment, make_cells(ERM), {}, LAYOUT), experiment)
    assert re.findall(r"(train\.\w+) has no effect with train\.", "\n".join(lines)) == expected


def test_a_disk_that_is_too_small_is_said(tmp_path: Path) -> None:
    experiment = make_experiment(tmp_path).model_copy(update={"storage": tmp_path / "not" / "there"})
    plan = make_plan(experiment, make_cells(ERM), {}, LAYOUT)
    assert " are free in " not in "\n".join(plan_lines(plan, experiment))
    lines = plan_lines(replace(plan, disk_peak_bytes=10**18, cache_bytes=0), experiment)
    (warning,) = [line for line in lines if line.startswith("warning:")]
    assert warning.endswith(f" are free in {experiment.storage}, fewer than that")


def test_a_disk_that_is_too_small_for_both_that_go_there_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = make_experiment(tmp_path)
    storage, cache = experiment.storage, experiment.cache.dir
    has_100 = shutil.disk_usage("/")._replace(free=100 * 10**9)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: has_100)
    plan = replace(
        make_plan(experiment, make_cells(ERM), {}, LAYOUT), disk_peak_bytes=60 * 10**9, cache_bytes=60 * 10**9
    )
    (warning,) = [line for line in plan_lines(plan, experiment) if line.startswith("warning:")]
    assert warning.endswith(
        f"100.0 GB are free in {storage} and {cache}, fewer than the 120.0 GB of both, which are on one disk"
    )
    monkeypatch.setattr("orchestrator.plan.wording.by_disk", lambda paths: [[path] for path in paths])
    assert " are free in " not in "\n".join(plan_lines(plan, experiment))


def test_a_disk_that_is_too_small_for_copies_is_said(bucket: Address, tmp_path: Path) -> None:
    """Of results that are kept as objects, a machine has what its slots write."""
    pytest.importorskip("obstore", reason="obstore is not installed: pip install zetasweep[objects]")
    in_folder = make_experiment(tmp_path)
    experiment = in_folder.model_copy(update={"storage": bucket})
    plan = make_plan(experiment, make_cells(ERM), {}, LAYOUT)
    assert make_plan(in_folder, make_cells(ERM), {}, LAYOUT).copied_bytes == 0
    assert 0 < plan.copied_bytes < plan.disk_peak_bytes
    lines = plan_lines(plan, experiment)
    assert any(line.startswith("copies:") and str(experiment.cache.dir) in line for line in lines)
    assert " are free in " not in "\n".join(lines)
    lines = plan_lines(replace(plan, copied_bytes=10**18), experiment)
    (warning,) = [line for line in lines if line.startswith("warning:")]
    assert warning.endswith(f" are free in {experiment.cache.dir}, fewer than that")


OF_DIGITS = (
    "train 1,294, val 144, test 359; test is a stratified fifth of the images, held out, since the set ships none; val "
    "is a stratified part of train"
)


def test_what_is_known_of_splits_and_groups_is_said_in_a_line(tmp_path: Path) -> None:
    specs = [DatasetSpec(name=name) for name in ("mnist", "isic2018", "digits")]
    none = check_inputs(make_experiment(tmp_path))[DIGITS]
    lesions = DataFound(
        "0" * 64,
        "42 groups of 84 images, by lesion_id in lesions.csv",
        "as shipped",
        torn=("HAM_1", "HAM_7"),
        unmeasured=("no test image of df",),
    )
    assert data_lines(dict(zip(specs, (none, lesions, none), strict=True))) == [
        f"splits:    mnist: {OF_DIGITS}",
        "splits:    isic2018: as shipped",
        f"splits:    digits: {OF_DIGITS}",
        "groups:    mnist, digits: none known: each image counts as a thing of its own",
        "groups:    isic2018: 42 groups of 84 images, by lesion_id in lesions.csv",
        "warning:   2 groups of isic2018 stand in two splits, e.g. HAM_1: zetasweep data check lists them",
        "warning:   isic2018: no test image of df",
    ]
