"""What a training draws, where the machine tells it: a GPU by NVML, a CPU by RAPL."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType

import torch

# A package of the CPU each; below it are its parts. Many systems let root alone read it.
# https://docs.kernel.org/power/powercap/powercap.html
_RAPL = Path("/sys/class/powercap")


class EnergyMeter:
    """Measures what a block draws.

    Args:
        device: A GPU: its own counter; or the CPU: all of its packages, whoever uses them.
        rapl: Where Linux has the counters of the CPU.
    """

    def __init__(self, device: torch.device, *, rapl: Path = _RAPL) -> None:
        self._device, self._rapl = device, rapl
        self._joules: float | None = None
        self._seconds = 0.0

    def __enter__(self) -> EnergyMeter:
        self._began_j, self._began_s = self._read(), time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ended_j, self._seconds = self._read(), time.perf_counter() - self._began_s
        # The counter of a CPU begins anew every few minutes or hours.
        if self._began_j is not None and ended_j is not None and ended_j >= self._began_j:
            self._joules = ended_j - self._began_j

    def watts(self, *, workers: int) -> float | None:
        """Return what was drawn on average; None if the machine does not tell it.

        Args:
            workers: That train together: each has a GPU of its own, and all share the CPU.
        """
        if self._joules is None or not self._seconds:
            return None
        return self._joules / self._seconds * (workers if self._device.type == "cuda" else 1)

    def _read(self) -> float | None:
        return _joules_of_gpu(self._device) if self._device.type == "cuda" else _joules_of_cpu(self._rapl)


def _joules_of_cpu(folder: Path) -> float | None:
    try:
        # `psys`, of many laptops, is all of the machine: the packages are in it.
        packages = [path for path in folder.glob("intel-rapl:*") if _read_text(path / "name").startswith("package-")]
        counters = [_read_text(path / "energy_uj") for path in packages]
        return sum(map(int, counters)) / 1e6 if counters else None
    except (OSError, ValueError):
        return None


def _read_text(path: Path) -> str:
    return path.read_text(encoding="ascii")


def _joules_of_gpu(device: torch.device) -> float | None:
    try:
        import pynvml  # NVIDIA's nvidia-ml-py, which need not be installed

        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
        return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1e3
    except ImportError:
        return None
    except pynvml.NVMLError:
        return None
