"""A sweep that is kept as objects, seen by what is in its bucket."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil
from sweep_results import BEST, KEPT, Results, read_results
from sweeps import NAME, PATIENCE_S, POLL_S, Sweep

from orchestrator.objects import Address, BucketObjects
from orchestrator.storage.cell_folder import points_of


class BucketSweep(Sweep):
    """See `Sweep`.

    Args:
        file: The experiment.
        address: Where its results go.
        seen_at: The server that the tests ask, e.g. without the proxy that the sweep has before it.
        environment: Of its processes.
        scratch: A folder for what it prints, and for what is fetched.
        choice: The ``KEY=VALUE`` that say which cells it consists of.
        settings: Those that say how they are run, the MLflow server among them.
    """

    def __init__(
        self,
        file: Path,
        address: Address,
        seen_at: Address,
        environment: Mapping[str, str],
        scratch: Path,
        *,
        choice: Sequence[str] = (),
        settings: Sequence[str] = (),
    ) -> None:
        self._objects = BucketObjects(seen_at, named="storage")
        super().__init__(file, address, environment, scratch, choice=choice, settings=settings)

    def finished_cells(self) -> int:
        """See `Sweep`."""
        return sum(BEST in self._names(key) for key in self.keys)

    def seconds_to_resume(self, since: float, before: list[psutil.Process]) -> float | None:
        """See `Sweep`; by what is in the bucket."""
        if self._until_new_workers(before) is None:
            return None
        then = self._all_names()
        deadline = time.monotonic() + PATIENCE_S
        while self.driver.poll() is None:
            if self._all_names() != then:
                return time.time() - since
            assert time.monotonic() < deadline, self.output
            time.sleep(POLL_S)
        return None

    def results(self) -> Results:
        """See `Sweep`."""
        folder = self._scratch / "fetched"
        for key in self.keys:
            self._objects.fetch(f"cells/{key}/{BEST}", folder / key / BEST)
        return read_results(self.uri, NAME, self.keys, cells_dir=folder)

    def assert_tidy(self) -> None:
        """See `Sweep`."""
        for key in self.keys:
            assert self._names(key) == KEPT, key
        others = {found.name.split("/")[0] for found in self._objects.list()} - {"cells"}
        assert others == {"lock.json", "logs", "looks.json", "stores.json"}

    def take_over(self) -> None:
        """Hold its lock in place of its driver, as a machine that is never heard of again."""
        about = {"sweep": "another", "host": "elsewhere", "pid": "1", "since": "now"}
        holder = {"token": "another", "process": "elsewhere:0:1:0", "about": about, "beat": 1, "beaten_at": 0.0}
        self._objects.put("lock.json", json.dumps(holder).encode())

    def _finished_epochs(self, key: str) -> int:
        names = self._names(key)
        points = points_of(names)
        return points[0].epoch if points else self.epochs * (BEST in names)

    def _names(self, key: str) -> list[str]:
        return [found.name.removeprefix(f"cells/{key}/") for found in self._objects.list(f"cells/{key}")]

    def _all_names(self) -> list[list[str]]:
        return [self._names(key) for key in self.keys]
