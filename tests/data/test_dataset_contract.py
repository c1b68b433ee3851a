"""What holds for every data set of the registry; a new one joins by a line in conftest's ``place``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.data import DATASETS, check_dataset
from orchestrator.errors import DataError
from zetasweep.testing import DATASET_CLAUSES, DatasetCase

pytestmark = pytest.mark.parametrize("name", list(DATASETS))
# These bring their validation images with them, or images that belong together: other clauses hold of them.
OWN_VALIDATION, GROUPED = {"isic2017", "flowers102", "medmnist_npz"}, {"isic2018", "ham10000"}


@pytest.mark.parametrize("clause", DATASET_CLAUSES, ids=lambda clause: clause.__name__)
def test_the_registry_keeps_the_contract(
    name: str, clause: Callable[[DatasetCase], None], tmp_path: Path, place: Callable[[str], str | None]
) -> None:
    clause(DatasetCase(name, tmp_path, tmp_path / "scratch", path=place(name)))


def test_what_a_set_brings_with_it_is_known(name: str, tmp_path: Path, place: Callable[[str], str | None]) -> None:
    case = DatasetCase(name, tmp_path, tmp_path / "scratch", path=place(name))
    source = case.opened()
    assert (source.val is not None) == (name in OWN_VALIDATION)
    assert (source.train.groups is not None) == (name in GROUPED)


def test_a_missing_set_says_how_it_is_fetched(name: str, tmp_path: Path) -> None:
    if DATASETS[name].embedded:
        return
    path = {"image_folder": "mine", "medmnist_npz": "mine.npz"}.get(name)
    with pytest.raises(DataError) as raised:
        check_dataset(name, tmp_path, path=path)
    # Nothing at all is there: it may be a folder of another machine, which comes again.
    assert raised.value.can_pass
    (tmp_path / "something").touch()
    with pytest.raises(DataError) as alone:
        check_dataset(name, tmp_path, path=path)
    assert not alone.value.can_pass
    assert ("--download" in str(raised.value)) == (DATASETS[name].download is not None)
