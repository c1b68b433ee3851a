"""`resources.compile`: the same numbers within rounding, and nothing is compiled again for a cell of the same kind."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from cuda_cells import BATCH_SIZE, ZETA, cell_of, dataset_of
from rank_processes import run_ranks
from torch import Tensor, nn
from trainings import CPU, REQUIRED

from augment import AUGMENTATIONS, SINGLE_IMAGES
from orchestrator.errors import CellError
from orchestrator.experiment.arithmetic_spec import ArithmeticSpec
from orchestrator.experiment.augment_spec import AugmentSpec
from orchestrator.experiment.cells import Cell
from orchestrator.experiment.combine_spec import CombineSpec
from orchestrator.train.compiling import MAX_RECORDED, RecordedGraphs
from orchestrator.train.compiling import compiled as compiled_run
from orchestrator.train.forward import ForwardPass
from orchestrator.train.learner import Learner
from orchestrator.train.ranks import Ranks

COMPILED = ArithmeticSpec(compile="default")


class Counting:
    """Compiles nothing, and counts what it is asked to compile."""

    def __init__(self) -> None:
        self.graphs = 0
        self.options: list[dict[str, Any]] = []

    def __call__(self, graph: Callable[..., Any], inputs: list[Tensor]) -> Callable[..., Any]:
        self.graphs += 1
        return graph


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """What other tests have compiled is forgotten, and what this one does is, too."""
    compiled_run.cache_clear()
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    yield
    compiled_run.cache_clear()
    torch._dynamo.reset()


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    """Tracing as it is, without the compiler behind it, which takes long on a CPU."""
    counting, compile_ = Counting(), torch.compile

    def traced(run: Callable[..., Any], *, options: dict[str, Any], dynamic: bool) -> Any:
        counting.options.append(options)
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


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"compile": "default"}, {"deterministic": True}),
        ({"compile": "default", "deterministic": False}, {"deterministic": False}),
        (
            {"compile": "max-autotune", "deterministic": False},
            {"max_autotune": True, "coordinate_descent_tuning": True, "deterministic": False},
        ),
    ],
    ids=lambda value: "-".join(map(str, value.values())),
)
def test_kernels_are_chosen_by_their_speed_only_where_bits_need_not_repeat(
    values: dict[str, Any], expected: dict[str, Any], counting: Counting
) -> None:
    losses(cell_of(precision="fp32").model_copy(update={"arithmetic": ArithmeticSpec.model_validate(values)}))
    assert counting.options == [expected]


def refuse(*_: Any) -> Any:
    raise RuntimeError("no C++ compiler")


def refuse_backward(graph: Any, inputs: Any) -> Any:
    """Compile the forward pass, and leave the backward pass to the moment at which it is run, as torch's own does."""
    from torch._dynamo.backends.common import aot_autograd
    from torch._functorch.compilers import nop

    return aot_autograd(fw_compiler=nop, bw_compiler=refuse)(graph, inputs)


@pytest.mark.parametrize("backend", [refuse, refuse_backward])
def test_what_cannot_be_compiled_is_a_sentence(backend: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", lambda run, **_: compile_(run, backend=backend))
    with pytest.raises(CellError, match=r"the step cannot be compiled: .*no C\+\+ compiler") as refused:
        losses(compiled())
    assert "resources.compile to off" in refused.value.in_full


def test_also_of_a_later_step_of_another_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_, failing = torch.compile, list[bool]()

    def some(graph: Any, _: Any) -> Any:
        return refuse() if failing else graph

    monkeypatch.setattr(torch, "compile", lambda run, **_: compile_(run, backend=some, dynamic=False))
    dataset, cell = dataset_of(BATCH_SIZE), compiled(precision="fp32")
    learner = Learner(cell, dataset, device=CPU, ranks=Ranks(CPU), backend="auto", steps_per_epoch=2)
    generator = torch.Generator().manual_seed(0)
    learner.step(dataset.images, dataset.train.labels, generator)
    failing.append(True)
    learner.augment = AugmentSpec(name="zeta_mixup", params={"gamma": 2.8, "num_mixed": 3}).build(backend="auto")
    with pytest.raises(CellError, match="the step cannot be compiled"):
        learner.step(dataset.images, dataset.train.labels, generator)


def test_what_fails_while_nothing_is_compiled_is_no_matter_of_compiling(
    counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = dataset_of(BATCH_SIZE)
    learner = Learner(compiled(), dataset, device=CPU, ranks=Ranks(CPU), backend="auto", steps_per_epoch=2)

    def broken(*_: Any) -> None:
        raise RuntimeError("of the network's own")

    monkeypatch.setattr(Tensor, "backward", broken)
    with pytest.raises(RuntimeError, match="own"):
        learner.step(dataset.images, dataset.train.labels, torch.Generator().manual_seed(0))
    assert counting.graphs == 1


def test_the_backward_pass_says_that_it_is_compiled(said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._dynamo.backends.common import aot_autograd
    from torch._functorch.compilers import nop

    def slow(graph: Any, inputs: Any) -> Any:
        said.clear()
        time.sleep(0.5)
        return nop(graph, inputs)

    compile_, backend = torch.compile, aot_autograd(fw_compiler=nop, bw_compiler=slow)
    monkeypatch.setattr(torch, "compile", lambda run, **_: compile_(run, backend=backend))
    losses(compiled(precision="fp32"))
    assert any("waiting for torch.compile to compile the step" in line for line in said)


def test_graphs_of_networks_before_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    resets: list[None] = []
    monkeypatch.setattr("orchestrator.train.forward.RECORDED_GRAPHS", RecordedGraphs())
    monkeypatch.setattr(torch.compiler, "reset", lambda: resets.append(None))
    found = []
    for _ in range(2 * MAX_RECORDED + 1):
        ForwardPass(COMPILED, cuda_graphs=True)
        ForwardPass(COMPILED, cuda_graphs=False)
        ForwardPass(None, cuda_graphs=True)
        found.append(len(resets))
    assert found == [0] * MAX_RECORDED + [1] * MAX_RECORDED + [2]


@pytest.mark.parametrize("name", SINGLE_IMAGES)
def test_what_is_drawn_for_single_images_compiles_nothing_anew(name: str, counting: Counting) -> None:
    params = {"rand_augment": {"num_ops": 2, "magnitude": 9}, "auto_augment": {"policy": "cifar10"}}.get(name, {})
    augment = ZETA.model_copy(update={"combine": CombineSpec(name=name, params=params)})
    settings = {"precision": "fp32", "epochs": 4}
    usual = losses(cell_of(augment, **settings), epochs=4)
    assert losses(compiled(augment, **settings), epochs=4) == pytest.approx(usual, rel=1e-5)
    assert counting.graphs == 1


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
    # With the usual rate two threads make the fourth loss of ResNet-18 1.57 of so few images, and one thread 0.06.
    settings: dict[str, Any] = {"model": model, "precision": "fp32", "mixing_off_epochs": 1, "lr": 1e-3}
    usual, cell = losses(cell_of(**settings), epochs=2), compiled(**settings)
    assert losses(cell, epochs=2) == pytest.approx(usual, rel=1e-3)
    again = losses(cell, epochs=2)
    assert losses(cell, epochs=2) == again, "the same bits"
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 2, "mixed, and not mixed"


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
