"""What figures measure, on cases that are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.random import default_rng
from numpy.typing import NDArray
from scipy.linalg import sqrtm

from augment.reference import p_series_weights
from orchestrator.report.measures.blending import cross_entropy, effective_number, entropy, ghosting, second_weight
from orchestrator.report.measures.calibration import NUM_BINS, reliability
from orchestrator.report.measures.dimension import intrinsic_dimension, local_pca, maximum_likelihood
from orchestrator.report.measures.realism import frechet_distance
from orchestrator.train.metrics import compute_metrics

PCA, MLE = "local PCA (Fukunaga-Olsen, 0.05)", "maximum likelihood (Levina-Bickel)"


def manifold(dimension: int, *, num: int = 800, embedded_in: int = 60) -> NDArray[np.float32]:
    """Normally distributed points of a plane of such a dimension, which lies askew in space."""
    rng = default_rng(dimension)
    basis, _ = np.linalg.qr(rng.normal(size=(embedded_in, dimension)))
    points = rng.normal(size=(num, dimension)) @ basis.T + rng.normal(size=embedded_in)
    return np.asarray(points, dtype=np.float32)


@pytest.mark.parametrize("dimension", [1, 3, 8])
def test_a_plane_has_its_own_dimension_wherever_it_lies(dimension: int) -> None:
    found = intrinsic_dimension(manifold(dimension), num_neighbours=64)
    assert found[PCA] == pytest.approx(dimension, abs=0.01)
    # Towards the edge of a cloud, neighbours are on one side alone, and the distances look like those of fewer.
    assert found[MLE] == pytest.approx(dimension, rel=0.2)
    assert intrinsic_dimension(100 + manifold(dimension), num_neighbours=64)[PCA] == pytest.approx(found[PCA], abs=0.01)


def test_the_dimension_around_a_point_is_that_of_its_neighbours_alone() -> None:
    """Points on a line, far from each other, and a blob around each: there are as many directions as a blob has."""
    rng = default_rng(0)
    blobs = (rng.normal(size=(4, 100, 5)) + 1000 * np.arange(4)[:, None, None]).reshape(400, 5).astype(np.float32)
    assert intrinsic_dimension(blobs, num_neighbours=32, num_centres=50)[PCA] == pytest.approx(5, abs=0.1)


def test_the_estimators_are_as_their_papers_have_them() -> None:
    near = default_rng(1).normal(size=(3, 20, 7)).astype(np.float32)
    for row, points in enumerate(near.astype(float)):
        variances = np.sort(np.linalg.eigvalsh(np.cov(points.T)))[::-1]
        assert local_pca(near)[row] == sum(variances > 0.05 * variances[0])
        distances = np.sort(np.linalg.norm(points, axis=1))
        inverse = np.mean([np.log(distances[-1] / each) for each in distances[:-1]])
        assert maximum_likelihood(near)[row] == pytest.approx(1 / inverse, rel=1e-5)


def test_images_that_are_there_twice_have_no_distance_and_tell_nothing() -> None:
    points = manifold(3)
    twice = np.concatenate([points, points[:400]])
    found = intrinsic_dimension(twice, num_neighbours=64)
    assert found[MLE] == pytest.approx(intrinsic_dimension(points, num_neighbours=64)[MLE], rel=0.1)
    assert np.isnan(maximum_likelihood(np.zeros((1, 5, 2), dtype=np.float32))).all()


@pytest.mark.parametrize("num_neighbours", [1, 20, 30])
def test_there_must_be_so_many_neighbours(num_neighbours: int) -> None:
    with pytest.raises(ValueError, match=f"num_neighbours={num_neighbours}"):
        intrinsic_dimension(manifold(2, num=20), num_neighbours=num_neighbours)


@pytest.mark.parametrize(
    ("weights", "ghosts", "second", "number"),
    [
        ([1.0, 0.0, 0.0], 0.0, 0.0, 1.0),
        ([0.5, 0.5, 0.0], 0.5, 0.5, 2.0),
        ([0.25, 0.25, 0.25, 0.25], 0.75, 0.25, 4.0),
        # 0.36 + 0.09 + 0.01 = 0.46
        ([0.3, 0.1, 0.6], 1 - 0.36 / 0.46, 0.3, 1 / 0.46),
        # Fig. 1d of the paper: γ = 2.4 and N = 4.
        (p_series_weights(4, 2.4), 0.0406, 0.1461, 1.6139),
    ],
)
def test_ghosting_by_hand(weights: list[float], ghosts: float, second: float, number: float) -> None:
    # Two outputs, so that means over outputs are not means over weights.
    tensor = torch.tensor([weights, weights])
    assert ghosting(tensor).tolist() == pytest.approx([ghosts] * 2, abs=1e-4)
    assert second_weight(tensor).tolist() == pytest.approx([second] * 2, abs=1e-4)
    assert effective_number(tensor).tolist() == pytest.approx([number] * 2, abs=1e-3)


def test_a_label_is_right_where_it_is_what_is_predicted() -> None:
    targets = torch.tensor([[0.7, 0.2, 0.1], [1.0, 0.0, 0.0]])
    assert entropy(targets).tolist() == pytest.approx([0.8018, 0.0], abs=1e-4)
    assert torch.allclose(cross_entropy(targets, targets.clamp(min=1e-12).log()), entropy(targets), atol=1e-6)
    # -0.7 log 0.1 - 0.2 log 0.2 - 0.1 log 0.7
    turned = torch.tensor([[0.1, 0.2, 0.7]]).log() + 5
    assert cross_entropy(targets[:1], turned).tolist() == pytest.approx([1.9694], abs=1e-4)


@pytest.mark.parametrize(("num", "features"), [(400, 6), (20, 50)])
def test_the_frechet_distance_is_that_of_its_formula(num: int, features: int) -> None:
    """Also where there are fewer images than features, and no covariance has an inverse."""
    rng = default_rng(3)
    one, other = rng.normal(size=(num, features)), 0.5 + 2 * rng.normal(size=(num + 7, features))
    covariances = np.cov(one.T), np.cov(other.T)
    root = sqrtm(covariances[0] @ covariances[1] + 1e-12 * np.eye(features)).real
    shift = one.mean(axis=0) - other.mean(axis=0)
    expected = shift @ shift + np.trace(covariances[0] + covariances[1] - 2 * root)
    assert frechet_distance(one, other) == pytest.approx(expected, rel=1e-3)
    assert frechet_distance(other, one) == pytest.approx(frechet_distance(one, other), rel=1e-9)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(one, one + 1) == pytest.approx(features, rel=1e-9)


def test_the_calibration_error_is_that_of_the_metric() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = 4 * torch.randn(500, 3, generator=generator)
    logits[:40] *= 100  # probabilities of exactly 1
    labels = torch.randint(3, (500,), generator=generator)
    confidence, predicted = logits.softmax(dim=1).max(dim=1)
    found = reliability(confidence.numpy(), (predicted == labels).numpy())
    expected = compute_metrics(logits, labels, num_classes=3)["ece"]
    assert found.calibration_error == pytest.approx(expected, abs=1e-6)
    assert (found.counts.sum(), len(found.counts)) == (500, NUM_BINS)
    assert np.isnan(found.accuracy[found.counts == 0]).all()


def test_fewer_images_than_centres_are_all_centres() -> None:
    images = np.random.default_rng(0).normal(size=(150, 5)).astype(np.float32)
    assert intrinsic_dimension(images, num_centres=400) == intrinsic_dimension(images)
