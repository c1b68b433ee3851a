"""What is said where a bucket cannot be used: each cause with its own remedy, and no traceback of a library."""

from __future__ import annotations

import re
import socket
import sys
import threading
import time
from pathlib import Path

import pytest
from s3_server import proxy_before

from orchestrator.objects import Address, BucketObjects, ObjectsError, clients
from orchestrator.objects import bucket as of_bucket

pytest.importorskip("obstore", reason="obstore is not installed: pip install zetasweep[objects]")


def trouble_of(address: Address, *, patience_s: float = 0.0) -> ObjectsError:
    """Return what is said of a place; the same whatever is asked for first."""
    errors = []
    for ask in (
        lambda objects: objects.put("a", b"1"),
        lambda objects: objects.list(),
        lambda objects: objects.create("lock", b"1"),
        lambda objects: objects.read("a"),
    ):
        with pytest.raises(ObjectsError) as caught:
            ask(BucketObjects(address, named="storage", patience_s=patience_s))
        errors.append(caught.value)
    (error, *others) = errors
    assert {str(each) for each in others} == {str(error)}
    assert error.remedy
    assert "Debug source" not in str(error)
    assert str(error).startswith(f"storage = {address}: ")
    return error


@pytest.mark.usefixtures("bucket")
def test_no_such_bucket() -> None:
    error = trouble_of(Address.of("s3://nobody-has-it/runs"))
    assert "there is no bucket nobody-has-it" in str(error)
    assert "make it" in error.remedy


def test_no_permission(bucket: Address, s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with proxy_before(s3) as proxy:
        proxy.denies = True
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        error = trouble_of(bucket)
    assert "no permission (AccessDenied)" in str(error)
    assert "list, read, write and delete" in error.remedy


def test_no_credentials(bucket: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setitem(sys.modules, "boto3", None)
    # Where the machines of Amazon are asked for theirs.
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        error = trouble_of(bucket)
    assert "no credentials" in str(error)
    assert socket.gethostname() in str(error), "another machine may have some"
    assert "AWS_ACCESS_KEY_ID" in error.remedy


def test_the_credentials_of_amazons_own_tools_are_found(
    bucket: Address, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("boto3", reason="boto3 is not installed")
    (tmp_path / "credentials").write_text("[default]\naws_access_key_id = me\naws_secret_access_key = mine\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    objects = BucketObjects(bucket, named="storage", patience_s=0)
    objects.put("a", b"1")
    assert [found.name for found in objects.list()] == ["a"]


def test_nobody_answers(bucket: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        error = trouble_of(bucket)
    assert f"the server at {url} does not answer" in str(error)
    assert "AWS_ENDPOINT_URL" in error.remedy


def test_a_server_that_says_nothing_is_not_waited_for_long(
    bucket: Address, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    monkeypatch.setattr(clients, "SILENCE_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        objects, began_at = BucketObjects(bucket, named="data_dir", patience_s=0), time.monotonic()
        with pytest.raises(ObjectsError, match=r"data_dir = s3://.*does not answer"):
            objects.read("a")
    assert time.monotonic() - began_at < 10
    assert any(f"waiting for {bucket} to give a" in line for line in said), "a wait is said"


def test_how_long_a_bucket_is_silent_is_counted_over_all_that_ask(
    bucket: Address, s3: str, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    with proxy_before(s3) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        proxy.share = 1.0
        objects = BucketObjects(bucket, named="storage", patience_s=1.5)
        for name in ("a", "b"):
            with pytest.raises(ObjectsError):
                objects.read(name)
        assert re.search(r"to give b \(0:00:0[2-9] so far\)", said[-1]), "b alone waited for less"
        proxy.share = 0.0
        objects.put("a", b"1")
        proxy.share = 1.0
        with pytest.raises(ObjectsError):
            objects.read("a")
    assert re.search(r"to give a \(0:00:0[01] so far\)", said[-1]), "it had answered"


def test_what_fails_for_a_while_is_tried_again(bucket: Address, s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with proxy_before(s3) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        proxy.share = 1.0
        timer = threading.Timer(1.5, lambda: setattr(proxy, "share", 0.0))
        timer.start()
        objects = BucketObjects(bucket, named="storage", patience_s=30)
        objects.put("a", b"1")
        assert objects.read("a")
        assert proxy.bad > 1


def test_of_a_conditional_put_whose_answer_is_lost_it_is_found_out_what_became_of_it(
    bucket: Address, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of all requests are refused, or taken while the answer is lost: nobody believes to have lost what is his."""
    with proxy_before(s3, seed=3) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        objects = BucketObjects(bucket, named="storage", patience_s=30)
        monkeypatch.setattr(of_bucket, "FIRST_PAUSE_S", 0.01)
        proxy.share = 0.5
        tag = objects.create("lock", b"0")
        for number in range(1, 15):
            assert tag
            tag = objects.replace("lock", f"{number}".encode(), version=tag)
        proxy.share = 0.0
        assert proxy.bad > 5
        assert (objects.read("lock") or b"")[0] == b"14"


def test_without_the_package_it_is_said_which(bucket: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("obstore", "obstore.store", "obstore.exceptions"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ObjectsError) as caught:
        BucketObjects(bucket, named="storage").read("a")
    assert "not installed" in str(caught.value)
    assert "zetasweep[objects]" in caught.value.remedy


def test_an_account_that_nobody_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ObjectsError, match="the account is not known"):
        BucketObjects(Address.of("abfs://container/runs"), named="storage").list()
