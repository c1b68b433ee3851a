"""zetasweep in Python: experiments, sweeps and their results, and the augmentations as modules for any training loop.

What is named here is imported when it is used: ``import zetasweep`` alone takes no time.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from augment.modules import (
        CutMix,
        CutMixZetaMixup,
        Dirichlet,
        Erm,
        Mixing,
        MixUp,
        MixUpPSeries,
        ZetaMixup,
        ZetaMixupRange,
    )
    from orchestrator.errors import ConfigError, DataError, SweepError, TrackingError, UserError
    from orchestrator.experiment import Cell, Experiment, expand
    from orchestrator.records import Outcome
    from orchestrator.storage import Predictions
    from zetasweep._comparison import Compared
    from zetasweep._results import Results, results
    from zetasweep._running import load, run

__all__ = [
    "Cell",
    "Compared",
    "ConfigError",
    "CutMix",
    "CutMixZetaMixup",
    "DataError",
    "Dirichlet",
    "Erm",
    "Experiment",
    "MixUp",
    "MixUpPSeries",
    "Mixing",
    "Outcome",
    "Predictions",
    "Results",
    "SweepError",
    "TrackingError",
    "UserError",
    "ZetaMixup",
    "ZetaMixupRange",
    "expand",
    "load",
    "results",
    "run",
]

_MODULES = {
    "augment.modules": (
        "CutMix",
        "CutMixZetaMixup",
        "Dirichlet",
        "Erm",
        "MixUp",
        "MixUpPSeries",
        "Mixing",
        "ZetaMixup",
        "ZetaMixupRange",
    ),
    "orchestrator.errors": ("ConfigError", "DataError", "SweepError", "TrackingError", "UserError"),
    "orchestrator.experiment": ("Cell", "Experiment", "expand"),
    "orchestrator.records": ("Outcome",),
    "orchestrator.storage": ("Predictions",),
    "zetasweep._comparison": ("Compared",),
    "zetasweep._results": ("Results", "results"),
    "zetasweep._running": ("load", "run"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


if not TYPE_CHECKING:  # to a type checker there is what stands above, and nothing else

    def __getattr__(name: str) -> Any:
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(_MODULE_OF[name]), name)
        globals()[name] = value  # found at once from now on
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
