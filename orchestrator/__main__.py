"""``python -m orchestrator``: the same program as ``zetasweep``."""

from orchestrator.cli.main import main

main()
