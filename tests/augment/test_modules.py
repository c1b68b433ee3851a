"""The modules of a user's own loop, beside torchvision's and timm's."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset, default_collate
from torchvision import tv_tensors
from torchvision.transforms import v2

import augment
from augment import AUGMENTATIONS, ParameterError, modules, parameters
from augment.modules import CutMix, CutMixZetaMixup, Dirichlet, Erm, Mixing, MixUp, ZetaMixup, ZetaMixupRange

NUM_CLASSES = 5

CASES: list[Mixing] = [
    Erm(num_classes=NUM_CLASSES),
    MixUp(alpha=0.4, num_classes=NUM_CLASSES),
    MixUp(alpha=0.4, num_classes=NUM_CLASSES, per="sample", probability=0.5),
    CutMix(num_classes=NUM_CLASSES),
    CutMix(num_classes=NUM_CLASSES, per="sample"),
    ZetaMixup(num_classes=NUM_CLASSES),
    ZetaMixup(2.4, 4, num_classes=NUM_CLASSES),
    ZetaMixupRange(1.8, 4.0, 4, num_classes=NUM_CLASSES),
    CutMixZetaMixup(num_classes=NUM_CLASSES),
    modules.MixUpPSeries(2.4, num_classes=NUM_CLASSES),
    Dirichlet(num_classes=NUM_CLASSES),
    Mixing(augment.ZetaMixup(gamma=2.4, num_mixed=3), num_classes=NUM_CLASSES, probability=0.9),
]
every_module = pytest.mark.parametrize("module", CASES, ids=lambda module: f"{type(module).__name__} {module}")


def batch(size: int = 8) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.rand((size, 3, 6, 7), generator=generator), torch.randint(NUM_CLASSES, (size,), generator=generator)


def test_there_is_a_module_for_every_augmentation() -> None:
    assert {type(case).__name__ for case in CASES} >= {make.__name__ for make in AUGMENTATIONS.values()}
    assert set(modules.__all__) == {make.__name__ for make in AUGMENTATIONS.values()} | {"Mixing"}


@every_module
def test_images_keep_their_dtype_and_labels_become_distributions(module: Mixing) -> None:
    images, labels = batch()
    for dtype in (torch.float32, torch.bfloat16, torch.uint8):
        given = (255 * images).to(dtype) if dtype == torch.uint8 else images.to(dtype)
        before = given.clone()
        mixed, targets = module(given, labels)
        assert (mixed.shape, mixed.dtype) == (given.shape, dtype)
        assert (targets.shape, targets.dtype) == ((8, NUM_CLASSES), torch.float32)
        torch.testing.assert_close(targets.sum(1), torch.ones(8))
        assert torch.equal(given, before)


@every_module
@pytest.mark.parametrize("size", [0, 1, 2, 3])
def test_a_smaller_batch_is_mixed_with_what_it_has(module: Mixing, size: int) -> None:
    images, labels = batch(size)
    mixed, targets = module(images, labels)
    assert (mixed.shape, targets.shape) == (images.shape, (size, NUM_CLASSES))
    if size < 2:
        assert torch.equal(mixed, images)


@every_module
def test_soft_labels_are_mixed_and_need_no_number_of_classes(module: Mixing) -> None:
    images, labels = batch()
    hot = nn.functional.one_hot(labels, NUM_CLASSES)
    torch.manual_seed(3)
    expected = module(images, labels)
    for soft in (hot.float(), hot, hot.double()):
        torch.manual_seed(3)
        mixed, targets = Mixing(module.augmentation, probability=module.probability)(images, soft)
        assert torch.equal(mixed, expected[0])
        torch.testing.assert_close(targets.float(), expected[1])
        assert targets.dtype == (torch.float64 if soft.dtype == torch.float64 else torch.float32)


@every_module
def test_the_seed_of_torch_is_what_is_drawn_from(module: Mixing) -> None:
    images, labels = batch()
    found = []
    for seed in (1, 1, 2, 3, 4):
        torch.manual_seed(seed)
        found.append(module(images, labels)[0])
    assert torch.equal(found[0], found[1])
    assert isinstance(module, Erm) or any(not torch.equal(found[0], other) for other in found[2:])


@every_module
def test_a_module_can_be_sent_to_a_worker_and_has_no_state(module: Mixing) -> None:
    images, labels = batch()
    twin = pickle.loads(pickle.dumps(module))
    results = []
    for each in (module, twin):
        torch.manual_seed(5)
        results.append(each(images, labels)[0])
    assert torch.equal(*results)
    assert module.state_dict() == {}


@every_module
def test_mixing_can_be_switched_off_as_timms_is(module: Mixing) -> None:
    images, labels = batch()
    twin = pickle.loads(pickle.dumps(module))
    twin.mixup_enabled = False
    mixed, targets = twin(images, labels)
    assert torch.equal(mixed, images)
    assert torch.equal(targets.argmax(1), labels)
    assert targets.amax(1).eq(1).all()


def test_what_is_drawn_is_what_the_augmentation_makes_of_it() -> None:
    images, labels = batch()
    settings = augment.ZetaMixup(gamma=2.4, num_mixed=4)
    torch.manual_seed(7)
    found = Mixing(settings, num_classes=NUM_CLASSES)(images, labels)
    torch.manual_seed(7)
    generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
    expected = settings(images, labels, num_classes=NUM_CLASSES, generator=generator)
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1], expected[1])


def test_bytes_are_rounded_not_cut() -> None:
    images, labels = (255 * batch()[0]).to(torch.uint8), batch()[1]
    results = []
    for given in (images, images.float()):
        torch.manual_seed(2)
        results.append(MixUp(num_classes=NUM_CLASSES)(given, labels)[0])
    assert torch.equal(results[0], results[1].round().to(torch.uint8))


def nested() -> dict[str, Any]:
    images, labels = batch()
    return {
        "pictures": [tv_tensors.Image(images), torch.arange(8)],
        "meta": {"Labels": labels, "path": ["x"] * 8},
        "clip": tv_tensors.Video(images[:, None].expand(8, 2, 3, 6, 7)),
    }


@pytest.mark.parametrize("theirs", [v2.MixUp, v2.CutMix])
def test_a_nested_sample_comes_back_as_torchvision_gives_it_back(theirs: Callable[..., Any]) -> None:
    def getter(sample: dict[str, Any]) -> Tensor:
        labels: Tensor = sample["meta"]["Labels"]
        return labels

    expected = theirs(num_classes=NUM_CLASSES, labels_getter=getter)(nested())
    ours = getattr(modules, theirs.__name__)
    found = ours(num_classes=NUM_CLASSES, labels_getter=getter)(nested())
    assert found.keys() == expected.keys()
    assert type(found["pictures"]) is type(expected["pictures"])
    assert type(found["pictures"][0]) is type(expected["pictures"][0]) is tv_tensors.Image
    assert type(found["clip"]) is type(expected["clip"]) is tv_tensors.Video
    assert torch.equal(found["pictures"][1], torch.arange(8))
    assert found["meta"]["path"] == ["x"] * 8
    assert found["meta"]["Labels"].shape == expected["meta"]["Labels"].shape
    # The same draw for all of them.
    assert torch.equal(found["clip"][:, 0], found["pictures"][0])


@pytest.mark.parametrize(
    "sample",
    [
        lambda images, labels: (images, labels),
        lambda images, labels: [images, labels],
        lambda images, labels: (images, {"label": labels}),
        lambda images, labels: {"labels": labels, "image": images},
        lambda images, labels: (images, labels, ["a path"]),
    ],
)
def test_labels_are_found_where_torchvision_finds_them(sample: Callable[..., Any]) -> None:
    images, labels = batch()
    found = MixUp(num_classes=NUM_CLASSES)(sample(images, labels))
    assert type(found) is type(sample(images, labels))
    flat = [each for each in torch.utils._pytree.tree_leaves(found) if isinstance(each, Tensor)]
    assert sorted(tuple(each.shape) for each in flat) == [(8, 3, 6, 7), (8, NUM_CLASSES)] or len(flat) == 2


IMAGES, LABELS = batch()
REFUSED: list[tuple[tuple[Any, ...], str]] = [
    ((IMAGES, LABELS + 1), r"a label is 5: 0 to 4 are allowed with num_classes=5"),
    ((IMAGES, LABELS - 1), r"a label is -1: 0 to 4 are allowed"),
    ((IMAGES, LABELS.float()), r"labels are torch.float32 \[8\] and num_classes is 5: integers \[B\]"),
    ((IMAGES, LABELS > 2), r"labels are torch.bool \[8\]"),
    ((IMAGES, torch.rand(8, 4)), r"labels are torch.float32 \[8, 4\] and num_classes is 5"),
    ((IMAGES, LABELS[1:]), r"there are 8 images and 7 labels"),
    ((IMAGES[0], LABELS[:3]), r"images are \[3, 6, 7\]: \[B, C, H, W\]"),
    ((IMAGES.long(), LABELS), r"images are torch.int64: floating dtypes and uint8 are allowed"),
    ((IMAGES, [0, 1]), r"no labels were found"),
    (({"image": IMAGES, "target": LABELS},), r"no labels were found.*Pass a labels_getter"),
    (({"path": ["x"], "labels": LABELS},), r"the sample has no images"),
    ((IMAGES, LABELS, tv_tensors.Mask(IMAGES[:, 0])), r"the sample holds a Mask"),
]


@pytest.mark.parametrize(("inputs", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_what_does_not_fit_is_refused_by_a_sentence(inputs: tuple[Any, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        MixUp(num_classes=NUM_CLASSES)(*inputs)


def test_labels_that_are_integers_need_a_number_of_classes() -> None:
    with pytest.raises(ValueError, match=r"num_classes is None: .*Pass num_classes\."):
        MixUp()(IMAGES, LABELS)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: MixUp(alpha=0), "alpha"),
        (lambda: MixUp(per="samples"), "per"),  # type: ignore[arg-type]
        (lambda: MixUp(num_classes="10"), "num_classes"),  # type: ignore[arg-type]
        (lambda: MixUp(probability=1.5), "probability"),
        (lambda: MixUp(labels_getter=3), "labels_getter"),  # type: ignore[arg-type]
        (lambda: ZetaMixup(num_mixed=1), "num_mixed"),
        (lambda: ZetaMixup(num_mixed="all"), "num_mixed"),  # type: ignore[arg-type]
    ],
)
def test_a_setting_out_of_range_is_refused(make: Callable[[], Any], name: str) -> None:
    with pytest.raises(ParameterError, match=f"^{name}="):
        make()


def test_every_parameter_of_an_augmentation_is_one_of_its_module() -> None:
    for case in CASES:
        if type(case) is not Mixing:
            known = type(case).__init__.__annotations__
            assert set(parameters(type(case.augmentation))) <= set(known), type(case)


class Collate:
    """What a loader puts a batch together with."""

    def __init__(self, module: Mixing) -> None:
        self.module = module

    def __call__(self, samples: list[Any]) -> Any:
        return self.module(*default_collate(samples))


@pytest.mark.parametrize("module", [MixUp(num_classes=8), ZetaMixup(num_classes=8)], ids=str)
def test_each_worker_of_a_loader_draws_its_own(module: Mixing) -> None:
    data = TensorDataset(torch.arange(8.0).view(8, 1, 1, 1).repeat(4, 1, 1, 1), torch.arange(8).repeat(4))
    loader = DataLoader(data, batch_size=8, num_workers=2, collate_fn=Collate(module))
    torch.manual_seed(0)
    epochs = [[targets for _, targets in loader] for _ in range(2)]
    # Batches 0 and 2 are the first worker's, 1 and 3 the second's; all of them hold the same samples.
    assert len({tuple(targets.flatten().tolist()) for epoch in epochs for targets in epoch}) == 8
    torch.manual_seed(0)
    assert all(torch.equal(*pair) for pair in zip(epochs[0], [targets for _, targets in loader], strict=True))


# What stands in place of torchvision's, and what in place of timm's.
OURS: list[Callable[..., Mixing]] = [MixUp, CutMix, ZetaMixup]


@pytest.mark.parametrize("make_mixup", [v2.MixUp, *OURS])
def test_the_loop_of_torchvisions_references_trains_with_one_line_changed(make_mixup: Callable[..., Any]) -> None:
    """Mixed while the batch is put together, soft labels into the loss, the largest share counted as right."""
    torch.manual_seed(0)
    labels = torch.randint(3, (44,))
    # A class is the row that is bright.
    data = TensorDataset(torch.eye(8)[labels].view(-1, 1, 8, 1) + 0.1 * torch.randn(44, 1, 8, 8), labels)
    mixup = make_mixup(alpha=0.2, num_classes=3) if make_mixup is not ZetaMixup else make_mixup(num_classes=3)
    # The last batch is smaller.
    loader = DataLoader(data, batch_size=8, shuffle=True, collate_fn=lambda samples: mixup(*default_collate(samples)))
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 3))
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=2)
    losses = []
    for _ in range(2):
        model.train()
        total = 0.0
        for images, targets in loader:
            output = model(images)
            loss = criterion(output, targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            correct = output.argmax(1).eq(targets.max(dim=1)[1] if targets.ndim == 2 else targets)
            assert correct.shape == (len(images),)
            total += loss.item()
        schedule.step()
        losses.append(total)
    assert losses[1] < losses[0]
    model.eval()
    with torch.inference_mode():
        assert model(data.tensors[0]).argmax(1).eq(labels).float().mean() > 0.8


@pytest.mark.slow  # timm takes long to import
@pytest.mark.parametrize("make_mixup", OURS)
def test_the_module_stands_in_timms_place(make_mixup: Callable[..., Mixing]) -> None:
    timm_data = pytest.importorskip("timm.data", reason="timm is a tool of developers")
    from timm.loss import SoftTargetCrossEntropy

    images, labels = batch()
    for mixup_fn in (timm_data.Mixup(num_classes=NUM_CLASSES), make_mixup(num_classes=NUM_CLASSES)):
        mixed, targets = mixup_fn(images.clone(), labels)
        mixup_fn.mixup_enabled = False
        assert (mixed.shape, targets.shape) == (images.shape, (8, NUM_CLASSES))
        assert SoftTargetCrossEntropy()(torch.zeros(8, NUM_CLASSES), targets).isfinite()
        assert torch.equal(mixup_fn(images.clone(), labels)[0], images)


@pytest.mark.parametrize("within", [lambda combined: combined, lambda combined: augment.Sometimes(combined, 0.5)])
def test_what_changes_single_images_is_refused(within: Callable[[Any], Any]) -> None:
    combined = augment.Combined(augment.TrivialAugment(), augment.MixUp())
    with pytest.raises(ParameterError, match=r"one that mixes batches alone.*Give MixUp\(.*torchvision's v2"):
        Mixing(within(combined), num_classes=NUM_CLASSES)


def test_a_smaller_last_batch_is_mixed_with_as_many_as_it_has_also_by_chance() -> None:
    module = Mixing(augment.Sometimes(augment.ZetaMixup(2.4, 8), 0.5), num_classes=NUM_CLASSES)
    assert module(*batch(3))[1].shape == (3, NUM_CLASSES)
