"""Measurements are kept per machine and version of the code: what was measured once is not measured again."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import socket
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from orchestrator.costs.durations import Measured
from orchestrator.experiment import Resources
from orchestrator.machine import num_cores
from orchestrator.storage.atomic import written_whole

logger = logging.getLogger(__name__)


def layout_id(resources: Resources, *, device: str, slots: int) -> str:
    """Return what measurements have in common that were made on like workers: 12 hexadecimal digits.

    Args:
        resources: Of the cells.
        device: ``cpu``, or the name of the GPU.
        slots: How many groups of workers were at work at a time.
    """
    told = [device, num_cores(), slots, resources.workers]
    told += [*resources.layout.values(), version("torch")]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:12]


class KeptMeasurements:
    """The file of the measurements of this machine, with this code.

    Args:
        folder: Of this machine's own; the file lies below it.
        code: The commit of zetasweep, or its version.

    Attributes:
        file: Need not be there.
    """

    def __init__(self, folder: Path, *, code: str) -> None:
        host = re.sub(r"[^A-Za-z0-9.-]", "_", socket.gethostname())
        self.file = folder / "measured" / f"{host}-{code}.json"

    def read(self, layout: str) -> dict[str, Measured]:
        """Return the measurements of a layout by `Kind.training_id`; a file that cannot be read has none."""
        return {training: Measured(**each) for training, each in self._all().get(layout, {}).items()}

    def add(self, layout: str, measured: Mapping[str, Measured]) -> None:
        """Keep measurements, in place of those of before.

        Raises:
            OSError: The file cannot be written.
        """
        known = self._all()
        known.setdefault(layout, {}).update({training: asdict(each) for training, each in measured.items()})
        with written_whole(self.file) as file:
            file.write(json.dumps(known, indent=2).encode())

    def _all(self) -> dict[str, dict[str, Any]]:
        try:
            known: dict[str, dict[str, Any]] = json.loads(self.file.read_text(encoding="utf-8"))
            for of_layout in known.values():
                for each in of_layout.values():
                    Measured(**each)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            logger.warning("%s cannot be read, and is not used: %s", self.file, error)
            return {}
        return known
