"""`resources.compile`: the same numbers within rounding, and nothing is compiled again for a cell of the same kind."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from cuda_cells import BATCH_SIZE, ZETA, cell_of, dataset_of
from rank_processes import run_ranks
from torch import Tensor, nn
from trainings import CPU, REQUIRED

from augment import AUGMENTATIONS
from orchestrator.errors import CellError
from orchestrator.experiment.arithmetic_spec import ArithmeticSpec
from orchestrator.experiment.augment_spec import AugmentSpec
from orchestrator.experiment.cells import Cell
from orchestrator.train.forward import compiled_loss
from orchestrator.train.learner import Learner
from orchestrator.train.ranks import Ranks

COMPILED = ArithmeticSpec(compile="default")


class Counting:
    """Compiles nothing, and counts what it is asked to compile."""

    def __init__(self) -> None:
        self.graphs = 0

    def __call__(self, graph: Callable[..., Any], inputs: list[Tensor]) -> Callable[..., Any]:
        self.graphs += 1
        return graph


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """What other tests have compiled is forgotten, and what this one does is, too."""
    compiled_loss.cache_clear()
    torch._dynamo.reset()
    yield
    compiled_loss.cache_clear()
    torch._dynamo.reset()


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    """Tracing as it is, without the compiler behind it, which takes long on a CPU."""
    counting, compile_ = Counting(), torch.compile

    def traced(run: Callable[..., Any], *, mode: str, dynamic: bool) -> Any:
        assert mode == "default"
        return compile_(run, backend=counting, dynamic=dynamic)

    monkeypatch.setattr(torch, "compile", traced)
    return counting


def losses(cell: Cell, *, epochs: int = 1) -> list[float]:
    """The losses of two steps of each epoch."""
    dataset = dataset_of(BATCH_SIZE)
    learner = Learner(cell, dataset, device=CPU, ranks=Ranks(CPU), backend="auto", steps_per_epoch=2)
    generator = torch.Generator().manual_seed(0)
    found = []
    for epoch in range(1, epochs + 1):
        learner.begin_epoch(epoch)
        found += [float(learner.step(dataset.images, dataset.train.labels, generator)) for _ in range(2)]
    return found


def compiled(augment: AugmentSpec = ZETA, **settings: Any) -> Cell:
    return cell_of(augment, **settings).model_copy(update={"arithmetic": COMPILED})


def test_cells_of_one_shape_share_what_is_compiled(counting: Counting) -> None:
    usual = losses(cell_of(precision="fp32"))
    assert counting.graphs == 0
    assert losses(compiled(precision="fp32")) == pytest.approx(usual, rel=1e-5)
    assert counting.graphs == 1
    losses(compiled(precision="fp32", lr=0.01).model_copy(update={"seed": 1}))
    assert counting.graphs == 1, "another seed and another rate are another network, of the same kind"
    losses(compiled(ZETA.model_copy(update={"params": {"gamma": 2.0, "num_mixed": 4}}), precision="fp32"))
    assert counting.graphs == 1, "γ is no constant of what is compiled"
    losses(compiled(ZETA.model_copy(update={"params": {"gamma": 2.8, "num_mixed": 3}}), precision="fp32"))
    assert counting.graphs == 2, "other shapes"


def test_what_cannot_be_compiled_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise RuntimeError("no C++ compiler")

    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", lambda run, **_: compile_(run, backend=refuse))
    with pytest.raises(CellError, match=r"the step cannot be compiled: .*no C\+\+ compiler") as refused:
        losses(compiled())
    assert "resources.compile to off" in refused.value.in_full


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_every_augmentation_is_compiled_whole(name: str, precision: str, counting: Counting) -> None:
    augment = AugmentSpec(name=name, params=REQUIRED.get(name, {}))
    settings = {"precision": precision, "transform": {"crop_padding": 1, "hflip": True}}
    usual = losses(cell_of(augment, **settings))
    assert losses(compiled(augment, **settings)) == pytest.approx(usual, rel=1e-5 if precision == "fp32" else 0.02)
    assert counting.graphs == 1


def compiled_on_each_rank(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    cells = (cell_of(precision="fp32"), compiled(precision="fp32"))
    found = [losses(cell.model_copy(update={"workers": 2})) for cell in cells]
    (folder / f"{rank}.json").write_text(json.dumps(found))


@pytest.mark.slow
def test_ranks_compile_the_same_step(tmp_path: Path) -> None:
    run_ranks(compiled_on_each_rank, tmp_path, world_size=2)
    for rank in (0, 1):
        usual, found = json.loads((tmp_path / f"{rank}.json").read_text())
        assert found == pytest.approx(usual, rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["convnet", "resnet18"])
def test_torch_s_compiler_gives_the_same_numbers_and_compiles_once(model: str) -> None:
    usual = losses(cell_of(model=model, precision="fp32", mixing_off_epochs=1), epochs=2)
    cell = compiled(model=model, precision="fp32", mixing_off_epochs=1)
    assert losses(cell, epochs=2) == pytest.approx(usual, rel=1e-3)
    stats = torch._dynamo.utils.counters["stats"]
    before = stats["unique_graphs"]
    assert before == 2, "mixed, and not mixed"
    again = losses(cell, epochs=2)
    assert losses(cell, epochs=2) == again, "the same bits"
    assert stats["unique_graphs"] == before


@pytest.mark.usefixtures("counting")
def test_a_network_with_code_that_is_not_traced_is_trained_all_the_same() -> None:
    class Odd(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            torch._dynamo.graph_break()
            return images

    cell, dataset = compiled(precision="fp32"), dataset_of(BATCH_SIZE)
    learner = Learner(cell, dataset, device=CPU, ranks=Ranks(CPU), backend="auto", steps_per_epoch=2)
    learner._model = nn.Sequential(Odd(), learner.module)
    loss = learner.step(dataset.images, dataset.train.labels, torch.Generator().manual_seed(0))
    assert float(loss) == pytest.approx(losses(cell_of(precision="fp32"))[0], rel=1e-5)
