"""The command line of ``python -m orchestrator.train``: one cell of an experiment, without Ray and MLflow.

::

    torchrun --nproc-per-node 2 -m orchestrator.train EXPERIMENT --cell KEY
    python -m orchestrator.train EXPERIMENT --cell KEY                         # a cell of one worker

What it trains lies where a sweep looks for it: ``zetasweep run`` takes it over.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import torch
import torch.distributed as dist

from orchestrator.amounts import counted
from orchestrator.data import Dataset
from orchestrator.errors import CellError, UserError
from orchestrator.exit_codes import DONE, INCOMPLETE, INTERRUPTED, WRONG_INPUT
from orchestrator.experiment.cells import Cell
from orchestrator.experiment.settings import Experiment, Resources
from orchestrator.records import EpochResult
from orchestrator.train.cell import train_cell
from orchestrator.train.feed import Feed, make_feed

# What reads the experiment is imported when it is called: a training itself needs neither pydantic nor PyYAML.

_Value = TypeVar("_Value")


def main(arguments: Sequence[str] | None = None) -> int:
    """Train the cell that the command line names, on this rank, and return the exit code.

    Args:
        arguments: Of the command line; None takes them from ``sys.argv``.
    """
    options = _parse(arguments)
    if "WORLD_SIZE" in os.environ:
        # gloo carries what is no tensor of a GPU, so the ranks can agree on an error before they touch one.
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    try:
        code = _run(options)
    except (UserError, CellError) as error:
        # Every rank has the same error. torchrun ends the others as soon as one exits: not before rank 0 has spoken.
        if _rank() == 0:
            sys.stderr.write(f"error: {error}\n")
            sys.stderr.flush()
        code = WRONG_INPUT if isinstance(error, UserError) else INCOMPLETE
    except KeyboardInterrupt:
        return INTERRUPTED
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()
    return code


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m orchestrator.train",
        description="Train one cell of an experiment without Ray and MLflow; the same command again continues it.",
        epilog="Start as many processes as the cell has workers: torchrun --nproc-per-node N -m orchestrator.train ...",
    )
    parser.add_argument("experiment", type=Path, metavar="EXPERIMENT", help="a YAML file, see experiments/")
    parser.add_argument("--cell", metavar="KEY", help="the cell's key or how it begins; not needed if there is one")
    parser.add_argument(
        "-o", "--override", action="append", default=[], metavar="KEY=VALUE", help="override a key of the file"
    )
    parser.add_argument(
        "--checkpoint-dir",
        type=Path,
        metavar="DIR",
        help="where the cell's folder KEY lies or is made (default: cells in the experiment's storage)",
    )
    return parser.parse_args(arguments)


def _run(options: argparse.Namespace) -> int:
    cell, dataset, feed, checkpoint_dir, resources = _agreed(lambda: _prepare(options))
    if _rank() == 0:
        ranks = f"{cell.workers} x {feed.device.type}"
        _say(f"{cell.key} {cell.label}: {ranks}, {cell.train.precision}, in {checkpoint_dir}")

    def report(result: EpochResult) -> None:
        if _rank() == 0:
            _say(_epoch_line(result, epochs=cell.train.epochs))

    result = train_cell(
        cell,
        dataset,
        checkpoint_dir=checkpoint_dir,
        device=feed.device,
        report=report,
        feed=feed,
        backend=resources.backend,
        checkpoint_every_s=resources.checkpoint_every_s,
    )
    if _rank() == 0:
        _say(f"tested with the weights of epoch {result.metrics['best/epoch']:.0f}, the best on validation:")
        for name, value in result.metrics.items():
            if name.startswith("test/"):
                _say(f"  {name:<22} {value:.4f}")
    return DONE


def _prepare(options: argparse.Namespace) -> tuple[Cell, Dataset, Feed, Path, Resources]:
    """Return what `train_cell` needs.

    Raises:
        UserError: The experiment, the choice of the cell, the number of processes or the data is wrong.
        CellError: The images do not fit where they are to be kept.
    """
    from orchestrator.data import load_dataset
    from orchestrator.experiment.cells import expand
    from orchestrator.experiment.load import load_experiment

    experiment = load_experiment(options.experiment, options.override)
    cell = _chosen(expand(experiment), options.cell)
    _check_world_size(cell, options)
    device = _device(experiment)
    # As many as in a sweep: the number of threads decides in which order a CPU sums.
    torch.set_num_threads(max(1, int(experiment.resources.cpus_per_worker)))
    spec = cell.dataset
    wanted = {**spec.decode_options(), **spec.split_options()}
    dataset = load_dataset(spec.name, experiment.data_dir, **wanted, cache=experiment.cache.open())
    resources = experiment.resources
    feed = make_feed(dataset.images, device, mode=resources.feed, resident_share=resources.resident_share)
    checkpoint_dir = _cells_dir(experiment, options.checkpoint_dir) / cell.key
    return cell, dataset, feed, checkpoint_dir, resources


def _chosen(cells: Sequence[Cell], key: str | None) -> Cell:
    """Return the only cell whose key begins with `key`.

    Raises:
        UserError: There is none, or more than one; lists them.
    """
    found = [cell for cell in cells if cell.key.startswith(key or "")]
    if len(found) == 1:
        return found[0]
    problem = "more than one cell: name one with --cell KEY" if key is None else f"--cell {key}: "
    if key is not None:
        problem += "the keys of more than one cell begin like this" if found else "no cell has such a key"
    listed = "\n".join(f"  {cell.key}  {cell.label}" for cell in found or cells)
    raise UserError(f"{problem}\n{listed}")


def _check_world_size(cell: Cell, options: argparse.Namespace) -> None:
    started = dist.get_world_size() if dist.is_initialized() else 1
    if started == cell.workers:
        return
    command = ["torchrun", "--nproc-per-node", str(cell.workers), "-m", "orchestrator.train", str(options.experiment)]
    command += [word for override in options.override for word in ("-o", override)]
    command += ["--checkpoint-dir", str(options.checkpoint_dir)] if options.checkpoint_dir else []
    raise UserError(
        f"cell {cell.key} has {counted(cell.workers, 'worker')}, but the number of processes started is {started}: it "
        "changes the result and belongs to the cell\n"
        f"  remedy:  {shlex.join([*command, '--cell', cell.key])}\n"
        f"           or -o resources.workers={started}, which makes it another cell with another key"
    )


def _device(experiment: Experiment) -> torch.device:
    """Return where a sweep would train, but the CPU where there is no GPU at all.

    Raises:
        UserError: There are fewer GPUs than processes here.
    """
    if not experiment.resources.gpus_per_worker or not torch.cuda.is_available():
        return torch.device("cpu")
    index = int(os.environ.get("LOCAL_RANK", "0"))
    if index >= torch.cuda.device_count():
        raise UserError(
            f"this machine has {torch.cuda.device_count()} GPUs and more processes were started on it\n"
            "  remedy:  start one for each GPU, on more machines; or -o resources.gpus_per_worker=0 for the CPU"
        )
    torch.cuda.set_device(index)
    return torch.device("cuda", index)


def _cells_dir(experiment: Experiment, checkpoint_dir: Path | None) -> Path:
    from orchestrator.storage.folder import Storage

    storage = Storage(checkpoint_dir.absolute() if checkpoint_dir else experiment.storage)
    if _rank() == 0:
        storage.prepare()
    if checkpoint_dir:
        return storage.root
    if _rank() == 0 and storage.is_locked():
        raise UserError(
            f"storage = {storage.root}: a sweep is at work there and may train this cell, too\n"
            "  remedy:  wait for it, or name another folder with --checkpoint-dir"
        )
    return storage.cells_dir


def _agreed(prepare: Callable[[], _Value]) -> _Value:
    """Return what `prepare` returns on this rank; if it raises a known error on any rank, raise that on all."""
    result: _Value | None = None
    problem: UserError | CellError | None = None
    try:
        result = prepare()
    except UserError as error:
        problem = UserError(str(error))
    except CellError as error:
        problem = error
    problems = [problem]
    if dist.is_initialized():
        problems = [None] * dist.get_world_size()
        dist.all_gather_object(problems, problem)
    for found in problems:
        if found is not None:
            raise found
    assert result is not None
    return result


def _epoch_line(result: EpochResult, *, epochs: int) -> str:
    values = result.metrics
    return (
        f"epoch {result.epoch}/{epochs}: training loss {values['train/loss']:.4f}, "
        f"validation error {100 * values['val/error']:.2f} %, loss {values['val/loss']:.4f}, "
        f"{values['train/images_per_s']:.0f} images/s"
    )


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


if __name__ == "__main__":
    sys.exit(main())
