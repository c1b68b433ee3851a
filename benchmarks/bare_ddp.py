"""The other side of ``train_throughput.py``: data-parallel training as PyTorch's tutorials write it.

It has neither Ray nor MLflow, neither checkpoints nor evaluation. One process per worker::

    torchrun --standalone --nproc-per-node 2 benchmarks/bare_ddp.py --data-dir DIR --folder NAME --epochs 6 \
        --batch-size-per-worker 64 --gamma 2.8 --num-mixed 4 --out FILE

A step does the work of a step of a cell, by the same calls, with one thread, as a worker of one CPU has: torchrun sees
to that by itself where it starts several processes, and not where it starts one. Rank 0 writes the images per second of
every epoch, over all ranks, to FILE as a JSON list.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel

from augment import Normalization, ZetaMixup, cut, draw_window
from orchestrator.data import load_dataset
from orchestrator.models.registry import build_model


def main() -> None:
    """Train and time every epoch."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--batch-size-per-worker", type=int, required=True)
    parser.add_argument("--gamma", type=float, required=True)
    parser.add_argument("--num-mixed", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    torch.manual_seed(0)
    dist.init_process_group("gloo")
    rank, world_size = dist.get_rank(), dist.get_world_size()
    generator = torch.Generator().manual_seed(rank)

    dataset = load_dataset("image_folder", arguments.data_dir, path=arguments.folder)
    images, labels = dataset.images[dataset.train.rows], dataset.train.labels
    normalize = Normalization(dataset.mean, dataset.std, device=torch.device("cpu"))
    mixup = ZetaMixup(gamma=arguments.gamma, num_mixed=arguments.num_mixed)
    model = DistributedDataParallel(
        build_model(
            "convnet",
            num_classes=dataset.num_classes,
            num_channels=dataset.num_channels,
            image_size=dataset.stored_size,
        ).to(memory_format=torch.channels_last)
    )
    global_batch = arguments.batch_size_per_worker * world_size
    steps = len(labels) // global_batch
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=arguments.epochs * steps)

    images_per_s = []
    for epoch in range(arguments.epochs):
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(epoch))
        batches = order[: steps * global_batch].view(steps, world_size, -1)[:, rank]
        started = time.perf_counter()
        model.train()
        total = torch.zeros(())
        for indices in batches:
            window = draw_window(len(indices), crop_padding=4, hflip=True, generator=generator)
            batch = normalize(cut(images[indices], window))
            batch, targets = mixup(batch, labels[indices], num_classes=dataset.num_classes, generator=generator)
            loss = F.cross_entropy(model(batch), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.detach()
        dist.all_reduce(total)
        mean_loss = float(total) / (steps * world_size)
        images_per_s.append(steps * global_batch / (time.perf_counter() - started))
        if rank == 0:
            print(f"epoch {epoch + 1}: loss {mean_loss:.4f}, {images_per_s[-1]:,.0f} images/s")
    if rank == 0:
        arguments.out.write_text(json.dumps(images_per_s), encoding="utf-8")
    # Without it a rank that leaves first can take gloo's threads of the other down with it.
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
