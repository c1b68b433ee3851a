"""What the commands exit with."""

from __future__ import annotations

DONE = 0
# Some cells failed or are missing, or their results are not in MLflow yet.
INCOMPLETE = 1
# Nothing was started.
WRONG_INPUT = 2
INTERRUPTED = 130
