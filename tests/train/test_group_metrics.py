"""What is said of whole groups, such as lesions, and what a test leaves behind."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix
from torch import Tensor
from trainings import make_cell, random_dataset, run

from orchestrator.metric_names import CLASS_METRICS, CLASS_METRICS_UP_TO, METRICS
from orchestrator.storage.cell_folder import CellFolder
from orchestrator.train.metrics import compute_metrics, judge_test
from orchestrator.train.tables import write_tables

NAMES = ["melanoma", "nevus, blue", 'so-called "other"', "never"]


def lesions(num: int, num_groups: int, num_classes: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, labels, and groups of unequal sizes in no order, each of one label."""
    generator = torch.Generator().manual_seed(num)
    groups = torch.cat([torch.arange(num_groups), torch.randint(num_groups, (num - num_groups,), generator=generator)])
    groups = groups[torch.randperm(num, generator=generator)]
    labels = torch.randint(num_classes, (num_groups,), generator=generator)[groups]
    logits = 2 * torch.randn(num, num_classes, generator=generator)
    logits[torch.arange(num), labels] += 1
    return logits, labels, groups


def test_a_group_is_the_mean_of_its_images_probabilities() -> None:
    logits, labels, groups = lesions(400, 150)
    tested = judge_test(logits, labels, num_classes=3, groups=groups)
    probabilities = logits.double().softmax(dim=1)
    means = torch.stack([probabilities[groups == group].mean(dim=0) for group in range(150)])
    of_group = torch.stack([labels[groups == group][0] for group in range(150)])
    assert tested.groups is not None
    assert tested.groups.metrics == pytest.approx(compute_metrics(means.log(), of_group, num_classes=3), abs=1e-5)
    loss = -means[torch.arange(150), of_group].log().mean()
    assert tested.groups.metrics["loss"] == pytest.approx(float(loss), abs=1e-12)
    assert tested.groups.metrics["error"] == int((means.argmax(dim=1) != of_group).sum()) / 150
    assert tested.images.metrics == compute_metrics(logits, labels, num_classes=3)


def test_an_image_for_each_group_says_the_same_as_the_images() -> None:
    logits, labels, _ = lesions(200, 200)
    tested = judge_test(logits, labels, num_classes=3, groups=torch.arange(200).flip(0))
    assert tested.groups is not None
    assert tested.groups.metrics == pytest.approx(tested.images.metrics, abs=1e-6)
    exact = METRICS.keys() - {"loss", "ece"}
    assert {name: tested.groups.metrics[name] for name in exact} == {
        name: tested.images.metrics[name] for name in exact
    }


def test_neither_the_order_of_the_images_nor_of_the_groups_matters() -> None:
    logits, labels, groups = lesions(300, 40)
    order = torch.randperm(300, generator=torch.Generator().manual_seed(1))
    first, second = (
        judge_test(logits[places], labels[places], num_classes=3, groups=numbers[places]).groups
        for places, numbers in ((torch.arange(300), groups), (order, 39 - groups))
    )
    assert first is not None
    assert second is not None
    assert first.metrics == pytest.approx(second.metrics, abs=1e-6)
    assert first.metrics["auroc"] == second.metrics["auroc"]


def test_certainty_is_finite_and_no_tie() -> None:
    """A probability of exp(-2000) is 0 in every float, and 1 minus it is 1."""
    logits = torch.tensor([[0.0, 2000.0], [0.0, 3000.0], [0.0, 1000.0], [0.0, 2500.0]])
    tested = judge_test(logits, torch.tensor([1, 1, 0, 0]), num_classes=2, groups=torch.tensor([0, 0, 1, 2]))
    assert tested.groups is not None
    assert all(np.isfinite(value) for value in tested.groups.metrics.values())
    # Of the two lesions with label 0 the lesion with label 1, surer than half of exp(-2000), is above one.
    assert tested.groups.metrics["auroc"] == 0.5


def test_names_of_classes_and_groups() -> None:
    logits, labels, groups = lesions(120, 50)
    judged = judge_test(torch.cat([logits, torch.full((120, 1), -9.0)], dim=1), labels, num_classes=4, groups=groups)
    metrics = judged.metrics(NAMES)
    classes = ("melanoma", "nevus_ blue", "so-called _other_")
    expected = {*METRICS, *(f"{name}/{of_class}" for name in CLASS_METRICS for of_class in classes)}
    # Nothing is said of a class without images.
    assert metrics.keys() == expected | {f"group/{name}" for name in expected}
    for name in CLASS_METRICS.keys() - {"recall"}:
        assert np.mean([metrics[f"{name}/{of_class}"] for of_class in classes]) == pytest.approx(metrics[name])
    assert "group/error" not in judge_test(logits, labels, num_classes=3).metrics(NAMES[:3])


