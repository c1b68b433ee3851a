"""A Ray cluster of one node on this machine, to which jobs are submitted."""

from __future__ import annotations

import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from listening import free_port

# Ray gives a node 30 s to come up, which on a busy machine it may not: then it is tried again.
TRIES, ANSWERS_WITHIN_S = 8, 180.0
# What `ray start` says when the node is there; the dashboard answers before.
STARTED = "Ray runtime started"


@contextmanager
def running_head(
    environment: dict[str, str], folder: Path, *, cpus: int = 2, gpus: int = 0
) -> Iterator[dict[str, str]]:
    """Run a head of its own; yield the environment of its users, once it answers."""
    # The tests' own is zetasweep's word, which Ray does not know.
    environment = {name: value for name, value in environment.items() if name != "RAY_ADDRESS"}
    for _ in range(TRIES):
        address = f"http://127.0.0.1:{free_port()}"
        with (folder / "head.log").open("w") as log:
            process = subprocess.Popen(
                _command(environment, address, cpus, gpus), env=environment, stdout=log, stderr=log
            )
        try:
            if _comes_up(process, address, folder / "head.log"):
                yield environment | {"RAY_ADDRESS": address}
                return
        finally:
            process.terminate()
            process.wait(60)
    raise AssertionError(f"the head did not come up: {(folder / 'head.log').read_text()[-5000:]}")


def with_token(environment: dict[str, str]) -> dict[str, str]:
    """Return an environment with a token in its home, made anew if there is none."""
    variables = environment | {"RAY_AUTH_MODE": "token"}
    subprocess.run([_ray(environment), "get-auth-token", "--generate"], env=variables, check=True, capture_output=True)
    return variables


def _command(environment: dict[str, str], address: str, cpus: int, gpus: int) -> list[str]:
    dashboard = address.rpartition(":")[2]
    command = [_ray(environment), "start", "--head", "--num-cpus", str(cpus), "--port", str(free_port())]
    command += ["--num-gpus", str(gpus), "--ray-client-server-port", str(free_port())]
    command += ["--dashboard-host", "127.0.0.1", "--dashboard-port", dashboard, "--disable-usage-stats"]
    # By default all heads of a machine have the same: beside another one's, this one's agent would not come up.
    command += ["--dashboard-agent-listen-port", str(free_port()), "--object-store-memory", "100000000", "--block"]
    return command


def _ray(environment: dict[str, str]) -> str:
    ray = shutil.which("ray", path=environment["PATH"])
    assert ray is not None
    return ray


def _comes_up(process: subprocess.Popen[bytes], address: str, log: Path) -> bool:
    """Return whether a head is there and its dashboard answers; False if it ends before."""
    deadline = time.monotonic() + ANSWERS_WITHIN_S
    while process.poll() is None and time.monotonic() < deadline:
        if STARTED not in log.read_text():
            time.sleep(0.5)
            continue
        try:
            urllib.request.urlopen(f"{address}/api/version", timeout=10).close()
        except urllib.error.HTTPError as error:
            if error.code == 401:  # it asks for the token
                return True
        except OSError:
            pass
        else:
            return True
        time.sleep(0.5)
    return False
