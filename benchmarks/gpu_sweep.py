"""Claim: on one GPU a sweep loses no time between cells, packs small ones, and a killed worker changes no bit.

Run, two minutes on a GPU::

    python benchmarks/gpu_sweep.py [--part PART]... [--json PATH]

* **boundary.** Cells of digits in one warm slot, by ``zetasweep run``: seconds from the end of one cell's test to the
  first step of the next. Bar: 0.1.
* **packing.** ResNet-18 on noise of 32 px: cells per hour of one slot with the whole GPU, and of four with a quarter
  each, from the first step of all to the last end.
* **sigkill.** The same cell twice; in the second sweep its worker gets SIGKILL after the first checkpoint. Bar: the
  same losses and errors, to the last bit, of every epoch and of the test.
* **ranks.** Two ranks on the one GPU over gloo, and one over NCCL, train a cell: that they do, and no speed.

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
from train_throughput import FOLDER, make_images

from orchestrator.data import load_dataset
from orchestrator.experiment import expand, load_experiment
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
    for share in (1, 0.25):
        wanted = experiment("packing", smoke=smoke, seeds=PACKED, model="resnet18", epochs=4)
        wanted |= {"dataset": {"image_folder": {"folder": FOLDER}}, "data_dir": str(folder / "data")}
        wanted["resources"] |= {"gpus_per_worker": share, "slots": "auto"}
        runs = run_sweep(wanted, folder / f"packing-{share}")
        took_ms = max(run.info.end_time for run in runs) - min(map(first_step_ms, runs))
        rates[f"{1 / share:g} a GPU"] = PACKED * 3_600_000 / took_ms
    one, four = rates.values()
    return {"cells_per_hour": rates, "times": four / one}


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
    while sweep.poll() is None:
        # Of a point that a training goes on from: EPOCH-STEP.pt.
        if not struck and any(storage.rglob("0*-*.pt")):
            struck = kill_worker(sweep.pid)
        time.sleep(0.05)
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
    """Return which groups of ranks trained a cell on the one device."""
    done = {}
    for backend, world_size in (("gloo", 1 if smoke else 2), *(() if smoke else (("nccl", 1),))):
        address = f"file://{folder / backend}"
        arguments = (world_size, backend, address, str(folder / f"ranks-{backend}"), smoke)
        if world_size == 1:
            _rank(0, *arguments)
        else:
            torch.multiprocessing.spawn(_rank, arguments, nprocs=world_size)
        done[f"{world_size} over {backend}"] = True
    return done


def _rank(rank: int, world_size: int, backend: str, address: str, folder: str, smoke: bool) -> None:
    """Train a cell of digits as one of the ranks."""
    torch.set_num_threads(1)
    dist.init_process_group(backend, init_method=address, rank=rank, world_size=world_size)
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
    "packing": packing,
    "sigkill": sigkill,
    "ranks": ranks,
}


if __name__ == "__main__":
    # Ranks that are spawned find this folder's modules.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    main()
