"""The peak of what a training takes of the device's memory."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import psutil
import torch

_PROC = Path("/proc/self")


class PeakMemory:
    """Follows the memory of a device from now on.

    Args:
        device: A GPU, whose memory PyTorch has reserved counts, images included; or the CPU: what the process holds.
        proc: Where Linux says it of this process.
    """

    def __init__(self, device: torch.device, *, proc: Path = _PROC) -> None:
        self._device, self._proc = device, proc
        if device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(device)
        else:
            # Has the kernel forget the peak of before: a larger network may have been measured in this process. Where
            # that is refused the peak is that of all.
            with suppress(OSError):
                (proc / "clear_refs").write_text("5")

    def bytes(self) -> int:
        """Return the peak."""
        if self._device.type == "cuda":
            return int(torch.cuda.max_memory_reserved(self._device))
        try:
            lines = (self._proc / "status").read_text(encoding="ascii").splitlines()
        except OSError:
            return int(psutil.Process().memory_info().rss)
        return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)