def test_of_many_classes_each_has_its_recall_alone() -> None:
    for num, names in ((CLASS_METRICS_UP_TO, CLASS_METRICS), (CLASS_METRICS_UP_TO + 1, ["recall"])):
        logits, labels, _ = lesions(40 * num, 40 * num, num)
        metrics = judge_test(logits, labels, num_classes=num).metrics([f"c{label}" for label in range(num)])
        assert {name.removesuffix("/c3") for name in metrics if name.endswith("/c3")} == set(names)


def test_of_two_classes_the_second_is_looked_for() -> None:
    logits, labels, _ = lesions(300, 300, 2)
    metrics = judge_test(logits, labels, num_classes=2).metrics(["benign", "malignant"])
    for name in CLASS_METRICS.keys() - {"recall"}:
        assert metrics[name] == metrics[f"{name}/malignant"]
    assert metrics["auroc/benign"] == pytest.approx(metrics["auroc/malignant"], abs=1e-12)
    assert metrics["average_precision/benign"] != metrics["average_precision/malignant"]


def read(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_the_tables_have_all_classes_by_their_own_names(tmp_path: Path) -> None:
    logits, labels, groups = lesions(120, 50)
    logits = torch.cat([logits, torch.zeros(120, 1)], dim=1)
    tested = judge_test(logits, labels, num_classes=4, groups=groups)
    folder = tmp_path / "test"
    (folder / "group").mkdir(parents=True)
    (folder / "left by a test that was cut off").touch()
    write_tables(folder, tested, NAMES)
    assert {str(path.relative_to(folder)) for path in folder.rglob("*.*")} == {
        "per_class.csv",
        "confusion_matrix.csv",
        "group/per_class.csv",
        "group/confusion_matrix.csv",
    }
    header, *rows = read(folder / "per_class.csv")
    assert header == ["class", "images", *CLASS_METRICS]
    assert [row[:2] for row in rows] == [[name, str(int((labels == at).sum()))] for at, name in enumerate(NAMES)]
    assert rows[-1] == ["never", "0", *[""] * len(CLASS_METRICS)]
    metrics = tested.metrics(NAMES)
    assert [float(value) for value in rows[0][2:]] == [metrics[f"{name}/melanoma"] for name in CLASS_METRICS]
    header, *rows = read(folder / "confusion_matrix.csv")
    assert (header, [row[0] for row in rows]) == (["class", *NAMES], NAMES)
    expected = confusion_matrix(labels, logits.argmax(dim=1), labels=range(4))
    assert [[int(value) for value in row[1:]] for row in rows] == expected.tolist()
    header, *rows = read(folder / "group" / "per_class.csv")
    assert header[:2] == ["class", "groups"]
    assert sum(int(row[1]) for row in rows) == 50
    write_tables(folder, judge_test(logits, labels, num_classes=4), NAMES)
    assert not (folder / "group").exists()


def test_a_class_whose_name_is_a_formula_is_not_computed(tmp_path: Path) -> None:
    logits, labels, _ = lesions(40, 40, 2)
    write_tables(tmp_path / "test", judge_test(logits, labels, num_classes=2), ["=1+1", "-1"])
    assert [row[0] for row in read(tmp_path / "test" / "per_class.csv")] == ["class", "'=1+1", "-1"]
    header, *rows = read(tmp_path / "test" / "confusion_matrix.csv")
    assert (header, [row[0] for row in rows]) == (["class", "'=1+1", "-1"], ["'=1+1", "-1"])


def test_a_training_tests_its_groups(tmp_path: Path) -> None:
    plain = random_dataset()
    # The images of a class are one group: three or four of each.
    grouped = replace(plain, test_groups=torch.arange(32) % 10)
    cell = make_cell(epochs=1, batch_size_per_worker=8)
    without, found = (run(cell, dataset, tmp_path / name) for name, dataset in (("plain", plain), ("grouped", grouped)))
    metrics = found.result.metrics
    of_images = {name: value for name, value in metrics.items() if not name.startswith("test/group/")}
    assert of_images == without.result.metrics
    assert {name for name in metrics if name.startswith("test/group/")} == {
        name.replace("test/", "test/group/") for name in metrics if name.startswith("test/") and "group" not in name
    }
    folder = CellFolder(found.folder)
    assert sum(int(row[1]) for row in read(folder.test / "per_class.csv")[1:]) == 32
    assert [row[1] for row in read(folder.test / "group" / "per_class.csv")[1:]] == ["1"] * 10
    assert not (CellFolder(without.folder).test / "group").exists()
