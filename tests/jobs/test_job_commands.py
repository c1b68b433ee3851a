"""submit, jobs, logs and stop against a job server that answers as Ray's does, and against what is none."""

from __future__ import annotations

import http.server
import io
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import ROOT, Call
from job_server import NAME, Job, job_server
from ray._private.authentication_test_utils import reset_auth_token_state
from ray.exceptions import AuthenticationError
from ray.job_submission import JobSubmissionClient

from orchestrator.jobs import following, server

NO_PSUTIL = "ModuleNotFoundError: No module named 'psutil'"
SAVED = "interrupted: 1 of 2 cells are done; the same command goes on"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("LOOK_EVERY_S", "TRY_EVERY_S"):
        monkeypatch.setattr(following, name, 0.01)
    monkeypatch.setattr(server, "ANSWER_TIMEOUT_S", 0.5)
    for name in ("RAY_API_SERVER_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    reset_auth_token_state()  # Ray keeps for the process what the first test has asked of it
    (tmp_path / "small.yaml").write_text("name: small\ndataset: digits\nmodel: convnet\naugment: erm\n")


@pytest.fixture
def job() -> Job:
    return Job(log=["first\n", "second\n", "third\n"], exit_code=0)


@pytest.fixture
def at(job: Job) -> Iterator[str]:
    with job_server(job) as address:
        yield address


def test_a_job_is_handed_in_followed_and_its_end_is_the_commands(call: Call, job: Job, at: str) -> None:
    options = ("-o", "storage=/shared/runs", "--price", "2/cpu-hour", "--retry")
    answer = call("submit", "small.yaml", "--address", at, *options)
    assert answer.code == 0, answer.err
    name = job.submitted["submission_id"]
    assert name.startswith("small-")
    lines = answer.out.splitlines()
    assert lines[0].startswith(f"job: {name}, with ")
    assert lines[1] == f"dashboard: {at}/#/jobs/{name}"
    assert job.submitted["entrypoint"] == (
        "python -m orchestrator run small.yaml --retry --price 2/cpu-hour -o storage=/shared/runs"
    )
    environment = job.submitted["runtime_env"]
    assert environment["env_vars"] == {"RAY_JOB_STOP_WAIT_TIME_S": "900"}
    assert environment["working_dir"].startswith("gcs://")
    with zipfile.ZipFile(io.BytesIO(job.uploaded)) as archive:
        assert {"small.yaml", "orchestrator/__main__.py", "augment/__init__.py"} <= set(archive.namelist())


@pytest.mark.parametrize(
    ("status", "exit_code", "message", "code", "said"),
    [
        ("SUCCEEDED", 0, "", 0, f"{NAME}: exit code 0: all is done"),
        ("FAILED", 1, "x", 1, f"{NAME}: exit code 1: some cells failed or are missing"),
        ("FAILED", 2, "x", 2, f"{NAME}: exit code 2: the input is wrong, and nothing was started"),
        ("FAILED", 130, "x", 130, f"{NAME}: exit code 130: interrupted"),
        ("STOPPED", None, "", 130, f"{NAME}: stopped; what it has trained is in its storage"),
        ("FAILED", -9, "it was killed, last available logs (cut):\nfirst", 1, "something has killed its driver"),
        ("FAILED", 1, f"x, last available logs (cut):\n  import psutil\n{NO_PSUTIL}\n", 1, f"go on: {NO_PSUTIL}"),
        ("FAILED", 127, "python: not found", 1, f"error: {NAME}: FAILED: python: not found"),
        ("FAILED", None, "the node is gone", 1, "see whether all nodes run"),
    ],
)
def test_whoever_follows_exits_like_the_job(
    call: Call, job: Job, at: str, status: str, exit_code: int | None, message: str, code: int, said: str
) -> None:
    job.becomes, job.exit_code, job.message = status, exit_code, message
    answer = call("logs", NAME, "--address", at, "--follow")
    assert (answer.code, answer.out) == (code, "first\nsecond\nthird\n")
    assert said in answer.err


def test_a_connection_that_breaks_is_made_again_and_no_line_comes_twice(call: Call, job: Job, at: str) -> None:
    job.cut_after = [1, 0, 2, 3]
    answer = call("logs", NAME, "--address", at, "--follow")
    assert (answer.code, answer.out) == (0, "first\nsecond\nthird\n")
    assert "the connection is lost, and tried again" in answer.err


def test_a_connection_that_does_not_come_back_ends_it(
    call: Call, job: Job, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "LOST_FOR_S", 0.0)
    job.cut_after = [1] * 5
    answer = call("logs", NAME, "--address", at, "--follow")
    assert (answer.code, answer.out.splitlines()[0]) == (1, "first")
    assert f"error: {at}: " in answer.err
    assert "what a job has trained is in its storage" in answer.err


def test_a_token_that_is_taken_no_more_ends_it_with_a_word(
    call: Call, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The head was started again, with another one."""

    def refuse(*_: object) -> None:
        raise AuthenticationError("Unauthenticated")

    monkeypatch.setattr(JobSubmissionClient, "get_job_info", refuse)
    answer = call("logs", NAME, "--address", at)
    assert answer.code == 1
    assert "put the cluster's token into ~/.ray/auth_token or RAY_AUTH_TOKEN" in answer.err
    assert "Traceback" not in answer.err


def test_a_connection_that_is_dead_and_does_not_say_so_is_made_again(
    call: Call, job: Job, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a laptop that has slept finds it."""
    monkeypatch.setattr(server, "SILENT_S", 0.2)
    job.stall_after, job.unanswered = [1], 1
    answer = call("logs", NAME, "--address", at, "--follow")
    assert (answer.code, answer.out) == (0, "first\nsecond\nthird\n")
    assert "nothing of the log comes any more" in answer.err
    assert "timed out" in answer.err


def test_a_job_that_is_quiet_is_followed_over_the_same_connection(
    call: Call, job: Job, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "SILENT_S", 1.0)
    job.stall_after, job.status = [3], "RUNNING"
    threading.Timer(2.5, lambda: setattr(job, "status", "SUCCEEDED")).start()
    answer = call("logs", NAME, "--address", at, "--follow")
    assert (answer.code, answer.out) == (0, "first\nsecond\nthird\n")
    assert "the connection is lost" not in answer.err


def test_ctrl_c_ends_the_following_alone(call: Call, job: Job, at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(following.asyncio, "run", lambda waiting: (waiting.close(), interrupted()))
    answer = call("logs", NAME, "--address", at, "--follow")
    assert answer.code == 130
    assert f"not followed any more; {NAME} goes on" in answer.err
    assert f"zetasweep logs {NAME} --address {at} --follow" in answer.err
    assert f"saved: zetasweep stop {NAME} --address {at}" in answer.err
    assert job.status == "RUNNING"


def test_who_does_not_wait_is_told_how_to(call: Call, job: Job, at: str) -> None:
    answer = call("submit", "small.yaml", "--address", at, "-o", "storage=/shared/runs", "--no-wait")
    name = job.submitted["submission_id"]
    assert answer.code == 0
    assert answer.out.splitlines()[2:] == [
        f"follow it: zetasweep logs {name} --address {at} --follow",
        f"stop it: zetasweep stop {name} --address {at}",
    ]
    assert job.status == "RUNNING"


def test_an_option_goes_before_the_variables(call: Call, at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://127.0.0.1:9")
    assert call("logs", NAME, "--address", at).code == 0
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", at)
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:9")
    assert call("logs", NAME).out == "first\nsecond\nthird\n"


def test_jobs_are_listed_with_what_they_do(call: Call, at: str) -> None:
    answer = call("jobs", "--address", at)
    assert answer.code == 0
    (line,) = [line for line in answer.out.splitlines() if NAME in line]
    assert line.split()[:2] == [NAME, "running"]
    assert line.rstrip().endswith("python -m orchestrator run small.yaml")


@pytest.mark.parametrize("command", [["logs"], ["logs", "--follow"], ["stop"]])
def test_a_job_that_is_not_there_is_refused_with_the_nearest(call: Call, at: str, command: list[str]) -> None:
    answer = call(*command, "small-1234567", "--address", at)
    assert answer.code == 2
    assert f"job small-1234567: {at} knows none of this name" in answer.err
    assert f"did you mean {NAME}?" in answer.err


def test_a_stopped_job_says_that_all_is_saved_or_that_it_is_not_known(call: Call, job: Job, at: str) -> None:
    job.env_vars, job.says_when_stopped = {"RAY_JOB_STOP_WAIT_TIME_S": "900"}, f"{SAVED}\n"
    answer = call("stop", NAME, "--address", at)
    assert (answer.code, answer.out) == (0, f"{NAME}: {SAVED}\n")
    job.status, job.says_when_stopped, job.log, job.env_vars = "RUNNING", "", [], {}
    answer = call("stop", NAME, "--address", at)
    assert answer.code == 1
    assert "was not handed in by zetasweep submit: Ray kills it after 3 s" in answer.err
    assert "its driver did not say that all is saved" in answer.err
    job.status = "PENDING"
    assert call("stop", NAME, "--address", at).out == f"{NAME}: stopped before it began\n"
    job.status = "SUCCEEDED"
    assert call("stop", NAME, "--address", at).out == f"{NAME}: it has ended by itself: succeeded\n"


def test_a_stop_bears_a_connection_that_is_lost_for_a_moment(call: Call, job: Job, at: str) -> None:
    job.env_vars, job.says_when_stopped, job.refuses = {"RAY_JOB_STOP_WAIT_TIME_S": "900"}, f"{SAVED}\n", 2
    answer = call("stop", NAME, "--address", at)
    assert (answer.code, answer.out) == (0, f"{NAME}: {SAVED}\n")
    assert answer.err.count("the connection is lost, and tried again") == 2


@pytest.mark.parametrize(
    ("exit_code", "last", "code", "said"),
    [
        (-9, "", 1, "something has killed its driver, mostly for want of memory"),
        (1, "", 1, "exit code 1: some cells failed or are missing"),
        (130, f"{SAVED}\n", 0, SAVED),
    ],
)
def test_a_job_that_failed_meanwhile_has_saved_all_only_if_it_says_so(
    call: Call, job: Job, at: str, exit_code: int, last: str, code: int, said: str
) -> None:
    job.env_vars, job.becomes_when_stopped = {"RAY_JOB_STOP_WAIT_TIME_S": "900"}, "FAILED"
    job.exit_code, job.says_when_stopped = exit_code, last
    answer = call("stop", NAME, "--address", at)
    assert answer.code == code
    assert said in answer.out + answer.err


def test_a_wrong_file_is_said_before_anything_is_asked(call: Call, job: Job, at: str) -> None:
    answer = call("submit", "small.yaml", "--address", at, "-o", "train.epoch=1")
    assert answer.code == 2
    assert "train.epoch" in answer.err
    answer = call("submit", "small.yaml", "--address", at)
    assert answer.code == 2
    assert "storage = runs: it would lie in the folder of the job" in answer.err
    assert job.submitted == {}


def test_nobody_there_is_said_with_what_helps(call: Call) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        at = f"http://127.0.0.1:{free.getsockname()[1]}"
    answer = call("jobs", "--address", at)
    assert answer.code == 2
    assert f"error: --address = {at}: nobody answers (Connection refused)" in answer.err
    assert "start the head with a dashboard" in answer.err
    answer = call("jobs", "--address", "http://nowhere.invalid:8265")
    assert "--address = http://nowhere.invalid:8265: nobody answers (" in answer.err


def test_who_is_silent_is_waited_for_no_longer_than_needed(call: Call) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        answer = call("jobs", "--address", f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert answer.code == 2
    assert "nobody answers (not within 0.5 s)" in answer.err


def test_another_server_is_no_dashboard(call: Call) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        answer = call("jobs", "--address", f"http://127.0.0.1:{other.server_port}")
        other.shutdown()
    assert answer.code == 2
    assert "what answers is no dashboard of Ray (HTTP 501)" in answer.err


def test_what_speaks_no_http_is_told_from_a_dashboard(call: Call) -> None:
    """Ray's GCS on a port of its own: its bytes are not shown."""

    def answer_once(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(b"\x00\x00\x18\x04\x00\x00\x00\x00\x00\xff\n")

    with socket.create_server(("127.0.0.1", 0)) as gcs:
        threading.Thread(target=answer_once, args=(gcs,), daemon=True).start()
        answer = call("jobs", "--address", f"127.0.0.1:{gcs.getsockname()[1]}")
    assert answer.code == 2
    assert "it speaks no HTTP" in answer.err
    assert "name the dashboard's port, 8265 unless" in answer.err
    assert all(char.isprintable() or char == "\n" for char in answer.err)


def test_a_cluster_with_a_token_is_asked_with_it(environment: dict[str, str], job: Job, tmp_path: Path) -> None:
    token, at_home = 32 * "ab", environment | {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}

    def ask(at: str, variables: dict[str, str]) -> tuple[int, str]:
        # A process of its own: Ray reads the token once.
        command = [sys.executable, "-m", "orchestrator", "jobs", "--address", at]
        answer = subprocess.run(command, env=at_home | variables, capture_output=True, text=True, check=False)
        return answer.returncode, answer.stderr

    with job_server(job, token=token) as at:
        code, said = ask(at, {})
        assert (code, "the cluster asks for a token, and there is none here" in said) == (2, True), said
        assert "put the cluster's token into ~/.ray/auth_token or RAY_AUTH_TOKEN" in said
        code, said = ask(at, {"RAY_AUTH_TOKEN": 32 * "cd"})
        assert (code, "the cluster does not take the token that is here" in said) == (2, True), said
        # Also where it was said that clusters ask for none.
        assert ask(at, {"RAY_AUTH_TOKEN": token, "RAY_AUTH_MODE": "disabled"})[0] == 0
