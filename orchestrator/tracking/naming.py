"""What MLflow's lists call the run of a cell: they cut names at 15 characters, so what differs most comes first."""

from __future__ import annotations

from orchestrator.experiment import Cell


def run_name(cell: Cell) -> str:
    """Return e.g. ``ζ2.8 N4 s0 digits convnet``, or ``… s0/1 …`` of fold 1: for people alone, it identifies nothing.

    What else its sweep varies comes before the seed, e.g. ``erm lr=0.05 s0 digits convnet``.
    """
    parts = (cell.augment.short, *cell.apart, f"s{cell.replicate.short}", cell.dataset.label, cell.model.label)
    return " ".join(parts)
