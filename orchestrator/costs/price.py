"""What an hour of a device costs, and how money and hours are written."""

from __future__ import annotations

import re
from dataclasses import dataclass

from orchestrator.errors import UserError
from orchestrator.experiment import Resources

_PRICE = re.compile(r"(\d+(?:\.\d+)?)/(gpu|cpu)-hour")
ALLOWED = "an amount above 0 for an hour of a GPU or of a CPU: 2.5/gpu-hour or 0.04/cpu-hour"


@dataclass(frozen=True)
class Price:
    """What an hour of a device costs, in whichever currency.

    Attributes:
        amount: Above 0.
        device: ``gpu`` or ``cpu``.
    """

    amount: float
    device: str

    def __str__(self) -> str:
        return f"{self.amount:g}/{self.device}-hour"

    @classmethod
    def parse(cls, text: str, resources: Resources) -> Price:
        """Return the price that a user has written.

        Args:
            text: E.g. ``2.5/gpu-hour``.
            resources: Of the experiment.

        Raises:
            UserError: It is none, or one of GPUs that the experiment does not use.
        """
        found = _PRICE.fullmatch(text.strip())
        if found is None or not float(found[1]):
            raise UserError(f"--price {text}: no price", allowed=ALLOWED)
        price = cls(float(found[1]), found[2])
        if not price.devices(resources):
            raise UserError(
                f"--price {text}: the cells use no GPU (resources.gpus_per_worker is 0)",
                remedy="give the price of a CPU, e.g. 0.04/cpu-hour; or -o resources.gpus_per_worker=1",
            )
        return price

    def devices(self, resources: Resources) -> float:
        """Return how many of the devices a worker has that are paid for."""
        return resources.gpus_per_worker if self.device == "gpu" else resources.cpus_per_worker

    def of(self, worker_s: float, resources: Resources) -> float:
        """Return what so many seconds of one worker cost."""
        return self.amount * self.devices(resources) * worker_s / 3600


def money_text(amount: float) -> str:
    """Return an amount of money, e.g. ``1,234.50``; a tiny one with two digits that say something."""
    return f"{amount:,.2f}" if amount == 0 or amount >= 0.1 else f"{amount:.2g}"


def hours_text(hours: float) -> str:
    """Return a number of hours, e.g. ``1,234``, ``12.3`` or ``0.0222``."""
    return f"{hours:,.0f}" if hours >= 99.95 else f"{hours:.3g}"


def duration_text(seconds: float) -> str:
    """Return e.g. ``0.52 s``, ``41 s``, ``3 min 20 s``, ``2 h 05 min`` or ``3.1 days``."""
    if seconds < 9.95:
        return f"{seconds:.2g} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    if minutes < 9.95:
        whole = round(seconds)
        return f"{whole // 60} min {whole % 60:02} s"
    if minutes < 99.5:
        return f"{minutes:.0f} min"
    if minutes < 48 * 60 - 0.5:
        return f"{round(minutes) // 60} h {round(minutes) % 60:02} min"
    return f"{minutes / 1440:.1f} days"
