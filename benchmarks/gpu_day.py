"""Everything that only a GPU can say, step by step, each in a box of time, in less than nine minutes altogether.

Run on a host with a GPU, or with ``--smoke`` on any::

    benchmarks/gpu_day.sh [--out FOLDER] [--wheels FOLDER] [--data-dir DIR] [--only STAGE]... [--seconds S] [--smoke]

In this order, the most valuable first:

* ``tests``: ``pytest -m gpu``, in four steps: what a missing package ends is one of them.
* ``training``: the images per second of a training, against a constant batch and torchvision's way (`gpu_training.py`).
* ``sweep``: a sweep with Ray and MLflow on the one GPU (`gpu_sweep.py`).
* ``mixing``: mixing against its rivals, and the launch settings of the kernels.
* With the time that is left, ``more``: gathering against the product, and cells per hour of one slot and of four; and
  ``cifar10``: CIFAR-10 and what the published column would cost (`gpu_cifar10.py`).

The boxes of all but the last two fit into the nine minutes together; with ``--only`` they grow into the time, and
``--only cifar10 --seconds 300`` is a call of its own for what was not reached. A step writes its JSON to FOLDER after
each figure, so that one whose time is up leaves what it has; ``gpu_day.json`` there says how each ended, how long it
took and what was left out, and why, and of tests those that passed until then. No process is left behind. What a stage
needs and the host lacks is installed from the wheels in ``--wheels``, which may be given several times, into a folder
of its own; a wheel may lie there in parts (``split -b 60M``: NAME.whl.part-aa, ...).

``--smoke`` runs every stage on the CPU with tiny sizes, two at a time: that nothing is broken on the day. Its figures
say nothing, and no bar is judged. Exit code 1: a test failed, a step did not end well, or a package that it needs is
not there; a bar that is not met is a figure.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import Any

from boxed import adopt_orphans, end_all, run_boxed

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
LIMIT_S = 530.0
# Of a smoke test, which is no measurement: it ends, however busy the machine is.
SMOKE_LIMIT_S = 800.0
# In less, nothing is found.
LEAST_S = 30.0
TAIL = 4000
# What the training imports beside torch.
OF_TRAINING = (
    "numpy",
    "pydantic",
    "yaml",
    "click",
    "filelock",
    "psutil",
    "torchmetrics",
    "PIL",
    "sklearn",
    "torchvision",
)
OF_SWEEPS = (*OF_TRAINING, "ray", "mlflow", "pandas", "rich")
# Files, seconds and packages of each step; one process for each folder of tests, which imports its conftest.py at once.
GPU_TESTS = {
    "on_a_gpu": (("tests/train/test_on_a_gpu.py",), 105, OF_TRAINING),
    # Most of their time the kernels are compiled.
    "kernels": (
        ("tests/augment/test_kernel.py", "tests/augment/test_contract.py", "tests/augment/test_transforms.py"),
        60,
        (),
    ),
    "steps": (
        (
            "tests/train/test_feed.py",
            "tests/train/test_train.py",
            "tests/train/test_steps_on_fake_cuda.py",
            "tests/train/test_timed.py",
        ),
        45,
        OF_TRAINING,
    ),
    "models": (("tests/tracking/test_image_classifier.py",), 30, (*OF_TRAINING, "mlflow", "pandas")),
}
PROCESSES = 8
RAY_ENDS_S, AFTER_LAST_EPOCH_S = 15.0, 20.0


@dataclass(frozen=True)
class Step:
    """One command.

    Attributes:
        name: Of its JSON, too.
        command: After the interpreter. It takes ``--json PATH``, unless it is pytest, and without a box ``--seconds``.
        box_s: How long it may take; None for as long as there is time.
        needs: The packages without which it is left out.
        grace_s: Of its box, what it has to end once it is asked to: a sweep stops its Ray cluster meanwhile.
    """

    name: str
    command: tuple[str, ...]
    box_s: float | None
    needs: tuple[str, ...] = ()
    grace_s: float = 3.0


@dataclass
class Ended:
    """How a step ended.

    Attributes:
        step: Its name.
        exit_code: None if it was left out; 124 if its time was up.
        seconds: How long it took.
        left_out: Why, if it was.
        lacks: Whether that was for want of a package.
        tail: The end of what it printed, unless it ended well.
        found: What it has to say beside its JSON.
    """

    step: str
    exit_code: int | None = None
    seconds: float = 0.0
    left_out: str = ""
    lacks: bool = False
    tail: str = ""
    found: dict[str, Any] = field(default_factory=dict)


def main() -> int:
    """Run the stages; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=HERE / "results" / "gpu_day", help="default: %(default)s")
    parser.add_argument(
        "--wheels", type=Path, action="append", default=[], help="a folder of wheels, whole or in parts"
    )
    parser.add_argument("--data-dir", type=Path, help="the folder that holds CIFAR-10 as torchvision has it")
    parser.add_argument("--only", action="append", choices=STAGES, help="this stage; may be repeated")
    parser.add_argument("--seconds", type=float, default=LIMIT_S, help="for all of it (default: %(default)s)")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes on the CPU: nothing is measured")
    arguments = parser.parse_args()
    # Steps run in another folder.
    arguments.wheels = [folder.absolute() for folder in arguments.wheels]
    for name in ("out", "data_dir"):
        if (path := getattr(arguments, name)) is not None:
            setattr(arguments, name, path.absolute())
    if arguments.data_dir is not None and not (arguments.data_dir / "cifar-10-batches-py").is_dir():
        parser.error(f"--data-dir {arguments.data_dir} holds no cifar-10-batches-py")
    began, limit_s = time.monotonic(), SMOKE_LIMIT_S if arguments.smoke else arguments.seconds
    adopt_orphans()
    ended: list[dict[str, Any]] = []
    # A wheel's folder is of no use afterwards.
    with tempfile.TemporaryDirectory(prefix="gpu-day-") as scratch:
        try:
            environment = prepared_environment(arguments, Path(scratch))
            for stage, done in run_all(arguments, environment, began + limit_s):
                print(f"{stage}/{done.step}: {_in_words(done)}", file=sys.stderr, flush=True)
                ended.append({"stage": stage, **vars(done)})
                found = {"smoke": arguments.smoke, "cpu_s": round(cpu_seconds(), 1), "steps": ended}
                write(arguments.out / "gpu_day.json", found)
        finally:
            end_all()
    print(f"written to {arguments.out} after {time.monotonic() - began:.0f} s, {cpu_seconds():.0f} s of a core")
    return int(any(step["exit_code"] not in (0, None) or step["lacks"] for step in ended))


