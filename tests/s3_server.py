"""An S3 server as a process of its own: moto's, which answers as Amazon's does, conditional puts included."""

from __future__ import annotations

import http.client
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest

from orchestrator.environment import AWS_CREDENTIALS, AWS_ENDPOINTS, AWS_REGIONS

BUCKET = "bucket"
# Headers that belong to one connection, not to what it carries.
OF_THE_CONNECTION = ("connection", "keep-alive", "transfer-encoding")
SERVE = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""
DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
UNKNOWN = b"<Error><Code>NoSuchUpload</Code><Message>The specified upload does not exist</Message></Error>"


class S3Server:
    """Started when it is made, with one empty bucket.

    Attributes:
        url: Where it is.
    """

    def __init__(self) -> None:
        pytest.importorskip("moto.server", reason="moto[s3] is not installed")
        self._process = subprocess.Popen(
            [sys.executable, "-c", SERVE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        with closing(http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=30)) as connection:
            connection.request("PUT", f"/{BUCKET}")
            assert connection.getresponse().status == 200

    def close(self) -> None:
        """End it; what it held is gone."""
        self._process.kill()
        self._process.wait()


def environment_of(url: str) -> dict[str, str]:
    """Return what a process has to be told of a server."""
    return {
        AWS_ENDPOINTS[1]: url,
        AWS_CREDENTIALS[0]: "tests",
        "AWS_SECRET_ACCESS_KEY": "tests-of-zetasweep",
        AWS_REGIONS[0]: "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        # MLflow's client of S3 waits long for a server that is not there.
        "NO_PROXY": "127.0.0.1,localhost",
    }


class Proxy(ThreadingHTTPServer):
    """Passes requests on to a server, some of them badly.

    Attributes:
        delay_s: How much later each answer comes.
        share: Of the requests, how many go wrong: half of them are not passed on, of the others the answer is lost.
        denies: Whether each is answered 403.
        unconditional: Conditions of a request that are left out, as servers do that do not know them.
        forgets: Whether the answer to the next end of an upload in parts is lost, and the upload is not known any
            more, as it is with other servers than Amazon's.
        bad: How many went wrong.
        random: What is drawn from.
    """

    daemon_threads = True

    def __init__(self, url: str, *, seed: int = 0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.to, self.url = urlsplit(url).netloc, f"http://127.0.0.1:{self.server_port}"
        self.delay_s, self.share, self.denies, self.bad = 0.0, 0.0, False, 0
        self.unconditional: tuple[str, ...] = ()
        self.forgets, self._forgotten = False, ""
        self.random, self.lock = random.Random(seed), threading.Lock()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that are gone."""

    def fate(self, method: str, path: str) -> str:
        """Draw what becomes of a request."""
        with self.lock:
            if method == "POST" and path == self._forgotten:
                return "unknown"
            if self.forgets and method == "POST" and "uploadId=" in path:
                self.forgets, self._forgotten = False, path
                return "lost"
            drawn = self.random.random()
            if drawn >= self.share:
                return "passed"
            self.bad += 1
            return "refused" if drawn < self.share / 2 else "lost"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        time.sleep(self.server.delay_s)
        if self.server.denies:
            self._answer(403, {"content-type": "application/xml"}, DENIED)
            return
        fate = self.server.fate(self.command, self.path)
        if fate == "refused":
            self._answer(503, {}, b"<Error><Code>SlowDown</Code></Error>")
            return
        if fate == "unknown":
            self._answer(404, {"content-type": "application/xml"}, UNKNOWN)
            return
        with closing(http.client.HTTPConnection(self.server.to, timeout=60)) as connection:
            # With the host that was signed.
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in (*OF_THE_CONNECTION, *self.server.unconditional):
                    connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            content = answer.read()
        if fate == "lost":
            self.close_connection = True
            return
        self._answer(answer.status, answer.headers, content)

    def _answer(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in (*OF_THE_CONNECTION, "content-length"):
                self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("content-length", str(len(content)))
        elif "content-length" in headers:
            self.send_header("content-length", headers["content-length"])
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass_on  # noqa: N815 - named by the base class

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def proxy_before(url: str, *, seed: int = 0) -> Iterator[Proxy]:
    """Yield a proxy before a server, while it runs."""
    proxy = Proxy(url, seed=seed)
    thread = threading.Thread(target=proxy.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.shutdown()
        proxy.server_close()
        thread.join(10)
