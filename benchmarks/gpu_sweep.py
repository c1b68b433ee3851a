"""Claim: on one GPU a sweep loses no time between cells, packs small ones, and a killed worker changes no bit.

Run, two minutes on a GPU::

    python benchmarks/gpu_sweep.py [--part PART]... [--json PATH]

* **boundary.** Cells of digits in one warm slot, by ``zetasweep run``: seconds from the end of one cell's test to the
  first step of the next. Bar: 0.1.
* **packing.** ResNet-18 on noise of 32 px: cells per hour of one slot with the whole GPU, and of four with a quarter
  each, three cells in each, while all of them are at work: slots start up to half a minute apart.
* **sigkill.** The same cell twice; in the second sweep its worker gets SIGKILL after the first checkpoint. Bar: the
  same losses and errors, to the last bit, of every epoch and of the test.
* **ranks.** Two ranks on the one GPU over gloo train a cell; over NCCL one rank, for want of a second GPU, sums a
  tensor and takes a step of DistributedDataParallel: that they do, and no speed.

``--smoke`` runs ``boundary`` with two cells, and ``ranks`` with one, on the CPU: its figures say nothing.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import torch
import torch.distributed as dist
import yaml
from figures import Spread, origin, say, write_json
from harness import client_of, first_step_ms, run_sweep, scratch_folder
from mlflow.entities import Run
from torch.nn.parallel import DistributedDataParallel
from train_throughput import FOLDER, make_images

from orchestrator.data import load_dataset
from orchestrator.experiment import expand, load_experiment
from orchestrator.records import CellResult
from orchestrator.train import train_cell

BAR_S = 0.1
CELLS, PACKED = 6, 4
ZETA = {"zeta_mixup": {"gamma": 2.8, "num_mixed": 4}}
# Of a worker that trains, among the processes of a sweep.
WORKER = "RayTrainWorker"


def main() -> None:
    """Run the parts, and write each as soon as it ends."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=PARTS, action="append", help="only this one; may be repeated")
    parser.add_argument("--smoke", action="store_true", help="two parts, tiny, on the CPU: nothing is measured")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures there, too")
    arguments = parser.parse_args()
    if not arguments.smoke and not torch.cuda.is_available():
        sys.exit("error: there is no CUDA device")
    source, found = origin() | {"smoke": arguments.smoke}, dict[str, Any]()
    with scratch_folder() as folder:
        for name in arguments.part or (("boundary", "ranks") if arguments.smoke else PARTS):
            say(name)
            found[name] = PARTS[name](folder, arguments.smoke)
            print(f"{name}: {found[name]}", flush=True)
            if arguments.json is not None:
                write_json(arguments.json, source=source, **found)


def boundary(folder: Path, smoke: bool) -> dict[str, Any]:
    """Return the gaps between the cells of a warm slot."""
    runs = run_sweep(experiment("boundary", smoke=smoke, seeds=2 if smoke else CELLS), folder / "boundary")
    gaps = [(first_step_ms(after) - before.info.end_time) / 1000 for before, after in pairwise(runs)]
    return {"gap_s": Spread.of(gaps), **({} if smoke else {"bar_s": BAR_S, "met": Spread.of(gaps).median < BAR_S})}


def packing(folder: Path, smoke: bool) -> dict[str, Any]:
    """Return the cells per hour of one slot, and of four that share the GPU."""
    make_images(folder / "data" / FOLDER)
    rates = {}
    for slots in (1, PACKED):
        wanted = experiment("packing", smoke=smoke, seeds=3 * slots, model="resnet18", epochs=20)
        wanted |= {"dataset": {"image_folder": {"folder": FOLDER}}, "data_dir": str(folder / "data")}
        wanted["resources"] |= {"gpus_per_worker": 1 / slots, "slots": "auto"}
        runs = run_sweep(wanted, folder / f"packing-{slots}")
        rates[f"{slots} a GPU"] = cells_per_hour([(first_step_ms(run), run.info.end_time) for run in runs], slots)
    one, four = rates.values()
    return {"cells_per_hour": rates, "times": four / one if one else None}


def cells_per_hour(cells_ms: list[tuple[int, int]], slots: int) -> float:
    """Return how many cells an hour are done while all slots are at work, from the first to the last such moment; 0
    without one.

    Args:
        cells_ms: When each cell took its first step, and when it ended, in milliseconds.
        slots: How many train at a time.
    """

    def all_work(moment: int) -> bool:
        return sum(began <= moment < ended for began, ended in cells_ms) >= slots

    since = min((began for began, _ in cells_ms if all_work(began)), default=0)
    until = max((ended for _, ended in cells_ms if all_work(ended - 1)), default=0)
    if until <= since:
        return 0.0
    done = sum(max(0, min(ended, until) - max(began, since)) / (ended - began) for began, ended in cells_ms)
    return done * 3_600_000 / (until - since)


def sigkill(folder: Path, smoke: bool) -> dict[str, Any]:
    """Return whether a training whose worker was killed has the numbers of one that nothing disturbed."""
    wanted = experiment("sigkill", smoke=smoke, seeds=1, epochs=40)
    (calm,) = run_sweep(wanted, folder / "calm")
    struck = run_struck(wanted, folder / "struck")
    if struck is None:
        return {"killed": False}
    numbers = [numbers_of(run, folder / name) for run, name in ((calm, "calm"), (struck, "struck"))]
    return {"killed": True, "same_bits": numbers[0] == numbers[1], "metrics": len(numbers[0])}


