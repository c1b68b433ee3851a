"""A training from a shell: the cell that was named, and what is printed of it."""

from __future__ import annotations

import os

import click
import torch
import torch.distributed as dist

from orchestrator.metric_names import GROUP, METRICS
from orchestrator.records import CellResult, EpochResult
from orchestrator.train.average_reach import doubt_of_average
from orchestrator.train.cell import train_cell
from orchestrator.train.preparation import Choice, Prepared, prepare
from orchestrator.train.ranks import Ranks
from orchestrator.train.starting_weights import begins_with
from orchestrator.waiting import waiting_for


def train_printed(choice: Choice) -> None:
    """Train the cell, on this rank of a process group if torchrun started it, and print what comes of it.

    Raises:
        UserError: The choice cannot be trained; says why, on all ranks.
        CellError: The training failed.
    """
    if "WORLD_SIZE" in os.environ:
        # gloo carries what is no tensor of a GPU, so the ranks can agree on an error before they touch one.
        with waiting_for(f"all {os.environ['WORLD_SIZE']} processes to come together"):
            dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    ranks = Ranks(torch.device("cpu"))
    prepared = ranks.agreed(lambda: prepare(choice, ranks))
    chosen, feed, resources, folder = prepared.cell, prepared.feed, prepared.resources, prepared.folder.path
    placed = f"{chosen.workers} x {feed.device.type}"
    click.echo(f"{chosen.key} {chosen.label}: {placed}, {chosen.train.precision}, in {folder}")
    if line := begins_with(chosen, prepared.dataset, prepared.weights):
        click.echo(f"begins with weights: {line}")
    num_images = len(prepared.dataset.train)
    if doubt := doubt_of_average(chosen.train, num_images=num_images, world_size=chosen.workers):
        click.echo(f"warning: {doubt}")
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
        weights=prepared.weights,
        cuda_graphs=resources.cuda_graphs and feed.device.type == "cuda",
    )
    assert isinstance(result, CellResult), "it trains to the end"
    _print_test(result, prepared)


def _print_test(result: CellResult, prepared: Prepared) -> None:
    click.echo(f"tested with the weights of epoch {result.metrics['best/epoch']:.0f}, the best on validation:")
    for key in (f"test/{of}{name}" for of in ("", GROUP) for name in METRICS):
        if key in result.metrics:
            click.echo(f"  {key:<42} {result.metrics[key]:.4f}")
    if prepared.folder.test.is_dir():
        click.echo(f"of each class, and which was taken for which: {prepared.folder.test}")


def _epoch_line(result: EpochResult, *, epochs: int) -> str:
    values = result.metrics
    return (
        f"epoch {result.epoch}/{epochs}: training loss {values['train/loss']:.4f}, "
        f"validation error {100 * values['val/error']:.2f} %, loss {values['val/loss']:.4f}, "
        f"{values['train/images_per_s']:.0f} images/s"
    )
