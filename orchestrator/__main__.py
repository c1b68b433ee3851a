"""``python -m orchestrator``: the same program as ``zetasweep``."""

from orchestrator.cli import main

main()
