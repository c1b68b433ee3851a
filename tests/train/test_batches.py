from __future__ import annotations

from collections import Counter
from functools import partial
from itertools import combinations, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor

from orchestrator.errors import CellError
from orchestrator.train.batches import epoch_order, gathered_order, shard_batches
from orchestrator.train.class_weights import balanced_class_weights
from orchestrator.train.seeds import AUGMENT, MODEL, ORDER, derive_seed


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def order_of(epoch: int = 1, *, num_samples: int = 50, rank: int = 0, world_size: int = 1, seed: int = 0) -> Tensor:
    return epoch_order(
        num_samples, batch_size_per_worker=8 // world_size, seed=seed, epoch=epoch, rank=rank, world_size=world_size
    )


def test_seeds_of_all_streams_differ() -> None:
    streams = (ORDER, AUGMENT, MODEL)
    paths = [(MODEL,), *product(streams, range(4)), *product(streams, range(4), range(4))]
    seeds = Counter(derive_seed(seed, *path) for seed in (0, 1, 2, 2**32 - 1) for path in paths)
    assert max(seeds.values()) == 1
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_seed_of_a_stream_never_changes() -> None:
    # Finished cells are recognised by their key: the same key must go on meaning the same numbers.
    assert derive_seed(0, ORDER, 1) == 7449029282396566744
    assert derive_seed(3, AUGMENT, 2, 1) == 716820597967197754


@given(num_samples=st.integers(1, 60), per_worker=st.integers(1, 8), world_size=st.integers(1, 4))
@settings(deadline=None, max_examples=50)
def test_ranks_share_the_global_batches_of_a_shuffle(num_samples: int, per_worker: int, world_size: int) -> None:
    steps = num_samples // (per_worker * world_size)
    order = partial(epoch_order, num_samples, seed=0, epoch=1)
    if steps == 0:
        with pytest.raises(CellError, match=f"has {num_samples} image"):
            order(batch_size_per_worker=per_worker, rank=0, world_size=world_size)
        return
    ranks = [order(batch_size_per_worker=per_worker, rank=rank, world_size=world_size) for rank in range(world_size)]
    alone = order(batch_size_per_worker=per_worker * world_size, rank=0, world_size=1)
    assert all(rank.shape == (steps, per_worker) and rank.dtype == torch.int64 for rank in ranks)
    assert torch.equal(torch.cat(ranks, dim=1), alone)
    assert len(alone.unique()) == alone.numel()
    assert 0 <= int(alone.min()) <= int(alone.max()) < num_samples


def test_order_depends_on_seed_and_epoch_alone() -> None:
    orders = [order_of(epoch, seed=seed) for epoch, seed in product((1, 2, 3), (0, 1))]
    torch.manual_seed(99)
    assert torch.equal(order_of(1), orders[0])
    assert not any(torch.equal(one, other) for one, other in combinations(orders, 2))


def test_every_sample_gets_its_turn_although_each_epoch_leaves_some_out() -> None:
    orders = [order_of(epoch) for epoch in range(1, 9)]
    assert all(order.numel() == 48 for order in orders)
    assert len(torch.cat(orders).unique()) == 50


@given(num_samples=st.integers(0, 40), batch_size=st.integers(1, 9), world_size=st.integers(1, 5))
@settings(deadline=None, max_examples=50)
def test_evaluation_shards_hold_every_sample_once(num_samples: int, batch_size: int, world_size: int) -> None:
    ranks = [
        list(shard_batches(num_samples, batch_size=batch_size, rank=rank, world_size=world_size))
        for rank in range(world_size)
    ]
    assert all(ranks), "also a rank without samples has a batch, of none"
    batches = [batch for rank in ranks for batch in rank]
    assert sorted(torch.cat(batches).tolist()) == list(range(num_samples))
    assert torch.equal(torch.cat(batches), gathered_order(num_samples, world_size=world_size))
    assert max(len(batch) for batch in batches) <= batch_size
    sizes = [sum(map(len, rank)) for rank in ranks]
    assert max(sizes) - min(sizes) <= 1


def test_class_weights_are_those_of_scikit_learn() -> None:
    labels = torch.tensor([0] * 70 + [1] * 20 + [2] * 10)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels.numpy())
    np.testing.assert_allclose(balanced_class_weights(labels, 3).numpy(), expected, rtol=1e-6)


def test_balanced_sampling_makes_classes_equally_frequent() -> None:
    labels = torch.tensor([0] * 900 + [1] * 90 + [2] * 10)
    weights = balanced_class_weights(labels, 3)[labels]
    orders = [
        epoch_order(
            1000, batch_size_per_worker=25, seed=0, epoch=epoch, rank=rank, world_size=2, sample_weights=weights
        )
        for epoch in range(1, 31)
        for rank in (0, 1)
    ]
    assert {order.shape for order in orders} == {(20, 25)}
    drawn = labels[torch.cat(orders).flatten()].bincount() / (30 * 1000)
    # Binomial: a standard deviation of 0.0027.
    assert (drawn - 1 / 3).abs().max() < 0.014
    again = epoch_order(1000, batch_size_per_worker=25, seed=0, epoch=1, rank=0, world_size=2, sample_weights=weights)
    assert torch.equal(again, orders[0])
    assert not torch.equal(orders[1], orders[0])


def test_balanced_sampling_of_many_images_is_not_rounded() -> None:
    labels = torch.arange(3).repeat_interleave(torch.tensor([969_000, 21_000, 10_000]))
    # Of the frequent class each weighs 0.344, which is 5.5 times what float32 tells apart in sums above 524,288.
    labels = labels[torch.randperm(len(labels), generator=generator())]
    drawn = drawn_in(1, balanced_class_weights(labels, 3)[labels])
    # Binomial: a standard deviation of 0.0005.
    assert (labels[drawn].bincount() / len(drawn) - 1 / 3).abs().max() < 0.0025


def test_seeds_of_few_images_draw_in_float32_as_ever() -> None:
    labels = torch.tensor([0] * 1500 + [1] * 400 + [2] * 100)
    weights = balanced_class_weights(labels, 3)[labels]
    for epoch in range(1, 11):
        expected = torch.multinomial(weights, 2000, replacement=True, generator=generator(derive_seed(0, ORDER, epoch)))
        assert torch.equal(drawn_in(epoch, weights), expected)


def drawn_in(epoch: int, weights: Tensor) -> Tensor:
    size = len(weights)
    order = epoch_order(
        size, batch_size_per_worker=size, seed=0, epoch=epoch, rank=0, world_size=1, sample_weights=weights
    )
    return order.flatten()
