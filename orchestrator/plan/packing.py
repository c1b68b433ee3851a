"""What cells share in a plan: the GPU that several are on, and the images of a node."""

from __future__ import annotations

from orchestrator.experiment import Experiment
from orchestrator.plan.images import num_packed
from orchestrator.plan.placement import Layout, workers_on, workers_on_gpus


def packing_lines(layout: Layout, experiment: Experiment) -> list[str]:
    """Return a line that says who shares what; none where nothing is shared."""
    resources, found = experiment.resources, []
    if 0 < resources.gpus_per_worker < 1 and (num := workers_on_gpus(1, resources.gpus_per_worker)) > 1:
        found.append(f"up to {num} workers share a GPU, each with images of its own on it")
    num_nodes = sum(workers_on(node.alone, resources) > 0 for node in layout.nodes)
    if num_nodes > 1 and (num := num_packed(experiment)) > 1:
        found.append(f"{num_nodes} nodes share {num} data sets: each goes on with what it has decoded, while it can")
    return [f"packing:   {'; '.join(found)}"] if found else []
