"""The bed itself: what runs on a host sees what it would on a machine, and what happens to the host happens to it."""

from __future__ import annotations

import os
from pathlib import Path

from bed import Plan, bed
from commands import until


def test_hosts_are_machines_of_their_own(tmp_path: Path) -> None:
    env, own = dict(os.environ), tmp_path / "disk"
    with bed(tmp_path, one=Plan(own=(str(own),)), two=Plan(interface="ens3", own=(str(own),))) as hosts:
        one, two = hosts["one"], hosts["two"]

        def reaches() -> bool:
            command = ["bash", "-c", f"exec 3<>/dev/tcp/{two.address}/7000"]
            return one.run(["timeout", "1", *command], env).returncode == 0

        listening = two.popen(["python3", "-m", "http.server", "7000"], env)
        until(reaches)
        assert "127.0.1.1" in one.run(["getent", "hosts", "one"], env).stdout
        assert one.run(["getent", "hosts", "two"], env).returncode != 0
        assert "ens3" in two.run(["ip", "-o", "-4", "address"], env).stdout
        one.run(["touch", str(own / "mine")], env)
        assert not two.run(["ls", str(own)], env).stdout
        assert int(two.run(["sh", "-c", "echo $$"], env).stdout) < 100
        two.cut()
        assert not reaches()
        assert listening.poll() is None
        two.heal()
        until(reaches)
        two.power_off()
        assert listening.poll() is not None
        two.start()
        assert not reaches()
