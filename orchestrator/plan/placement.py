"""How many slots fit on which nodes: the arithmetic of placing a sweep, without Ray."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from orchestrator.amounts import counted
from orchestrator.errors import UserError
from orchestrator.experiment import Resources
from orchestrator.machine import mps_runs, num_cores

# A machine without enough cores still runs a small sweep, more slowly; beyond this the layout is a mistake.
MAX_CPU_OVERCOMMIT = 4
_LARGER = "or join a larger cluster (RAY_ADDRESS)"


@dataclass(frozen=True)
class Node:
    """What one node offers.

    Attributes:
        cpus: How many, or shares of them.
        gpus: How many.
        id: By which Ray knows it; empty for this machine, and in arithmetic.
        name: Its own, and its address.
        held_cpus: Of the CPUs, those that others hold now.
        held_gpus: Likewise.
    """

    cpus: float
    gpus: float
    id: str = ""
    name: str = ""
    held_cpus: float = 0.0
    held_gpus: float = 0.0

    @property
    def alone(self) -> Node:
        """It, if nobody held anything of it."""
        return replace(self, held_cpus=0.0, held_gpus=0.0)


@dataclass(frozen=True)
class Layout:
    """How a sweep is placed.

    Attributes:
        slots: Worker groups that train at the same time, as far as there is room now.
        nodes: What it is placed on.
        warning: What the user should know about it, each on a line of its own; empty if nothing.
        cpus_told: How many CPUs Ray is told that the nodes have: more than there are where workers share them.
        refused: The ids of the nodes that train nothing, see `warning`.
        wished: How many slots are asked for; those without room wait for it. 0 stands for `slots`.
        notes: What is worth knowing of the cluster, wherever a sweep is placed on it; `warning` has it, too.
    """

    slots: int
    nodes: tuple[Node, ...]
    warning: str = ""
    cpus_told: float = 0.0
    refused: tuple[str, ...] = ()
    wished: int = 0
    notes: tuple[str, ...] = ()

    @property
    def asked(self) -> int:
        """How many slots there shall be, those that wait included."""
        return max(self.slots, self.wished)


def local_node() -> Node:
    """Return the CPUs this process may use and the machine's GPUs that torch can use."""
    return Node(cpus=num_cores(), gpus=torch.cuda.device_count() if torch.cuda.is_available() else 0)


def local_layout(resources: Resources, node: Node) -> Layout:
    """Place a sweep on one machine; its CPUs may be overcommitted, its GPUs never.

    Raises:
        UserError: It cannot be placed.
    """
    needed = resources.workers * resources.cpus_per_worker
    if needed <= node.cpus or needed > MAX_CPU_OVERCOMMIT * node.cpus:
        return replace(layout(resources, [node]), warning=_of_sharing(resources))
    overcommitted = layout(resources, [Node(cpus=needed, gpus=node.gpus)])
    return Layout(
        slots=overcommitted.slots,
        nodes=(node,),
        cpus_told=overcommitted.cpus_told,
        warning=f"{counted(resources.workers, 'worker')} x {counted(resources.cpus_per_worker, 'CPU')} share "
        f"{counted(node.cpus, 'CPU')}: "
        "it works, but more slowly than fewer workers would",
    )


def planned_local_layout(resources: Resources, here: Node, *, gpus: int | None = None) -> Layout:
    """Place a sweep as `local_layout` does; one for GPUs that `here` lacks as on a machine that has them, and say so.

    Args:
        resources: The experiment's.
        here: This machine.
        gpus: Plan for a machine with so many; None for this one, if it will do.

    Raises:
        UserError: It cannot be placed there, either; or `gpus` are given, and it takes none.
    """
    if gpus is not None:
        if not resources.gpus_per_worker:
            raise UserError(f"--gpus {gpus}: resources.gpus_per_worker is 0", remedy="leave it out, or set that")
        return _elsewhere(resources, here, gpus=gpus, why=f"--gpus {gpus}")
    try:
        return local_layout(resources, here)
    except UserError:
        if not resources.gpus_per_worker:
            raise
    slots = 1 if resources.slots == "auto" else resources.slots
    why = "run refuses it on this machine; --gpus N plans for one with N"
    return _elsewhere(resources, here, gpus=slots * resources.workers * resources.gpus_per_worker, why=why)


