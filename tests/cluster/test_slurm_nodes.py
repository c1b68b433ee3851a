"""deploy/slurm.sbatch under a real SLURM of two hosts: ended by a notice, put into the queue again, the same table."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from bed import Host, Plan
from commands import ROOT, until
from ray_hosts import MakeHosts, RayHosts

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]
# What SLURM says of a job that is not over; one that is put into the queue again waits there for two minutes.
UNDER_WAY = ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "REQUEUED")
BEGINS_WITHIN_S, ENDS_WITHIN_S = 300, 900
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
SWEEP = """
name: queued
dataset: digits
model: convnet
augment: [erm, {mixup: {alpha: 1.0}}]
seed: [0, 1]
train: {epochs: 40, batch_size_per_worker: 64}
resources: {workers: 2}
tracking: {models: none}
"""
CONFIGURATION = """
ClusterName=bed
SlurmctldHost={head.name}({head.address})
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=30
MinJobAge=3600
{nodes}
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


@dataclass
class Slurm:
    """A SLURM whose controller and first node are the first host.

    Attributes:
        hosts: Its nodes.
        folder: That all see.
    """

    hosts: RayHosts
    folder: Path

    def run(self, *command: str) -> str:
        """Run a command of SLURM's on the first host, and return what it prints."""
        answer = next(iter(self.hosts.hosts.values())).run(command, self.environment)
        assert answer.returncode == 0, answer.stdout + answer.stderr
        return answer.stdout

    @property
    def environment(self) -> dict[str, str]:
        """Of whoever calls sbatch, which the job takes along."""
        return {
            **self.hosts.environment,
            "SLURM_CONF": str(self.folder / "slurm.conf"),
            "PYTHONPATH": str(ROOT),
            "RAY_OBJECT_STORE_MEMORY": "100000000",
        }

    def submit(self, name: str, *arguments: str | Path) -> tuple[str, Path]:
        """Hand in deploy/slurm.sbatch, one CPU of each host; return the job's number and its log."""
        log = self.folder / f"{name}.log"
        size = ("--cpus-per-task=1", "--gpus-per-node=0", "--time=30", f"--output={log}", f"--chdir={self.folder}")
        said = self.run("sbatch", "--parsable", *size, str(ROOT / "deploy" / "slurm.sbatch"), *map(str, arguments))
        return said.strip(), log

    def state(self, job: str) -> str:
        """How a job is: PENDING, RUNNING, COMPLETED and so on."""
        found = re.search(r"JobState=(\w+)", self.run("scontrol", "show", "job", job))
        assert found is not None
        return found[1]


@pytest.fixture
def slurm(make_hosts: MakeHosts, tmp_path: Path) -> Iterator[Slurm]:
    lacking = [program for program in PROGRAMS if shutil.which(program) is None]
    if lacking:
        pytest.skip(f"{', '.join(lacking)} is not installed: SLURM and MUNGE bring them")
    folder = tmp_path / "slurm"
    for name in ("state", "spool-one", "spool-two"):
        (folder / name).mkdir(parents=True)
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    # What the script starts by its name.
    python = tmp_path / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    with make_hosts(one=Plan(), two=Plan(interface="ens3")) as hosts, ExitStack() as stack:
        nodes = hosts.hosts.values()
        (folder / "slurm.conf").write_text(
            CONFIGURATION.format(folder=folder, head=hosts.hosts["one"], nodes="\n".join(map(_node, nodes)))
        )
        munged = _munged(folder, key)
        stack.callback(munged.wait)
        stack.callback(munged.terminate)
        made = Slurm(hosts, folder)
        hosts.hosts["one"].popen(["slurmctld", "-D"], made.environment, log=folder / "controller.out")
        for host in nodes:
            hosts.hosts[host.name].popen(["slurmd", "-D", "-N", host.name], made.environment, log=folder / "node.out")
        until(lambda: made.run("sinfo", "-h", "-o", "%D %t").split() == ["2", "idle"], timeout_s=60)
        yield made


def _node(host: Host) -> str:
    return f"NodeName={host.name} NodeAddr={host.address} CPUs=1 RealMemory=4000 State=UNKNOWN"


def _munged(folder: Path, key: Path) -> subprocess.Popen[bytes]:
    files = {"key-file": key, "socket": folder / "munge.socket", "pid-file": folder / "munge.pid"}
    files |= {"log-file": folder / "munge.log", "seed-file": folder / "munge.seed"}
    options = [f"--{name}={path}" for name, path in files.items()]
    with (folder / "munged.out").open("wb") as said:
        command = ["munged", "--foreground", "--force", *options]
        return subprocess.Popen(command, start_new_session=True, stdout=said, stderr=said)


def test_a_sweep_that_a_notice_ends_goes_on_from_the_queue_to_the_same_table(slurm: Slurm, tmp_path: Path) -> None:
    file = tmp_path / "queued.yaml"
    file.write_text(SWEEP)
    tables = []
    for name, notice in (("calm", False), ("queued", True)):
        storage = f"storage={tmp_path / name}"
        job, log = slurm.submit(name, file, "-o", storage)
        if notice:
            until(lambda log=log: ": epoch " in _read(log), timeout_s=BEGINS_WITHIN_S)
            slurm.run("scancel", "--signal=USR1", "--batch", job)
        until(lambda job=job: slurm.state(job) not in UNDER_WAY, timeout_s=ENDS_WITHIN_S)
        said = _read(log)
        assert slurm.state(job) == "COMPLETED", said
        # One CPU of each host is a worker of the same cell.
        assert "1 at a time, 2 workers x 1 CPU each, on 1 CPU / 0 GPUs, 1 CPU / 0 GPUs" in said
        assert "[4/4 cells" in said
        assert said.count("notice: all cells are saved, and the job goes into the queue again") == notice
        assert said.count("; the same command goes on") == notice
        assert said.count("cells:     4: ") == 1 + notice, "it was begun twice"
        for command in ("compare", "doctor"):
            answer = slurm.hosts.zetasweep(
                "one", command, file, "-o", storage, *["--format", "csv"] * (command == "compare")
            )
            assert answer.returncode == 0, answer.stdout + answer.stderr
            if command == "compare":
                # Each store has ids of its own for its runs, the last of each line.
                tables.append([line.rpartition(",")[0] for line in answer.stdout.splitlines()])
    assert tables[0] == tables[1]
    assert len(tables[0]) == 1 + 4


def _read(log: Path) -> str:
    """What a job has printed."""
    return log.read_text() if log.exists() else ""
