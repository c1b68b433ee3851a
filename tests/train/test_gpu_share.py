"""What a cell has of a GPU that it shares, and what of the arithmetic is set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from orchestrator.errors import CellError
from orchestrator.experiment.arithmetic_spec import ArithmeticSpec
from orchestrator.train.arithmetic import set_arithmetic
from orchestrator.train.feed import free_bytes_on, make_feed
from orchestrator.train.gpu_share import CONTEXT_BYTES, claim_share, gpu_of, held_by_others, own_bytes

GIB = 2**30
CUDA = torch.device("cuda", 0)


@pytest.mark.parametrize(
    ("free", "share", "own"),
    [(70, 1.0, 70), (80, 0.25, 19), (10, 0.25, 10), (80, 0.5, 39), (80, 1 / 160, 0.05)],
)
def test_of_a_shared_gpu_no_more_than_the_share_is_free(
    free: float, share: float, own: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda *_: (int(free * GIB), 80 * GIB))
    assert free_bytes_on(CUDA, gpu_share=share) / GIB == pytest.approx(own)


@pytest.mark.parametrize(("free", "own", "others"), [(60, 19, 0), (60, 4, 15), (79, 2, 0)])
def test_what_other_programs_hold_of_a_gpu_is_what_neither_is_free_nor_ones_own(
    free: float, own: float, others: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda *_: (int(free * GIB), 80 * GIB))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda *_: int(own * GIB))
    assert held_by_others(CUDA) / GIB == pytest.approx(others)
    assert held_by_others(torch.device("cpu")) == 0


def test_four_cells_together_take_no_more_than_the_gpu_has() -> None:
    assert 4 * (own_bytes(80 * GIB, 0.25) + CONTEXT_BYTES) == 80 * GIB


@pytest.mark.parametrize(
    ("each", "gpus"),
    [(0.3, [0, 0, 0, 1, 1, 1]), (0.4, [0, 0, 1, 1]), (0.25, [0, 0, 0, 0, 1]), (1, [0, 1]), (2, [0, 2]), (0.7, [0, 1])],
)
def test_no_share_is_of_two_gpus(each: float, gpus: list[int]) -> None:
    assert [gpu_of(number, each) for number in range(len(gpus))] == gpus


def test_images_that_do_not_fit_into_the_share_are_streamed_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.zeros((1, 1, 1, 1), dtype=torch.uint8).expand(30, 1024, 1024, 1024)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda *_: (80 * GIB, 80 * GIB))
    monkeypatch.setattr("orchestrator.train.feed.StreamingFeed", lambda *_: "streaming")
    monkeypatch.setattr("orchestrator.train.feed.ResidentFeed", lambda *_: "resident")
    assert make_feed(images, CUDA, mode="auto") == "resident"
    assert make_feed(images, CUDA, mode="auto", gpu_share=0.25) == "streaming"
    with pytest.raises(
        CellError, match=r"20\.4 GB are free on cuda:0 for a cell with resources\.gpus_per_worker=0\.25"
    ):
        make_feed(images, CUDA, mode="resident", gpu_share=0.25)


def test_only_a_share_is_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    claimed: list[float] = []
    properties = type("Properties", (), {"total_memory": 80 * GIB})
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda *_: properties)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda part, _: claimed.append(part))
    for device, share in ((CUDA, 1.0), (torch.device("cpu"), 0.25), (CUDA, 0.25)):
        claim_share(device, share)
    assert claimed == [pytest.approx(19 / 80)]


@pytest.fixture
def _as_before() -> Iterator[None]:
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = (cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32, matmul.allow_tf32)
    yield
    cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32, matmul.allow_tf32 = before


@pytest.mark.usefixtures("_as_before")
@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (None, (False, True, True, False)),
        ({"deterministic": False}, (True, False, True, False)),
        ({"tf32": "all"}, (False, True, True, True)),
        ({"tf32": "none"}, (False, True, False, False)),
        ({"compile": "default"}, (False, True, True, False)),
    ],
)
def test_what_libraries_may_do_is_set_and_not_left_to_a_default(
    spec: dict[str, Any] | None, expected: tuple[bool, ...]
) -> None:
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32, matmul.allow_tf32 = True, False, False, True
    set_arithmetic(None if spec is None else ArithmeticSpec.model_validate(spec))
    assert (cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32, matmul.allow_tf32) == expected
