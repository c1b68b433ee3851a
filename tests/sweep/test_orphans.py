"""A worker whose raylet has ended."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil
from commands import ROOT, until

CHILD = "import time, orchestrator.sweep.orphans as orphans; orphans.end_with_parent(); print('on'); time.sleep(60)"
PARENT = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-uc", {CHILD!r}], stdout=subprocess.PIPE, text=True)
print(child.pid, child.stdout.readline().strip(), flush=True)
sys.stdin.read()
"""


def test_it_goes_with_its_parent_and_not_before() -> None:
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid, said = parent.stdout.readline().split()
        assert said == "on"
        child = psutil.Process(int(pid))
        assert child.is_running()
        parent.kill()
    until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, timeout_s=20)
