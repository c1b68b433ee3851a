"""Whether this machine, and the cluster that it joins, can run an experiment: GPUs, driver, room for the slots."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from orchestrator.amounts import counted
from orchestrator.doctor.finding import Finding, Line, refused
from orchestrator.doctor.nodes import examine_clock, examine_faults
from orchestrator.environment import ray_address, starts_its_own_ray
from orchestrator.errors import UserError
from orchestrator.experiment import Experiment, Resources
from orchestrator.plan import Layout, Node, local_layout, local_node, workers_on
from orchestrator.storage import Storage, marked
from orchestrator.sweep.cluster import able_layout, check_reach, joined_or_started
from orchestrator.sweep.local_start import obstacles
from orchestrator.sweep.probe import ask_nodes
from orchestrator.sweep.proof import Proof, Silence
from orchestrator.waiting import waiting_for

# Any cluster can hold it: so joining says nothing about whether the experiment fits.
_ANYTHING = Resources(cpus_per_worker=0.01, slots=1)


def examine_gpus(resources: Resources) -> Iterator[Line]:
    """Say which GPUs torch can use, and find one that it should be able to."""
    built, driver = torch.version.cuda, _driver_version()
    # Without asking whether it works, torch counts the GPUs that the driver names, also one that is too old for it.
    number = torch.cuda.device_count() if torch.cuda.is_available() else 0
    names = [torch.cuda.get_device_name(index) for index in range(number)]
    if names:
        nccl = _nccl_version()
        yield f"GPUs: {', '.join(names)}; driver {driver}, CUDA {built}, NCCL {nccl or 'none'}"
        if nccl is None and resources.gpus_per_worker and resources.workers > 1:
            yield Finding(
                f"resources.workers = {resources.workers} on GPUs, and torch has no NCCL",
                f"torch {torch.__version__}",
                "install a torch that has it: pip install torch on Linux",
            )
        return
    yield f"GPUs: none that torch {torch.__version__} sees"
    if driver is not None:
        yield Finding(
            "there is a GPU that torch cannot use",
            f"driver {driver}, torch {torch.__version__}, built for {f'CUDA {built}' if built else 'the CPU'}",
            "install the torch that fits the driver, see https://pytorch.org, and look at CUDA_VISIBLE_DEVICES",
            severity="error" if resources.gpus_per_worker else "note",
        )


def examine_placement(experiment: Experiment, storage: Storage) -> tuple[Layout | None, list[Line]]:
    """Return where a sweep would be placed, None if nowhere, and what is to be said about that.

    A cluster named by ``RAY_ADDRESS`` is joined for it, and each of its nodes is asked.
    """
    lines: list[Line] = []
    address, resources = ray_address(), experiment.resources
    try:
        if address is None:
            placed = local_layout(resources, local_node())
            room = counted(placed.slots, "slot")
            said = "is local" if starts_its_own_ray() else "is not set"
            lines.append(f"Ray: RAY_ADDRESS {said}, run starts its own on this machine, with room for {room}")
            lines += [Finding(note, "Ray", "", severity="note") for note in obstacles()]
        else:
            with marked(storage) as marker, joined_or_started(_ANYTHING) as everything:
                lines.append(f"Ray: {address} answers, {counted(len(everything.nodes), 'node')}")
                lines += [Finding(note, "Ray", "", severity="note") for note in everything.notes]
                unable, found = _examine_nodes(Proof.of(experiment, marker), everything.nodes)
                lines += found
                check_reach(resources)
            placed = able_layout(resources, everything.nodes, unable)
    except UserError as error:
        return None, [*lines, refused(error)]
    if placed.warning:
        lines.append(Finding(placed.warning, "resources", "", severity="note"))
    return placed, lines


def _examine_nodes(proof: Proof, nodes: Sequence[Node]) -> tuple[list[Node], list[Line]]:
    """Return the nodes that `run` would leave out, and what is to be said about all."""
    answers = ask_nodes(proof.asked, nodes)
    unable: list[Node] = []
    lines: list[Line] = []
    for node in nodes:
        faults = list(proof.faults(answers[node.id], node))
        if not workers_on(node.alone, proof.resources):
            # It holds the driver, or others.
            faults = [replace(fault, is_note=True) for fault in faults]
        unable += [] if all(fault.is_note for fault in faults) else [node]
        lines += [] if isinstance(answers[node.id], Silence) else examine_clock(node)
        lines += examine_faults(node, faults)
    return unable, lines


def _nccl_version() -> str | None:
    if not torch.distributed.is_nccl_available():
        return None
    return ".".join(map(str, torch.cuda.nccl.version()))  # type: ignore[no-untyped-call]


def _driver_version() -> str | None:
    """Return the version of the NVIDIA driver; None where there is none, or it reaches no GPU."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        with waiting_for("nvidia-smi to answer"):
            answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.split()[0] if answer.stdout.strip() else None
