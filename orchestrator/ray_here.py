"""Whether a Ray runs on this machine that was not started by zetasweep, and whether something is a Ray at all.

Without Ray, which takes a second to import and must be told how to be used before that.
"""

from __future__ import annotations

import os
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# What both sides of an HTTP/2 connection begin with, and so of gRPC: a magic line, and a frame of settings (RFC 9113).
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_SETTINGS = 4
# On the machine itself: whoever asks for help waits for it, too.
_HERE_TIMEOUT_S = 1.0


@dataclass(frozen=True)
class RunningRay:
    """A Ray that ``ray start`` has started on this machine.

    Attributes:
        address: Of its cluster, ``host:port``.
        is_ours: Whether the same user has started it.
    """

    address: str
    is_ours: bool


def running_ray() -> RunningRay | None:
    """Return the Ray that was last started here, if its cluster answers."""
    # As Ray: of Linux alone it takes TMPDIR.
    top = os.environ.get("RAY_TMPDIR") or (sys.platform == "linux" and os.environ.get("TMPDIR")) or "/tmp"
    file = Path(top, "ray", "ray_current_cluster")
    try:
        # A link may lead to a file of ours that somebody else has chosen.
        owner = file.lstat().st_uid
        host, _, port = file.read_text().strip().rpartition(":")
        if not speaks_grpc(host.strip("[]"), int(port), timeout_s=_HERE_TIMEOUT_S):
            return None
    except (OSError, ValueError):
        return None
    return RunningRay(f"{host}:{port}", is_ours=owner == os.getuid() and not file.is_symlink())


def speaks_grpc(host: str, port: int, *, timeout_s: float) -> bool:
    """Return whether a server of gRPC, as Ray's are, listens there.

    Raises:
        OSError: Nobody does.
    """
    with socket.create_connection((host, port), timeout=timeout_s) as connection:
        if uses_tls():
            return True  # it says nothing before the keys are exchanged
        header = b""
        with suppress(OSError):
            connection.sendall(_PREFACE)
            header = connection.recv(9, socket.MSG_WAITALL)
    return len(header) == 9 and header[3] == _SETTINGS


def uses_tls() -> bool:
    """Return whether Ray is told to encrypt what it says."""
    return os.environ.get("RAY_USE_TLS", "0") not in ("", "0")