STAGES = ("tests", "training", "sweep", "mixing", "more", "cifar10")


def run_all(arguments: argparse.Namespace, environment: dict[str, str], deadline: float) -> Iterator[tuple[str, Ended]]:
    """Run the steps until a moment, and yield each with its stage once it has ended."""
    steps = [(stage, step) for stage in arguments.only or STAGES for step in steps_of(stage, arguments)]
    boxes_s = sum(step.box_s or 0.0 for _, step in steps)
    grows = max(1.0, (deadline - time.monotonic()) / boxes_s) if arguments.only and boxes_s else 1.0

    def run(stage_and_step: tuple[str, Step]) -> tuple[str, Ended]:
        stage, step = stage_and_step
        # How fast a busy CPU is, is not what a smoke test asks.
        box_s = SMOKE_LIMIT_S if arguments.smoke else grows * step.box_s if step.box_s is not None else None
        return stage, run_step(replace(step, box_s=box_s), arguments.out, environment, deadline - time.monotonic())

    if arguments.smoke:
        # Nothing is measured: one waits while another computes.
        with ThreadPoolExecutor(2) as pool:
            yield from pool.map(run, steps)
        return
    for each in steps:
        done = run(each)
        # Whatever it has left at work would be in the next one's figures.
        end_all()
        yield done


