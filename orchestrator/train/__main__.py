"""The command line of ``python -m orchestrator.train``: one cell of an experiment, without Ray and MLflow.

::

    torchrun --nproc-per-node 2 -m orchestrator.train EXPERIMENT --cell KEY
    python -m orchestrator.train EXPERIMENT --cell KEY                         # a cell of one worker

What it trains lies where a sweep looks for it: ``zetasweep run`` takes it over.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout
from pathlib import Path

import click
import torch
import torch.distributed as dist

from orchestrator.errors import CellError, UserError
from orchestrator.exit_codes import DONE, INCOMPLETE, INTERRUPTED, WRONG_INPUT
from orchestrator.metric_names import GROUP, METRICS
from orchestrator.records import EpochResult
from orchestrator.short_paths import short_temporary_folders
from orchestrator.train.cell import train_cell
from orchestrator.train.preparation import Choice, prepare
from orchestrator.train.ranks import Ranks
from orchestrator.waiting import hush, waiting_for

PROGRAM = "python -m orchestrator.train"


def main(arguments: Sequence[str] | None = None) -> int:
    """Train the cell that the command line names, on this rank, and return the exit code.

    Args:
        arguments: Of the command line; None takes them from ``sys.argv``.
    """
    # Each rank is started with the same words: rank 0 says what is wrong with them, and none waits for the others.
    is_first = os.environ.get("RANK", "0") == "0"
    if not is_first:
        hush()
    try:
        # All ranks would say the same.
        with nullcontext() if is_first else redirect_stdout(io.StringIO()):
            code: int = train.main(arguments, prog_name=PROGRAM, standalone_mode=False)
    except click.Abort as abort:
        if isinstance(abort.__cause__, EOFError):
            raise abort.__cause__ from None  # nobody was asked anything: it is an error of the training
        return INTERRUPTED
    except (UserError, CellError, click.UsageError) as error:
        code = INCOMPLETE if isinstance(error, CellError) else WRONG_INPUT
        if is_first and isinstance(error, click.UsageError):
            error.show()
        elif is_first:
            click.echo(f"error: {error}", err=True)
    if dist.is_initialized():
        # torchrun ends the others as soon as one exits: not before rank 0 has spoken.
        dist.barrier()
        dist.destroy_process_group()
    return code


@click.command(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start as many processes as the cell has workers: torchrun --nproc-per-node N -m orchestrator.train ...",
)
@click.argument("experiment", type=click.Path(path_type=Path))
@click.option("--cell", metavar="KEY", help="The cell's key or how it begins; not needed if there is one.")
@click.option("-o", "--override", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key of the file.")
@click.option(
    "--checkpoint-dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where the cell's folder KEY lies or is made (default: cells in the experiment's storage).",
)
def train(experiment: Path, cell: str | None, overrides: tuple[str, ...], checkpoint_dir: Path | None) -> int:
    """Train one cell of an experiment without Ray and MLflow; the same command again continues it.

    EXPERIMENT is a YAML file, see experiments/.
    """
    if "WORLD_SIZE" in os.environ:
        # gloo carries what is no tensor of a GPU, so the ranks can agree on an error before they touch one.
        with waiting_for(f"all {os.environ['WORLD_SIZE']} processes to come together"):
            dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    choice, ranks = Choice(experiment, overrides, cell, checkpoint_dir), Ranks(torch.device("cpu"))
    prepared = ranks.agreed(lambda: prepare(choice, ranks))
    chosen, feed, resources, folder = prepared.cell, prepared.feed, prepared.resources, prepared.folder.path
    placed = f"{chosen.workers} x {feed.device.type}"
    click.echo(f"{chosen.key} {chosen.label}: {placed}, {chosen.train.precision}, in {folder}")
    if prepared.folder.result.exists():
        click.echo("there is a result: it is shown again, and nothing is trained unless it is damaged")
    result = train_cell(
        chosen,
        prepared.dataset,
        checkpoint_dir=folder,
        device=feed.device,
        report=lambda result: click.echo(_epoch_line(result, epochs=chosen.train.epochs)),
        feed=feed,
        backend=resources.backend,
        checkpoint_every_s=resources.checkpoint_every_s,
    )
    click.echo(f"tested with the weights of epoch {result.metrics['best/epoch']:.0f}, the best on validation:")
    for key in (f"test/{of}{name}" for of in ("", GROUP) for name in METRICS):
        if key in result.metrics:
            click.echo(f"  {key:<42} {result.metrics[key]:.4f}")
    if prepared.folder.test.is_dir():
        click.echo(f"of each class, and which was taken for which: {prepared.folder.test}")
    return DONE


def _epoch_line(result: EpochResult, *, epochs: int) -> str:
    values = result.metrics
    return (
        f"epoch {result.epoch}/{epochs}: training loss {values['train/loss']:.4f}, "
        f"validation error {100 * values['val/error']:.2f} %, loss {values['val/loss']:.4f}, "
        f"{values['train/images_per_s']:.0f} images/s"
    )


if __name__ == "__main__":
    with short_temporary_folders():
        code = main()
    sys.exit(code)
