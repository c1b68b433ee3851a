"""An experiment that was read from its file, with what can be asked of it: by the command line, and by Python."""

from orchestrator.opened.experiment import Opened

__all__ = ["Opened"]