def run_struck(wanted: dict[str, Any], folder: Path) -> Run | None:
    """Run a sweep whose worker is killed after its first checkpoint; None if it was too late for that."""
    folder.mkdir()
    file, storage = folder / "experiment.yaml", folder / "runs"
    file.write_text(yaml.safe_dump({**wanted, "storage": str(storage)}), encoding="utf-8")
    sweep = subprocess.Popen([sys.executable, "-m", "orchestrator", "run", str(file)], stdout=subprocess.DEVNULL)
    struck = False
    try:
        while sweep.poll() is None:
            # Of a point that a training goes on from: EPOCH-STEP.pt.
            if not struck and any(storage.rglob("0*-*.pt")):
                struck = kill_worker(sweep.pid)
            time.sleep(0.05)
    finally:
        # Whoever ends this one ends that, too: a sweep that is asked to stops its Ray cluster.
        if sweep.poll() is None:
            sweep.terminate()
            sweep.wait()
    client = client_of(folder)
    known = client.get_experiment_by_name(wanted["name"])
    assert known is not None, "a sweep that ended well has its experiment"
    finished = "tags.`zetasweep.kind` = 'cell' and attributes.status = 'FINISHED'"
    return next(iter(client.search_runs([known.experiment_id], finished)), None) if struck else None


def kill_worker(pid: int) -> bool:
    """Kill the worker of a sweep; return whether there was one."""
    for process in psutil.Process(pid).children(recursive=True):
        try:
            if WORKER in " ".join(process.cmdline()):
                process.send_signal(signal.SIGKILL)
                return True
        except psutil.Error:
            continue
    return False


def numbers_of(run: Run, folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return the losses and errors of a cell, by name, with their epochs."""
    client = client_of(folder)
    return {
        name: sorted((each.step, each.value) for each in client.get_metric_history(run.info.run_id, name))
        for name in run.data.metrics
        if name.startswith(("train/loss", "val/", "best/", "test/"))
    }


def ranks(folder: Path, smoke: bool) -> dict[str, Any]:
    """Return what groups of ranks did on the one device."""
    world_size = 1 if smoke else 2
    arguments = (world_size, f"file://{folder / 'gloo'}", str(folder / "ranks"), smoke)
    if world_size == 1:
        _rank(0, *arguments)
    else:
        torch.multiprocessing.spawn(_rank, arguments, nprocs=world_size)
    backend = "gloo" if smoke else "nccl"
    collectives(backend, folder, torch.device("cpu") if smoke else torch.device("cuda", 0))
    return {f"{world_size} over gloo: a cell": True, f"1 over {backend}: all_reduce and a step of DDP": True}


def collectives(backend: str, folder: Path, device: torch.device) -> None:
    """Sum a tensor over a group of this process alone, and take a step of DistributedDataParallel there."""
    dist.init_process_group(backend, init_method=f"file://{folder / 'collectives'}", rank=0, world_size=1)
    try:
        summed = torch.arange(4.0, device=device)
        dist.all_reduce(summed)
        assert summed.tolist() == [0, 1, 2, 3]
        network = torch.nn.Linear(4, 2).to(device)
        wrapped = DistributedDataParallel(network, device_ids=[device] if device.type == "cuda" else None)
        wrapped(torch.ones(3, 4, device=device)).sum().backward()
        assert network.bias.grad is not None
        assert network.bias.grad.tolist() == [3, 3]
    finally:
        dist.destroy_process_group()


def _rank(rank: int, world_size: int, address: str, folder: str, smoke: bool) -> None:
    """Train a cell of digits as one of the ranks."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=world_size)
    device = torch.device("cpu") if smoke else torch.device("cuda", 0)
    try:
        path = Path(folder)
        path.mkdir(exist_ok=True)
        file = path / f"experiment-{rank}.yaml"
        wanted = experiment("ranks", smoke=smoke, seeds=1)
        wanted["resources"] |= {"workers": world_size, "gpus_per_worker": 0}
        file.write_text(yaml.safe_dump({**wanted, "storage": str(path / "runs")}), encoding="utf-8")
        (cell,) = expand(load_experiment(file))
        dataset = load_dataset("digits", path)
        result = train_cell(cell, dataset, checkpoint_dir=path / "cell", device=device, report=lambda _: None)
        assert isinstance(result, CellResult)
        assert "test/error" in result.metrics
    finally:
        dist.destroy_process_group()


def experiment(name: str, *, smoke: bool, seeds: int, model: str = "convnet", epochs: int = 2) -> dict[str, Any]:
    """Return an experiment with so many cells, on one GPU or, in a smoke test, on the CPU."""
    return {
        "name": name,
        "dataset": "digits",
        "model": model,
        "augment": ZETA,
        "seed": list(range(seeds)),
        "train": {"epochs": 1 if smoke else epochs, "batch_size_per_worker": 64},
        "resources": {"workers": 1, "cpus_per_worker": 1, "slots": 1, "gpus_per_worker": 0 if smoke else 1},
        "tracking": {"models": "none"},
    }


PARTS: dict[str, Callable[[Path, bool], dict[str, Any]]] = {
    "boundary": boundary,
    "sigkill": sigkill,
    "ranks": ranks,
    "packing": packing,
}


if __name__ == "__main__":
    # Ranks that are spawned find this folder's modules.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    main()
