"""What the tests of the training loop share: digits, and a training that nothing disturbed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from trainings import FEW, Trained, make_cell, run

from orchestrator.data import Dataset, load_dataset


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load_dataset("digits", tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def few_digits(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load_dataset("digits", tmp_path_factory.getbasetemp(), num_train=FEW)


@pytest.fixture(scope="session")
def whole(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A training that nothing disturbed."""
    torch.set_num_threads(1)
    return run(make_cell(), digits, tmp_path_factory.mktemp("whole"))