def steps_of(stage: str, arguments: argparse.Namespace) -> Iterator[Step]:
    """Yield the steps of a stage."""
    smoke = ("--smoke",) if arguments.smoke else ()
    if stage == "tests":
        # The options of pyproject.toml name plugins that such a host does not have.
        pytest = ("-m", "pytest", "-o", "addopts=", "-p", "no:cacheprovider", "-m", "gpu", "-v", "--tb=short")
        collect = ("--collect-only", "-q", "-q") if arguments.smoke else ("--continue-on-collection-errors",)
        for name, (files, box_s, needs) in GPU_TESTS.items():
            spread = name == "kernels" and not arguments.smoke and find_spec("xdist") is not None
            workers = ("-n", str(PROCESSES)) if spread else ()
            yield Step(name, (*pytest, *collect, *workers, *files), box_s, ("pytest", *needs))
    elif stage == "training":
        yield Step("training", (script("gpu_training.py"), *smoke), 100, OF_TRAINING)
    elif stage == "sweep":
        parts = () if smoke else ("--part", "boundary", "--part", "sigkill", "--part", "ranks")
        yield Step("sweep", (script("gpu_sweep.py"), *parts, *smoke), 110, OF_SWEEPS, RAY_ENDS_S)
    elif stage == "mixing":
        device = smoke or ("--device", "cuda")
        yield Step("mixing", (script("mixing.py"), *device, "--seconds", "0.2"), 50, ("numpy", "torchvision"))
        yield Step("launch_settings", (script("launch_settings.py"), *smoke), 30, ("numpy",))
    elif stage == "more":
        if not arguments.smoke:
            crossover = (script("mixing.py"), "--device", "cuda", "--seconds", "0.05", "--crossover")
            yield Step("crossover", crossover, 40, ("numpy", "torchvision"))
            packing = (script("gpu_sweep.py"), "--part", "packing")
            yield Step("packing", packing, 150, OF_SWEEPS, RAY_ENDS_S)
    else:
        data = ("--data-dir", str(arguments.data_dir)) if arguments.data_dir else ()
        yield Step("cifar10", (script("gpu_cifar10.py"), *data, *smoke), None, OF_TRAINING)


def script(name: str) -> str:
    """Return the path of a benchmark."""
    return str(HERE / name)


def run_step(step: Step, out: Path, environment: dict[str, str], left_s: float) -> Ended:
    """Run a step, if what it needs is here, for as long as it may take."""
    path = environment.get("PYTHONPATH", "").split(os.pathsep)
    missing = [name for name in step.needs if not _is_there(name, path)]
    if missing:
        return Ended(step.name, left_out=f"not installed here: {', '.join(missing)} (--wheels FOLDER)", lacks=True)
    if left_s < LEAST_S:
        return Ended(step.name, left_out="the time was up")
    is_test = "pytest" in step.command
    command = [sys.executable, *step.command, *(() if is_test else ("--json", str(out / f"{step.name}.json")))]
    if step.box_s is None:
        # For what it does after the last epoch.
        command += ["--seconds", f"{left_s - AFTER_LAST_EPOCH_S:.0f}"]
    box_s = left_s if step.box_s is None else min(step.box_s, left_s)
    began = time.monotonic()
    code, output = run_boxed(command, environment, ROOT, seconds=box_s, grace_s=step.grace_s)
    ended = Ended(step.name, code, round(time.monotonic() - began, 1), tail="" if code == 0 else output[-TAIL:])
    if is_test:
        judge_tests(ended, output)
    return ended


