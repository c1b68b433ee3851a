"""Which job server an address means, and what is said of what is none."""

from __future__ import annotations

import pytest

from orchestrator.errors import UserError
from orchestrator.jobs import address_of

VARIABLES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("http://head:8265", "http://head:8265"),
        ("http://head:8265/", "http://head:8265"),
        ("https://lab.example/ray/", "https://lab.example/ray"),
        ("http://head", "http://head"),
        ("head", "http://head:8265"),
        ("head:8265", "http://head:8265"),
        ("10.0.0.1:9000", "http://10.0.0.1:9000"),
        ("http://[::1]:8265", "http://[::1]:8265"),
    ],
)
def test_an_address_names_a_job_server(given: str, url: str) -> None:
    assert address_of(given).url == url


@pytest.mark.parametrize(
    ("given", "why", "remedy"),
    [
        ("ray://head:10001", "Ray Client's, which takes no jobs", "name http://head:8265"),
        ("head:10001", "its port is that of Ray Client", "name http://head:8265"),
        ("head:6379", "its port is where clusters are joined", "name http://head:8265"),
        ("http://head:6379", "its port is where clusters are joined", "name http://head:8265"),
        ("auto", "no address of a job server", "name http://HOST:8265"),
        ("local", "no address of a job server", "name http://HOST:8265"),
        ("", "no address of a job server", "name http://HOST:8265"),
        ("anyscale://x", "no address of a job server", "name http://x:8265"),
        ("http://head:82650000", "no address of a job server", "name http://HOST:8265"),
        ("ray://[::1]:10001", "Ray Client's, which takes no jobs", "name http://[::1]:8265"),
    ],
)
def test_what_is_no_job_server_is_refused_with_what_is(given: str, why: str, remedy: str) -> None:
    with pytest.raises(UserError) as refused:
        address_of(given)
    assert str(refused.value).startswith(f"--address = {given}: {why}\n  allowed: http://HOST:8265")
    assert refused.value.remedy == remedy


def test_an_address_with_a_password_is_refused_and_the_password_is_not_shown() -> None:
    with pytest.raises(UserError, match=r"--address = http://\*\*\*@head:8265: it holds a password") as refused:
        address_of("http://me:hunter2hunter2@head:8265")
    assert "hunter2" not in str(refused.value)


def test_the_environment_names_it_where_no_option_does(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="no job server of a cluster is named") as refused:
        address_of(None)
    assert "zetasweep run trains without a job" in refused.value.remedy
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    with pytest.raises(UserError, match="RAY_ADDRESS = head:6379 is where it is joined") as refused:
        address_of(None)
    assert refused.value.remedy.startswith("--address http://head:8265, or set RAY_API_SERVER_ADDRESS")
    monkeypatch.setenv("RAY_ADDRESS", "http://head:8265")
    assert str(address_of(None)) == "RAY_ADDRESS = http://head:8265"
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://other:8265")
    assert str(address_of(None)) == "RAY_API_SERVER_ADDRESS = http://other:8265"
    assert str(address_of("third")) == "--address = http://third:8265"
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "ray://other:10001")
    with pytest.raises(UserError, match="RAY_API_SERVER_ADDRESS = ray://other:10001: Ray Client's"):
        address_of(None)


def test_the_dashboard_shows_a_job_under_its_name() -> None:
    assert address_of("head").link_to("small-1") == "http://head:8265/#/jobs/small-1"
