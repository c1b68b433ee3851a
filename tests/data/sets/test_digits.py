"""The digits are those of scikit-learn, without its imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch

from orchestrator.data import load_dataset


def test_they_are_those_of_scikit_learn(tmp_path: Path) -> None:
    from sklearn.datasets import load_digits  # takes a second to import

    bunch = load_digits()
    dataset = load_dataset("digits", tmp_path)
    shades = torch.from_numpy((bunch.images * 255 / 16).round()).to(torch.uint8)
    expected = sorted(zip(bunch.target.tolist(), shades.flatten(1).tolist(), strict=True))
    found = [
        (label, dataset.images[row].flatten().tolist())
        for split in (dataset.train, dataset.val, dataset.test)
        for row, label in zip(split.rows.tolist(), split.labels.tolist(), strict=True)
    ]
    assert sorted(found) == expected
    assert dataset.class_names == tuple(map(str, bunch.target_names))


def test_no_worker_waits_for_scipy(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from orchestrator.data import load_dataset\n"
        f"load_dataset('digits', Path({str(tmp_path)!r}))\n"
        "print(sorted({'sklearn', 'scipy'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
