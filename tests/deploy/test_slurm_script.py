"""deploy/slurm.sbatch with stand-ins for srun, ray, scontrol and the driver; and what its lines ask of SLURM."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import ROOT, until

from orchestrator.sweep.saving import SAVED_WITHIN_S

SCRIPT = ROOT / "deploy" / "slurm.sbatch"
ASKED = dict(re.findall(r"^#SBATCH --([\w-]+)(?:=(\S+))?$", SCRIPT.read_text(), re.MULTILINE))

# On two nodes srun would start it twice: the second is what waits for the head, and has nothing to do here.
SRUN = 'printf "%s\\n" "$*" > srun.txt\nwhile [ "$1" != ray ]; do shift; done\nexec "$@"\n'
# Starts what stands behind --, and ends as that does, as symmetric-run does; some time after it, if it is told so.
RAY = (
    'if [ "$1" = get-auth-token ]; then mkdir -p ~/.ray; echo token > ~/.ray/auth_token; exit; fi\n'
    'while [ "$1" != -- ]; do shift; done\nshift\n"$@"\ncode=$?\ntouch ended.txt\nsleep "$LINGERS_S"\nexit "$code"\n'
)
# The driver: notes where it is, and ends with what it is told, or when it has saved.
PYTHON = (
    'printf "%s\\n" "$RAY_ADDRESS $RAY_AUTH_MODE $*" > driver.txt\n'
    "trap 'echo saved >> driver.txt; sleep 1; exit 130' USR1\n"
    '[ -z "$ENDS_WITH" ] || exit "$ENDS_WITH"\necho ready >> driver.txt\nwhile true; do sleep 0.05; done\n'
)


@pytest.fixture
def batch(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Starts the script as SLURM does, on its first node."""
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    for name, text in {"srun": SRUN, "ray": RAY, "python": PYTHON, "scontrol": 'echo "$*" > scontrol.txt\n'}.items():
        (bin_dir / name).write_text(f"#!/bin/bash\n{text}")
        (bin_dir / name).chmod(0o755)

    def start(*arguments: str, ends_with: str = "", lingers_s: float = 0) -> subprocess.Popen[str]:
        of_slurm = {"SLURM_JOB_ID": "12345", "SLURM_JOB_NUM_NODES": "2", "SLURM_CPUS_PER_TASK": "16"}
        variables = {"PATH": f"{bin_dir}:{os.environ['PATH']}", "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
        more = {
            "ENDS_WITH": ends_with,
            "LINGERS_S": str(lingers_s),
            "ZETASWEEP_HEAD_IP": "10.0.0.1",
            "SLURM_GPUS_ON_NODE": "4",
        }
        return subprocess.Popen(
            ["bash", str(SCRIPT), *arguments],
            cwd=tmp_path,
            env=variables | of_slurm | more,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return start


def said_by_driver(folder: Path) -> str:
    return (folder / "driver.txt").read_text() if (folder / "driver.txt").exists() else ""


def test_it_is_valid_shell() -> None:
    checked = subprocess.run(["bash", "-n", str(SCRIPT)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_what_it_asks_of_slurm() -> None:
    assert {"requeue", "exclusive"} <= ASKED.keys()
    # To the script alone, some minutes before the limit, and no signal that SLURM sends again.
    told = re.fullmatch(r"B:USR1@(\d+)", ASKED["signal"])
    assert told is not None
    assert int(told[1]) >= SAVED_WITHIN_S + 60
    assert ASKED["ntasks-per-node"] == "1"
    assert ASKED["open-mode"] == "append"
    # What follows the first command is not read by sbatch.
    lines = SCRIPT.read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if line and not line.startswith("#"))
    assert not [line for line in lines[first:] if line.startswith("#SBATCH")]


@pytest.mark.parametrize("code", [0, 1, 2])
def test_it_ends_like_the_sweep_and_is_over(
    batch: Callable[..., subprocess.Popen[str]], tmp_path: Path, code: int
) -> None:
    process = batch("mine.yaml", "-o", "augment=[erm, mixup]", ends_with=str(code))
    output, _ = process.communicate(timeout=60)
    assert process.returncode == code, output
    assert said_by_driver(tmp_path) == "10.0.0.1:22345 token -m orchestrator run mine.yaml -o augment=[erm, mixup]\n"
    asked = (tmp_path / "srun.txt").read_text()
    assert "symmetric-run --address 10.0.0.1:22345 --min-nodes 2 --num-cpus 16 --num-gpus 4 " in asked
    assert not (tmp_path / "scontrol.txt").exists()
    assert (tmp_path / ".ray" / "auth_token").exists()
    assert not list(tmp_path.glob("zetasweep-driver-*"))


def test_a_head_that_does_not_start_is_no_success(batch: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    """On one node symmetric-run then says so, and ends with 0."""
    (tmp_path / "bin" / "ray").write_text('#!/bin/bash\n[ "$1" = get-auth-token ] || echo "Failed to start Ray" >&2\n')
    process = batch("mine.yaml")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1, output
    assert "Failed to start Ray" in output
    assert "nothing was trained; the reason stands above" in output
    assert not (tmp_path / "scontrol.txt").exists()


@pytest.mark.parametrize(("number", "again"), [(signal.SIGUSR1, True), (signal.SIGUSR2, False)])
def test_a_notice_has_the_driver_save_and_the_job_go_on_and_a_stop_does_not(
    batch: Callable[..., subprocess.Popen[str]], tmp_path: Path, number: signal.Signals, again: bool
) -> None:
    process = batch("mine.yaml")
    until(lambda: "ready" in said_by_driver(tmp_path))
    process.send_signal(number)
    # Once more, while it saves.
    until(lambda: "saved" in said_by_driver(tmp_path))
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "all cells are saved" in output
    assert (tmp_path / "scontrol.txt").exists() == again
    if again:
        assert (tmp_path / "scontrol.txt").read_text() == "requeue 12345\n"


def test_a_notice_that_comes_too_late_does_not_repeat_what_is_done(
    batch: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    process = batch("mine.yaml", ends_with="0", lingers_s=3)
    until(lambda: (tmp_path / "ended.txt").exists())
    process.send_signal(signal.SIGUSR1)
    output, _ = process.communicate(timeout=90)
    assert process.returncode == 0, output
    assert "notice: " in output
    assert not (tmp_path / "scontrol.txt").exists()


def test_without_an_experiment_it_says_how_it_is_called(batch: Callable[..., subprocess.Popen[str]]) -> None:
    process = batch()
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert output.startswith("usage: sbatch ")
