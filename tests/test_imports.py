"""Imports point one way, and heavy libraries stay where they belong."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Each module may import those before it. A folder stands for all that is in it.
ORDER = [
    "augment.weights",
    "augment.pixels",
    "augment.colors",
    "augment.crops",
    "augment.transforms",
    "augment.layout",
    "augment.tiles",
    "augment.reference",
    "augment.kernel",
    "augment.mixing",
    "augment.contract",
    "augment.blend",
    "augment.zeta",
    "augment.baselines",
    "augment.cutmix",
    "augment",
    "orchestrator",
    "orchestrator.errors",
    "orchestrator.exit_codes",
    "orchestrator.credentials",
    "orchestrator.amounts",
    "orchestrator.diagnosis",
    "orchestrator.records",
    "orchestrator.data",
    "orchestrator.models",
    "orchestrator.metrics",
    "orchestrator.checkpoint",
    "orchestrator.audit",
    "orchestrator.batches",
    "orchestrator.feed",
    "orchestrator.ranks",
    "orchestrator.lookout",
    "orchestrator.fields",
    "orchestrator.dataset_spec",
    "orchestrator.config",
    "orchestrator.cells",
    "orchestrator.findings",
    "orchestrator.yaml_file",
    "orchestrator.axes",
    "orchestrator.augment_axis",
    "orchestrator.experiment_file",
    "orchestrator.optimizers",
    "orchestrator.journal",
    "orchestrator.storage",
    "orchestrator.learner",
    "orchestrator.trainer",
    "orchestrator.train_cli",
    "orchestrator.train",
    "orchestrator.preemption",
    "orchestrator.provenance",
    "orchestrator.ownership",
    "orchestrator.logged_model",
    "orchestrator.schema",
    "orchestrator.mlflow_store",
    "orchestrator.sweep_run",
    "orchestrator.tracking",
    "orchestrator.delivery",
    "orchestrator.mailbox",
    "orchestrator.rendezvous",
    "orchestrator.worker",
    "orchestrator.slot",
    "orchestrator.quiet",
    "orchestrator.interruption",
    "orchestrator.progress",
    "orchestrator.cluster",
    "orchestrator.prepare",
    "orchestrator.plan",
    "orchestrator.sweep",
    "orchestrator.contrast",
    "orchestrator.compare",
    "orchestrator.formats",
    "orchestrator.select",
    "orchestrator.report",
    "orchestrator.session",
    "orchestrator.upkeep",
    "orchestrator.leftovers",
    "orchestrator.nodes",
    "orchestrator.environment_check",
    "orchestrator.doctor",
    "orchestrator.options",
    "orchestrator.data_cli",
    "orchestrator.cli",
    "orchestrator.__main__",
]
CONFIG = ORDER[ORDER.index("orchestrator.fields") : ORDER.index("orchestrator.experiment_file") + 1]
# What the training loop needs: it also runs on machines that have torch and little else.
TRAINING = [place for place in ORDER[: ORDER.index("orchestrator.train") + 1] if place not in CONFIG]


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    name_of(path): path for package in ("augment", "orchestrator") for path in sorted((ROOT / package).rglob("*.py"))
}


def place_of(module: str) -> str | None:
    """The entry of ORDER that `module` stands under."""
    if module in ORDER:
        return module
    parent = module.rpartition(".")[0]
    return parent if parent in ORDER and parent not in ("augment", "orchestrator") else None


def imports(tree: ast.AST, importer: str) -> Iterator[str]:
    """Every module that is imported anywhere in `tree`, inside functions and under TYPE_CHECKING, too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{importer} imports relatively; write the whole name"
            assert node.module is not None
            members = [f"{node.module}.{alias.name}" for alias in node.names]
            own = [member for member in members if member in MODULES]
            yield from own
            if len(own) < len(members):
                yield node.module


def tree_of(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(), filename=str(MODULES[module]))


def runtime_imports(module: str) -> set[str]:
    """What importing `module` imports directly: neither what is under TYPE_CHECKING nor what is in a function."""

    class Runtime(ast.NodeTransformer):
        def visit_If(self, node: ast.If) -> ast.AST | None:
            return None if ast.unparse(node.test) == "TYPE_CHECKING" else self.generic_visit(node)

        def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
            return None

    return set(imports(Runtime().visit(tree_of(module)), module))


def test_all_packages_are_seen() -> None:
    assert {"augment.zeta", "orchestrator.data", "orchestrator.config", "orchestrator.train"} <= MODULES.keys()


@pytest.mark.parametrize("module", MODULES)
def test_module_has_a_place(module: str) -> None:
    assert place_of(module) is not None, f"{module} has no place in the import order: put it into ORDER"


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_one_way(module: str) -> None:
    here = place_of(module)
    assert here is not None
    own = {name for name in imports(tree_of(module), module) if name.split(".")[0] in ("augment", "orchestrator")}
    unknown = {name for name in own if place_of(name) is None}
    assert unknown == set()
    wrong = {name for name in own if ORDER.index(place_of(name) or "") > ORDER.index(here)}
    assert wrong == set(), f"{module} stands before what it imports"


@pytest.mark.parametrize("module", [module for module in MODULES if module.split(".")[0] == "augment"])
def test_augment_needs_torch_only(module: str) -> None:
    allowed = {*sys.stdlib_module_names, "torch", "triton", "augment"}
    assert {name.split(".")[0] for name in imports(tree_of(module), module)} <= allowed


@pytest.mark.parametrize(
    ("library", "importers"),
    [
        (
            "mlflow",
            {
                "orchestrator.logged_model",
                "orchestrator.mlflow_store",
                "orchestrator.sweep_run",
                "orchestrator.tracking",
                "orchestrator.upkeep",
            },
        ),
        (
            "ray",
            {
                "orchestrator.cluster",
                "orchestrator.nodes",
                "orchestrator.rendezvous",
                "orchestrator.slot",
                "orchestrator.sweep",
                "orchestrator.worker",
            },
        ),
        ("yaml", {"orchestrator.findings", "orchestrator.yaml_file"}),
    ],
)
def test_library_has_its_importers(library: str, importers: set[str]) -> None:
    found = {
        module for module in MODULES if library in {name.split(".")[0] for name in imports(tree_of(module), module)}
    }
    assert found == importers


@pytest.mark.parametrize("module", [module for module in MODULES if place_of(module) in TRAINING])
def test_training_reads_no_configuration_when_imported(module: str) -> None:
    roots = {name for name in runtime_imports(module) if place_of(name) in CONFIG or name.split(".")[0] == "pydantic"}
    assert roots == set()


@pytest.mark.parametrize(
    ("modules", "absent"),
    [
        ("orchestrator.train", ["ray", "mlflow", "pydantic", "yaml", "click", "rich", "sklearn"]),
        # What takes seconds to import and a mistake in a file must not wait for.
        (
            "orchestrator.experiment_file, orchestrator.cells",
            ["ray", "mlflow", "torchvision", "sklearn", "torchmetrics"],
        ),
    ],
)
def test_import_works_without(modules: str, absent: list[str]) -> None:
    # None in sys.modules makes the import of a library fail as if it were not installed.
    code = f"import sys\nfor name in {absent!r}: sys.modules[name] = None\nimport {modules}"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
