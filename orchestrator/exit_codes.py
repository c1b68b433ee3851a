"""What the commands exit with."""

from __future__ import annotations

DONE = 0
INCOMPLETE = 1
WRONG_INPUT = 2
INTERRUPTED = 130

MEANINGS: dict[int, str] = {
    DONE: "all is done, or what was asked for is shown",
    INCOMPLETE: "some cells failed or are missing, their results are not in MLflow yet, or a check found something",
    WRONG_INPUT: "the input is wrong, and nothing was started",
    INTERRUPTED: "interrupted by Ctrl-C, SIGTERM, SIGHUP, SIGUSR1 or SIGUSR2; the same command continues",
}
