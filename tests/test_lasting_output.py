"""What prints goes on when its reader has gone, the disk is full or a terminal lacks a letter."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands import ROOT

from orchestrator.lasting_output import LastingText, lasting_output

# Prints by rich from a thread, until long after the reader has gone.
PRINTS = """
import threading, sys
from rich.console import Console
from orchestrator.lasting_output import lasting_output

def prints():
    for number in range(3000):
        Console().print(f"line {number} \u00b1")
        print("more", file=sys.stderr)

with lasting_output():
    thread = threading.Thread(target=prints)
    thread.start()
    thread.join()
    prints()
    open(sys.argv[1], "w").write("to the end")
"""


def left(tmp_path: Path, command: str, **variables: str) -> tuple[int, str]:
    """Run the program in a shell with `command` around it; return its own exit code and what it left."""
    program = f"{sys.executable} -c '{PRINTS}' {tmp_path / 'left'}; echo $? > {tmp_path / 'code'}"
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | variables
    subprocess.run(["bash", "-c", command.format(f"( {program} )")], check=True, env=environment, capture_output=True)
    return int((tmp_path / "code").read_text()), (tmp_path / "left").read_text()


@pytest.mark.parametrize("command", ["{} 2>&1 | sed -u 3q", "{} 2>&1 | true", "{} > /dev/full", "{} > /dev/full 2>&1"])
def test_who_prints_goes_on_without_a_reader(tmp_path: Path, command: str) -> None:
    assert left(tmp_path, command) == (0, "to the end")


def test_a_letter_that_a_terminal_lacks_is_replaced(tmp_path: Path) -> None:
    code, _ = left(tmp_path, "{} > " + str(tmp_path / "said"), PYTHONIOENCODING="ascii")
    assert code == 0
    assert (tmp_path / "said").read_bytes().startswith(b"line 0 ?\n")


def test_what_is_read_arrives_whole(tmp_path: Path) -> None:
    assert left(tmp_path, "{} > " + str(tmp_path / "said"))[0] == 0
    assert (tmp_path / "said").read_text() == 2 * "".join(f"line {number} \u00b1\n" for number in range(3000))


def test_after_it_everything_is_as_before(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout, sys.stderr
    with lasting_output():
        sys.stdout.write("inside\n")
    assert (sys.stdout, sys.stderr) == before
    sys.stdout.write("outside\n")
    assert capsys.readouterr().out == "inside\noutside\n"


def test_only_a_reader_that_has_gone_is_given_up() -> None:
    reader, writer = os.pipe()
    text = LastingText(os.fdopen(writer, "wb"), encoding="utf-8")
    text.write("a")
    text.flush()
    assert os.read(reader, 9) == b"a"
    os.close(reader)
    for _ in range(3):
        text.write("b" * io.DEFAULT_BUFFER_SIZE)
        text.flush()
    # Its place has been taken by the null device.
    assert os.fstat(text.fileno()).st_rdev == os.stat(os.devnull).st_rdev
    text.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_a_full_disk_may_have_room_again_and_ends_nothing_when_it_is_closed() -> None:
    text = LastingText(Path("/dev/full").open("wb"), encoding="utf-8")  # noqa: SIM115
    text.write("a" * 3 * io.DEFAULT_BUFFER_SIZE)
    text.flush()
    assert os.fstat(text.fileno()).st_rdev == os.stat("/dev/full").st_rdev
    text.close()
    assert text.closed


def test_a_program_without_output_runs(tmp_path: Path) -> None:
    assert left(tmp_path, "{} >&-")[0] == 0


@pytest.mark.parametrize("command", ["plan", "status"])
def test_a_command_whose_reader_has_gone_has_the_exit_code_of_what_it_did(
    command: str, environment: dict[str, str], tmp_path: Path
) -> None:
    line = f"{sys.executable} -m orchestrator {command} experiments/quickstart.yaml -o storage={tmp_path}/runs"
    shell = f"( {line}; echo $? > {tmp_path}/code ) | true"
    done = subprocess.run(["bash", "-c", shell], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert "Traceback" not in done.stderr
    assert int((tmp_path / "code").read_text()) == (0 if command == "plan" else 1)