def _elsewhere(resources: Resources, here: Node, *, gpus: float, why: str) -> Layout:
    """Place a sweep on a machine with so many GPUs, and CPUs enough for them."""
    workers = int((gpus + 1e-6) // resources.gpus_per_worker)
    there = Node(cpus=max(here.cpus, workers * resources.cpus_per_worker), gpus=gpus)
    warning = f"planned for a machine with {_offered(there)}, while this one has {_offered(here)} ({why})"
    return replace(layout(resources, [there]), warning=warning)


def layout(resources: Resources, nodes: Sequence[Node], *, may_wait: bool = False) -> Layout:
    """Return how many slots fit, counting the workers that each node can hold beside what others hold.

    Args:
        resources: The experiment's.
        nodes: The nodes as they are.
        may_wait: Whether room may come: of a cluster, whose nodes come and go, and are shared.

    Raises:
        UserError: Not one slot fits, or fewer than ``resources.slots``, and waiting is no use. The message has the
            arithmetic.
    """
    workers = sum(workers_on(node, resources) for node in nodes)
    fit = workers // resources.workers
    slots = room_for(resources, nodes) if resources.slots == "auto" else resources.slots
    placed = Layout(slots=slots, nodes=tuple(nodes), cpus_told=sum(node.cpus for node in nodes))
    if 1 <= slots <= fit:
        return placed
    each = counted(resources.cpus_per_worker, "CPU")
    each += f" and {counted(resources.gpus_per_worker, 'GPU')}" if resources.gpus_per_worker else ""
    offered = ", ".join(map(_offered, nodes)) or "no node"
    once = sum(workers_on(node.alone, resources) for node in nodes) // resources.workers
    slots = max(1, slots)
    if may_wait and (resources.slots != "auto" or once):
        waiting = f"{counted(slots - fit, 'slot')} of {slots}" if fit else "all" if slots > 1 else "it"
        warning = (
            f"there is room now for {fit} of {counted(slots, 'slot')} of {resources.workers} x {each} ({offered}): "
            f"{waiting} will wait, for nodes that join or for what others hold"
        )
        return replace(placed, slots=max(1, fit), wished=slots, warning=warning)
    raise UserError(
        f"resources: {counted(slots, 'slot')} x {counted(resources.workers, 'worker')} = "
        f"{counted(slots * resources.workers, 'worker')} of {each} each, but there is room for {workers} ({offered})",
        remedy="lower resources.workers, resources.slots, resources.cpus_per_worker or resources.gpus_per_worker, "
        + ("or say with resources.slots=N how many nodes that join later are waited for" if may_wait else _LARGER),
    )


def room_for(resources: Resources, nodes: Sequence[Node]) -> int:
    """Return how many slots there is room for, and no more than ``resources.max_slots``."""
    fit = sum(workers_on(node, resources) for node in nodes) // resources.workers
    return fit if resources.max_slots is None else min(fit, resources.max_slots)


def _offered(node: Node) -> str:
    offered = f"{counted(node.cpus, 'CPU')} / {counted(node.gpus, 'GPU')}"
    if node.held_cpus > 0 or node.held_gpus > 0:
        offered += f" (others hold {node.held_cpus:g} / {node.held_gpus:g})"
    return offered


def workers_on(node: Node, resources: Resources) -> int:
    """Return how many workers a node can hold beside what others hold."""
    by_cpu = int((max(0.0, node.cpus - node.held_cpus) + 1e-6) // resources.cpus_per_worker)
    if not resources.gpus_per_worker:
        return by_cpu
    return min(by_cpu, workers_on_gpus(max(0.0, node.gpus - node.held_gpus), resources.gpus_per_worker))


def workers_on_gpus(gpus: float, each: float) -> int:
    """Return how many workers have their GPUs, or their share of one, which is never of two."""
    if each >= 1:
        return int((gpus + 1e-6) // each)
    whole, rest = divmod(gpus, 1)
    return int(whole) * int((1 + 1e-6) // each) + int((rest + 1e-6) // each)


def _of_sharing(resources: Resources) -> str:
    """Return what to know of cells that share a GPU of this machine; empty if none do."""
    if not 0 < resources.gpus_per_worker < 1 or mps_runs():
        return ""
    num = workers_on_gpus(1, resources.gpus_per_worker)
    return (
        f"{counted(num, 'cell')} share each GPU and take turns on it, since NVIDIA's MPS does not run here: "
        "nvidia-cuda-mps-control -d starts it, and they compute at the same time"
    )