def judge_tests(ended: Ended, output: str) -> None:
    """Say how many tests ran, also of those whose time was up; files that cannot be imported here are left out."""
    results = dict(re.findall(r"^(tests/\S+?::.*?) (PASSED|FAILED|ERROR|SKIPPED)\b", output, re.MULTILINE))
    # As several processes tell it.
    told = re.findall(r"^\[gw\d+\] \[ *\d+%\] (PASSED|FAILED|ERROR|SKIPPED) (tests/\S+?::.*?) *$", output, re.MULTILINE)
    results |= {name: word for word, name in told}
    counts = {word.lower(): list(results.values()).count(word) for word in ("PASSED", "FAILED", "ERROR", "SKIPPED")}
    broken = dict(re.findall(r"^ERROR (tests/[^:\s]+\.py)(?: - (.*))?$", output, re.MULTILINE))
    absent = {file: why for file, why in broken.items() if "ModuleNotFoundError" in why}
    if not results and "ModuleNotFoundError" in output:
        missing = next(line for line in output.splitlines() if "ModuleNotFoundError" in line)
        ended.exit_code, ended.left_out, ended.tail, ended.lacks = None, missing.removeprefix("E").strip(), "", True
        return
    if not results:
        return
    ended.found = counts | {
        "failed_tests": [name for name, word in results.items() if word in ("FAILED", "ERROR")],
        "left_out": absent,
    }
    if ended.exit_code == 1 and broken.keys() == absent.keys() and counts["passed"] and not ended.found["failed_tests"]:
        ended.exit_code, ended.tail, ended.lacks = 0, "", bool(absent)


def cpu_seconds() -> float:
    """Return how long cores have worked for the steps that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def prepared_environment(arguments: argparse.Namespace, scratch: Path) -> dict[str, str]:
    """Return the environment of the steps, with the packages of the wheels."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    if arguments.smoke:
        # The compiler behind torch.compile takes half a minute on a CPU: what calls it is run, and it is not.
        environment |= {"TORCH_COMPILE_DISABLE": "1", "OMP_NUM_THREADS": "1", "TRITON_INTERPRET": "1"}
    if arguments.wheels:
        packages = scratch / "packages"
        install(arguments.wheels, packages, scratch)
        environment["PYTHONPATH"] = os.pathsep.join([environment["PYTHONPATH"], str(packages)])
    return environment


def install(folders: Sequence[Path], target: Path, scratch: Path) -> None:
    """Unpack the wheels of folders into `target`, those in parts put together first.

    Raises:
        SystemExit: There is no wheel, or pip refuses one.
    """
    whole = [wheel for folder in folders for wheel in folder.glob("*.whl")]
    parts = sorted((part for folder in folders for part in folder.glob("*.whl.part-*")), key=lambda part: part.name)
    for name, of_wheel in groupby(parts, key=lambda part: part.name.rpartition(".part-")[0]):
        wheel = scratch / name
        with wheel.open("wb") as file:
            for part in of_wheel:
                file.write(part.read_bytes())
        whole.append(wheel)
    wheels = ", ".join(map(str, folders))
    if not whole:
        sys.exit(f"error: {wheels}: no wheel is there")
    options = ("--quiet", "--no-index", "--no-deps", "--no-compile", "--target", str(target))
    done = subprocess.run([sys.executable, "-m", "pip", "install", *options, *map(str, whole)], check=False)
    if done.returncode != 0:
        sys.exit(f"error: pip could not install the wheels of {wheels}")


def write(path: Path, content: Any) -> None:
    """Write JSON, and make its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _is_there(package: str, path: Sequence[str]) -> bool:
    return find_spec(package) is not None or any((Path(folder) / package).exists() for folder in path if folder)


def _in_words(ended: Ended) -> str:
    if ended.left_out:
        return f"left out: {ended.left_out}"
    return f"{'ended well' if ended.exit_code == 0 else f'exit code {ended.exit_code}'} after {ended.seconds:.0f} s"


if __name__ == "__main__":
    sys.exit(main())
