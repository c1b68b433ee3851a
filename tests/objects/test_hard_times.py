"""What a bucket, and the way to it, do to requests, and what must come of it all the same."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from s3_server import proxy_before

from orchestrator.objects import Address, BucketObjects, ObjectsError, clients
from orchestrator.objects import bucket as of_bucket

pytest.importorskip("obstore", reason="obstore is not installed: pip install zetasweep[objects]")
# Credentials that are about to expire are not asked for again sooner.
OLD_S = 0.3


def test_a_large_object_is_put_although_the_server_does_not_know_its_upload_any_more(
    bucket: Address, s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to the last request is lost, and to the same again it is answered that there is no such upload."""
    content = os.urandom(9 * 2**20)
    (tmp_path / "large").write_bytes(content)
    with proxy_before(s3) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        proxy.forgets = True
        objects = BucketObjects(bucket, named="storage", patience_s=10)
        tag = objects.put("large", tmp_path / "large")
        assert not proxy.forgets, "it has"
        assert objects.list()[0].tag == tag
        assert objects.fetch("large", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == content


def test_a_large_object_is_put_where_requests_fail_and_answers_get_lost(
    bucket: Address, s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_bucket, "FIRST_PAUSE_S", 0.01)
    content = os.urandom(20 * 2**20)
    (tmp_path / "large").write_bytes(content)
    with proxy_before(s3, seed=1) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        objects = BucketObjects(bucket, named="storage", patience_s=60)
        proxy.share = 0.3
        for number in range(3):
            objects.put(f"large {number}", tmp_path / "large")
        proxy.share = 0.0
        assert proxy.bad
        for number in range(3):
            assert objects.fetch(f"large {number}", tmp_path / "copy")
            assert (tmp_path / "copy").read_bytes() == content


def test_a_line_that_is_slow_is_no_server_that_is_silent(
    bucket: Address, s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "SILENCE_S", 0.5)
    (tmp_path / "large").write_bytes(bytes(9 * 2**20))
    with proxy_before(s3) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        proxy.delay_s = 1.0
        objects = BucketObjects(bucket, named="storage", patience_s=0)
        objects.put("large", tmp_path / "large")
        with pytest.raises(ObjectsError, match="does not answer"):
            objects.put("small", b"1")


def test_whoever_has_the_right_to_write_for_a_while_sends_one_request_at_a_time(
    bucket: Address, s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is tried again where nobody sees it: when the last try ends is known."""
    (tmp_path / "small").write_bytes(b"1")
    with proxy_before(s3) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        proxy.share = 1.0
        objects = BucketObjects(bucket, named="storage", patience_s=0)
        for number, content in enumerate((b"1", tmp_path / "small"), start=1):
            with pytest.raises(ObjectsError):
                objects.put("a", content)
            assert proxy.bad == number


def test_where_deleting_what_is_not_there_is_an_error_the_rest_is_deleted(tmp_path: Path) -> None:
    """Google's server and Azure's say so, as a disk does."""
    from obstore.store import LocalStore

    objects = BucketObjects(Address.of("gs://b"), named="storage", store=LocalStore(tmp_path), patience_s=0)
    for name in ("a", "c", "d"):
        objects.put(name, b"1")
    objects.delete(["a", "b", "c"])
    assert [found.name for found in objects.list()] == ["d"]
    objects.delete(["b"])


def test_a_copy_that_is_removed_meanwhile_is_no_object_that_is_not_there(
    bucket: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects, whole_utime, removals = BucketObjects(bucket, named="storage", patience_s=5), os.utime, [1, 2]
    objects.put("a", b"1")

    def utime(path: Path, times: tuple[float, float]) -> None:
        if removals:
            removals.pop()
            shutil.rmtree(path.parent)
        whole_utime(path, times)

    monkeypatch.setattr(os, "utime", utime)
    impatient = BucketObjects(bucket, named="storage", patience_s=0)
    with pytest.raises(ObjectsError, match="removed or replaced while it was fetched") as caught:
        impatient.fetch("a", tmp_path / "copy" / "a")
    assert "cache.dir" in caught.value.remedy
    assert objects.fetch("a", tmp_path / "copy" / "a")
    assert (tmp_path / "copy" / "a").read_bytes() == b"1"


def test_threads_that_fetch_the_same_do_not_disturb_each_other(bucket: Address, tmp_path: Path) -> None:
    objects, content = BucketObjects(bucket, named="storage", patience_s=5), os.urandom(3 * 2**20)
    objects.put("a", content)
    with ThreadPoolExecutor(8) as pool:
        tags = list(pool.map(lambda _: objects.fetch("a", tmp_path / "copy"), range(24)))
    assert len(set(tags)) == 1
    assert tags[0] is not None
    assert (tmp_path / "copy").read_bytes() == content
    assert os.listdir(tmp_path) == ["copy"]


def test_what_marks_a_folder_is_no_object(bucket: Address, s3: str) -> None:
    """Consoles make them, rclone and s3fs: an empty object with a ``/`` behind its name."""
    objects = BucketObjects(bucket, named="storage", patience_s=5)
    objects.put("cells/key/best.pt", b"1")
    objects.put("cells/key/empty", b"")
    with closing(http.client.HTTPConnection(urlsplit(s3).netloc, timeout=30)) as connection:
        for name in ("", "cells/", "cells/key/", "cells/another/"):
            connection.request("PUT", quote(f"/{bucket.bucket}/{bucket.folder}/{name}"), b"")
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200
    there = ["cells/key/best.pt", "cells/key/empty"]
    assert [found.name for found in objects.list("cells")] == ["cells/another", *there]
    assert [found.name for found in objects.list("cells/key")] == there
    assert objects.list("cells/another") == []


class _Metadata(ThreadingHTTPServer):
    """What a machine of Amazon's asks for its credentials: they are about to expire, so it asks again and again."""

    daemon_threads = True
    fails = False


class _MetadataHandler(BaseHTTPRequestHandler):
    server: _Metadata

    def _answer(self) -> None:
        in_a_minute = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60))
        keys = {"AccessKeyId": "me", "SecretAccessKey": "mine", "Token": "t", "Expiration": in_a_minute}
        answers = {"/latest/api/token": "token", "/latest/meta-data/iam/security-credentials/": "role"}
        content = answers.get(self.path, json.dumps(keys | {"Code": "Success"})).encode()
        self.send_response_only(503 if self.server.fails else 200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = _answer  # noqa: N815 - named by the base class

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def metadata(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Metadata]:
    server = _Metadata(("127.0.0.1", 0), _MetadataHandler)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setitem(sys.modules, "boto3", None)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def test_credentials_that_were_there_come_again(bucket: Address, metadata: _Metadata) -> None:
    """A machine asks for new ones every hour, and one answer that fails is no end."""
    objects = BucketObjects(bucket, named="storage", patience_s=0)
    metadata.fails = True
    with pytest.raises(ObjectsError, match="there are no credentials") as caught:
        objects.put("a", b"1")
    assert not caught.value.can_pass
    metadata.fails = False
    objects.put("a", b"1")
    metadata.fails = True
    time.sleep(OLD_S)
    with pytest.raises(ObjectsError, match="there are no credentials") as caught:
        objects.put("a", b"2")
    assert caught.value.can_pass
    patient = BucketObjects(bucket, named="storage", patience_s=30)
    metadata.fails = False
    patient.put("a", b"3")
    metadata.fails = True
    time.sleep(OLD_S)
    timer = threading.Timer(1.0, lambda: setattr(metadata, "fails", False))
    timer.start()
    patient.put("a", b"4")
    timer.join()
