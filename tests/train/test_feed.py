from __future__ import annotations

import threading
import time

import pytest
import torch
from torch import Tensor

from orchestrator.errors import CellError
from orchestrator.train import feed
from orchestrator.train.feed import Feed, Mode, ResidentFeed, StreamingFeed, make_feed

CPU = torch.device("cpu")


def images_of(num: int = 40) -> Tensor:
    return torch.randint(0, 256, (num, 3, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def rows_of(num: int = 40) -> list[Tensor]:
    """Batches of several sizes, an empty one among them."""
    order = torch.randperm(num, generator=torch.Generator().manual_seed(1))
    return [*torch.split(order, 7), order[:0], order[3:4]]


@pytest.mark.parametrize("mode", ["resident", "streaming"])
def test_batches_are_the_rows_asked_for_in_order(mode: Mode) -> None:
    images = images_of()
    made = make_feed(images, CPU, mode=mode)
    assert (made.mode, made.device) == (mode, CPU)
    for _ in range(2):
        batches = list(made.batches(rows_of()))
        assert all(torch.equal(batch, images[rows]) for batch, rows in zip(batches, rows_of(), strict=True))


def test_resident_on_the_cpu_copies_nothing() -> None:
    images = images_of()
    ResidentFeed(images, CPU)
    assert ResidentFeed(images, CPU)._images.data_ptr() == images.data_ptr()


@pytest.mark.parametrize(("share", "mode"), [(0.5, "streaming"), (0.51, "resident"), (1.0, "resident")])
def test_auto_compares_size_and_memory(share: float, mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    images = images_of()
    monkeypatch.setattr(feed, "free_memory_bytes", lambda: 2 * images.numel() - 1)
    assert make_feed(images, CPU, resident_share=share).mode == mode


def test_what_cannot_be_resident_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    images = images_of()
    monkeypatch.setattr(feed, "free_memory_bytes", lambda: images.numel() - 1)
    with pytest.raises(CellError, match=r"resources\.feed to streaming"):
        make_feed(images, CPU, mode="resident")
    assert make_feed(images, CPU, mode="streaming").mode == "streaming"


def test_memory_of_this_machine_is_known() -> None:
    assert 10 * 2**20 < feed.free_bytes_on(CPU) < 2**50


def test_streaming_is_ahead_but_not_too_far(monkeypatch: pytest.MonkeyPatch) -> None:
    made, fetched = StreamingFeed(images_of(), CPU), []
    original = made._fetch
    monkeypatch.setattr(made, "_fetch", lambda rows: (fetched.append(len(rows)), original(rows))[1])
    batches = made.batches([torch.arange(2)] * 30)
    next(batches)
    time.sleep(0.2)
    assert 2 <= len(fetched) <= feed.BATCHES_AHEAD + 1
    assert sum(1 for _ in batches) == 29
    assert len(fetched) == 30


def test_streaming_that_is_left_early_leaves_no_thread() -> None:
    batches = StreamingFeed(images_of(), CPU).batches([torch.arange(2)] * 30)
    next(batches)
    assert any(thread.name.startswith("feed") for thread in threading.enumerate())
    batches.close()  # type: ignore[attr-defined]
    assert not any(thread.name.startswith("feed") for thread in threading.enumerate())


def test_an_error_while_fetching_reaches_the_training() -> None:
    with pytest.raises(IndexError):
        list(StreamingFeed(images_of(), CPU).batches([torch.tensor([99])]))


@pytest.mark.gpu
@pytest.mark.parametrize("mode", ["resident", "streaming"])
def test_batches_are_on_the_gpu(mode: Mode) -> None:
    images, device = images_of(), torch.device("cuda", 0)
    made: Feed = make_feed(images, device, mode=mode)
    for batch, rows in zip(made.batches(rows_of()), rows_of(), strict=True):
        assert batch.device == device
        torch.cuda._sleep(1_000_000)  # type: ignore[no-untyped-call]  # the training is behind the feed
        assert torch.equal(batch.clone().cpu(), images[rows])
