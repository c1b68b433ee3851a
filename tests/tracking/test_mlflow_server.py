"""A shared MLflow: PostgreSQL, basic authentication, host names, a path; and what is said where one lacks."""

from __future__ import annotations

import base64
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow_server import PASSWORD, PREFIX, USER, lab_server
from sweep_samples import DIGITS, ERM, make_cells
from tracked import finish

from orchestrator.environment import TRACKING_CREDENTIALS
from orchestrator.errors import UserError
from orchestrator.experiment import Experiment
from orchestrator.tracking import Tracker, pages_of
from orchestrator.tracking.store import Store

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def address(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with lab_server(tmp_path_factory.mktemp("server"), environment) as found:
        yield found


@pytest.fixture(autouse=True)
def _no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in TRACKING_CREDENTIALS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def let_in(monkeypatch: pytest.MonkeyPatch, password: str = PASSWORD) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", USER)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)


def get(url: str) -> int:
    request = urllib.request.Request(url)
    request.add_header("Authorization", f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return int(answer.status)


def test_a_sweep_is_tracked_with_its_files_and_its_pages_are_reached(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_in(monkeypatch)
    (cell,) = make_cells(ERM, seeds=(0,))
    experiment = Experiment(
        name="sample", dataset=(DIGITS,), model=("convnet",), augment=(ERM,), file=Path("x.yaml"), storage=tmp_path
    )
    tracker = Tracker(address, artifacts=None, origin="tracking.uri")
    assert tracker.store.is_server
    tracker.sweep.open(experiment, {})
    finish(tracker, cell, tmp_path)
    (run,) = tracker.cell_runs([cell]).values()
    assert run.status == "done"
    assert run.run_id is not None
    # Through the server: no key of the place where they lie was needed here.
    files = {file.path for file in tracker.store.client.list_artifacts(run.run_id)}
    assert "environment.json" in files
    found = tracker.store.client.download_artifacts(run.run_id, "environment.json", str(tmp_path))
    assert Path(found).is_file()
    pages = pages_of(tracker.store, experiment)
    assert all(page.startswith("#/experiments/") for page in pages.values())
    assert get(f"{address}/") == 200
    # A user and a password in the address are taken out of it: whoever prints it prints none.
    by_address = Store(address.replace("//", f"//{USER}:{PASSWORD}@"), origin="MLFLOW_TRACKING_URI")
    assert PASSWORD not in by_address.uri + by_address.shown_uri
    assert by_address.answers()


def test_a_file_of_credentials_lets_in(address: str, tmp_path: Path) -> None:
    (tmp_path / ".mlflow").mkdir()
    text = f"[mlflow]\nmlflow_tracking_username = {USER}\nmlflow_tracking_password = {PASSWORD}\n"
    (tmp_path / ".mlflow" / "credentials").write_text(text)
    assert Store(address, origin="tracking.uri").answers()


@pytest.mark.parametrize("password", [None, "wrong"])
def test_who_is_not_let_in_is_told_where_the_password_goes(
    address: str, password: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if password is not None:
        let_in(monkeypatch, password)
    with pytest.raises(UserError) as refused:
        Store(address, origin="tracking.uri")
    assert str(refused.value).startswith(f"tracking.uri = {address}: MLflow refuses (")
    assert refused.value.remedy.startswith("set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD (or MLFLOW_TRACK")
    assert "only where zetasweep is called, no worker needs them" in refused.value.remedy


def test_another_name_than_the_server_answers_to_is_told_the_option(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_in(monkeypatch)
    with pytest.raises(UserError) as refused:
        Store(address.replace("127.0.0.1", "localhost"), origin="tracking.uri")
    assert refused.value.remedy.startswith("start the server with --allowed-hosts, and this address as it is written")


def test_an_address_without_the_path_of_the_server_is_told_so(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    let_in(monkeypatch)
    with pytest.raises(UserError) as refused:
        Store(address.removesuffix(PREFIX), origin="tracking.uri")
    assert "that of --static-prefix" in refused.value.remedy
