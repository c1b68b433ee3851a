"""Whether this machine, and the cluster that it joins, can run an experiment: versions, GPUs, places, disk."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from orchestrator.amounts import bytes_text, counted
from orchestrator.doctor.finding import Finding, Line
from orchestrator.doctor.nodes import examine_nodes
from orchestrator.errors import UserError
from orchestrator.experiment.cells import Cell
from orchestrator.experiment.settings import Experiment, Resources
from orchestrator.plan.placement import Layout, layout, local_layout, local_node
from orchestrator.plan.plan import check_inputs, make_plan
from orchestrator.records import CellRun
from orchestrator.storage.folder import Storage
from orchestrator.sweep.cluster import joined_or_started

DISTRIBUTION = "zetasweep"
SHOWN = ("torch", "ray", "mlflow")
# Logs, Ray's session and MLflow's uploads, beside what can be computed.
FREE_BYTES = 10**9
# Any cluster can hold it: so joining says nothing about whether the experiment fits.
_ANYTHING = Resources(workers=1, cpus_per_worker=0.01)


def examine_versions() -> Iterator[Line]:
    """Compare Python and the installed packages with what zetasweep declares that it needs."""
    try:
        needed = [Requirement(line) for line in requires(DISTRIBUTION) or ()]
        pythons = SpecifierSet(metadata(DISTRIBUTION)["Requires-Python"])
    except PackageNotFoundError:
        yield Finding(
            "the versions of packages are not checked",
            f"{DISTRIBUTION} is not installed, it runs from {Path(__file__).parents[2]}",
            "pip install -e that folder",
            severity="note",
        )
        return
    if platform.python_version() not in pythons:
        yield _unsuitable("Python", platform.python_version(), str(pythons))
    for requirement in needed:
        if requirement.marker is None or requirement.marker.evaluate():
            found = _installed(requirement.name)
            if found is None or not requirement.specifier.contains(found, prereleases=True):
                yield _unsuitable(requirement.name, found or "missing", str(requirement.specifier))
    shown = ", ".join(f"{name} {_installed(name)}" for name in (DISTRIBUTION, *SHOWN))
    yield f"{shown}, Python {platform.python_version()}"


def examine_gpus(resources: Resources) -> Iterator[Line]:
    """Say which GPUs torch can use, and find one that it should be able to."""
    import torch

    built, driver = torch.version.cuda, _driver_version()
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
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


def examine_placement(resources: Resources, storage: Storage) -> tuple[Layout | None, list[Line]]:
    """Return where a sweep would be placed, None if nowhere, and what is to be said about that.

    A cluster named by ``RAY_ADDRESS`` is joined for it, and each of its nodes is asked.
    """
    lines: list[Line] = []
    address = os.environ.get("RAY_ADDRESS")
    try:
        if not address:
            placed = local_layout(resources, local_node())
            room = counted(placed.slots, "slot")
            lines.append(f"Ray: RAY_ADDRESS is not set, run starts its own on this machine, with room for {room}")
        else:
            with joined_or_started(_ANYTHING) as everything:
                lines.append(f"Ray: {address} answers, {counted(len(everything.nodes), 'node')}")
                lines += examine_nodes(storage.root)
            placed = layout(resources, everything.nodes)
    except UserError as error:
        return None, [*lines, _refused(error)]
    if placed.warning:
        lines.append(Finding(placed.warning, "resources", "", severity="note"))
    return placed, lines


def examine_inputs(experiment: Experiment) -> Iterator[Line]:
    """Find what `run` would refuse about data sets and models."""
    try:
        check_inputs(experiment)
    except UserError as error:
        yield _refused(error)


def examine_disk(
    experiment: Experiment, cells: Sequence[Cell], runs: Mapping[str, CellRun], placed: Layout | None
) -> Iterator[Line]:
    """Compare what is free with what the cells that are missing take at most.

    Args:
        experiment: Says where.
        cells: All.
        runs: What is known of them; without it, all count as missing.
        placed: Where they would be placed; None counts one slot.
    """
    needed = {experiment.storage: 0, experiment.cache.dir: 0, Path(tempfile.gettempdir()): 0}
    try:
        plan = make_plan(experiment, cells, runs, placed or Layout(slots=1, nodes=()))
    except UserError:
        pass  # `examine_inputs` has said it
    else:
        needed[experiment.storage] += plan.disk_peak_bytes
        needed[experiment.cache.dir] += plan.cache_bytes
    devices: dict[int, list[Path]] = defaultdict(list)
    for path in needed:
        devices[_existing(path).stat().st_dev].append(path)
    for paths in devices.values():
        free = shutil.disk_usage(_existing(paths[0])).free
        wanted = sum(needed[path] for path in paths) + FREE_BYTES
        where = f"{', '.join(map(str, paths))}: {bytes_text(free)} free, at most {bytes_text(wanted)} needed"
        yield f"disk: {where}"
        if free < wanted:
            yield Finding("the disk may become full", where, "make room, or name others with -o storage= or cache.dir=")


def examine_access(storage: Storage) -> Iterator[Line]:
    """Find a folder of results that cannot be written to; one that is not there yet is not made."""
    try:
        if storage.root.is_dir():
            storage.prepare()
        elif not os.access(_existing(storage.root), os.W_OK | os.X_OK):
            raise UserError(
                f"storage = {storage.root}: cannot be made in {_existing(storage.root)}\n"
                "  remedy:  mend its permissions, or name another folder with -o storage=PATH"
            )
    except UserError as error:
        yield _refused(error)


def _refused(error: UserError) -> Finding:
    """Return a finding in the words of the command that would refuse to start."""
    return Finding("zetasweep run would refuse to start", str(error), "")


def _unsuitable(name: str, found: str, wanted: str) -> Finding:
    return Finding(
        "a version that zetasweep was not made for",
        f"{name} {found}",
        f"install {name} {wanted}, see requirements.lock",
    )


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _nccl_version() -> str | None:
    import torch

    if not torch.distributed.is_nccl_available():
        return None
    return ".".join(map(str, torch.cuda.nccl.version()))  # type: ignore[no-untyped-call]


def _driver_version() -> str | None:
    """Return the version of the NVIDIA driver; None where there is none, or it reaches no GPU."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.split()[0] if answer.stdout.strip() else None


def _existing(path: Path) -> Path:
    """Return `path`, or the nearest folder above it that exists."""
    return next(folder for folder in (path, *path.parents) if folder.exists())
