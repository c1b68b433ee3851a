"""Everything that only a GPU can say, stage by stage, each in a box of time, in less than nine minutes altogether.

Run on a host with a GPU, or with ``--smoke`` on any::

    benchmarks/gpu_day.sh [--out FOLDER] [--wheels FOLDER] [--data-dir DIR] [--only STAGE]... [--smoke]

* ``tests``: ``pytest -m gpu``.
* ``mixing``: mixing against its rivals, gathering against the product, and the launch settings of the kernels.
* ``training``: the images per second of a training, against a constant batch and torchvision's way (`gpu_training.py`).
* ``sweep``: a sweep with Ray and MLflow on the one GPU (`gpu_sweep.py`).
* ``cifar10``: with the time that is left, CIFAR-10 and what the published column would cost (`gpu_cifar10.py`).

Each step of a stage writes its JSON to FOLDER as soon as it ends, and ``gpu_day.json`` there says how each ended, how
long it took and what was left out, and why. What a stage needs and the host lacks is installed from the wheels in
``--wheels`` into a folder of its own; a wheel may lie there in parts (``split -b 60M``: NAME.whl.part-aa, ...).

``--smoke`` runs every stage on the CPU with tiny sizes: that nothing is broken on the day. Its figures say nothing, and
no bar is judged. The exit code is 1 if a test failed or a step did not end well; a bar that is not met is a figure.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
LIMIT_S, SMOKE_LIMIT_S = 530.0, 800.0
TAIL = 4000
GPU_TESTS = (
    "tests/augment/test_kernel.py",
    "tests/augment/test_contract.py",
    "tests/augment/test_transforms.py",
    "tests/train/test_feed.py",
    "tests/train/test_train.py",
    "tests/train/test_on_a_gpu.py",
    "tests/train/test_timed.py",
    "tests/tracking/test_image_classifier.py",
)
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


@dataclass(frozen=True)
class Step:
    """One command.

    Attributes:
        name: Of its JSON, too.
        command: After the interpreter; it takes ``--json PATH``, unless it is pytest.
        box_s: How long it may take.
        needs: The packages without which it is left out.
    """

    name: str
    command: tuple[str, ...]
    box_s: float
    needs: tuple[str, ...] = ()


@dataclass
class Ended:
    """How a step ended.

    Attributes:
        step: Its name.
        exit_code: None if it was left out; 124 if its time was up.
        seconds: How long it took.
        left_out: Why, if it was.
        tail: The end of what it printed, unless it ended well.
        found: What it has to say beside its JSON.
    """

    step: str
    exit_code: int | None = None
    seconds: float = 0.0
    left_out: str = ""
    tail: str = ""
    found: dict[str, Any] = field(default_factory=dict)


def main() -> int:
    """Run the stages; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=HERE / "results" / "gpu_day", help="default: %(default)s")
    parser.add_argument("--wheels", type=Path, help="a folder of wheels, whole or in parts")
    parser.add_argument("--data-dir", type=Path, help="the folder that holds CIFAR-10 as torchvision has it")
    parser.add_argument("--only", action="append", choices=STAGES, help="this stage; may be repeated")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes on the CPU: nothing is measured")
    arguments = parser.parse_args()
    began, limit_s = time.monotonic(), SMOKE_LIMIT_S if arguments.smoke else LIMIT_S
    # A wheel's folder and pytest's file are of no use afterwards.
    with tempfile.TemporaryDirectory(prefix="gpu-day-") as scratch:
        environment = prepared_environment(arguments, Path(scratch))
        ended: list[dict[str, Any]] = []
        for stage in arguments.only or STAGES:
            for step in steps_of(stage, arguments, Path(scratch)):
                left_s = limit_s - (time.monotonic() - began)
                if arguments.smoke:
                    # How fast a busy CPU is, is not what is asked.
                    step = replace(step, box_s=limit_s)
                done = run_step(step, arguments.out, environment, left_s)
                print(f"{stage}/{step.name}: {_in_words(done)}", file=sys.stderr, flush=True)
                ended.append({"stage": stage, **vars(done)})
                write(arguments.out / "gpu_day.json", {"smoke": arguments.smoke, "steps": ended})
    print(f"written to {arguments.out} after {time.monotonic() - began:.0f} s")
    return int(any(step["exit_code"] not in (0, None) for step in ended) or all(step["left_out"] for step in ended))


STAGES = ("tests", "mixing", "training", "sweep", "cifar10")


def steps_of(stage: str, arguments: argparse.Namespace, scratch: Path) -> Iterator[Step]:
    """Yield the steps of a stage."""
    smoke = ("--smoke",) if arguments.smoke else ()
    if stage == "tests":
        yield from test_steps(scratch, smoke=arguments.smoke)
    elif stage == "mixing":
        device = smoke or ("--device", "cuda")
        yield Step("mixing", (script("mixing.py"), *device, "--seconds", "0.3"), 80, ("numpy", "torchvision"))
        if not arguments.smoke:
            crossover = (script("mixing.py"), *device, "--seconds", "0.1", "--crossover")
            yield Step("crossover", crossover, 40, ("numpy", "torchvision"))
        yield Step("launch_settings", (script("launch_settings.py"), *smoke), 40, ("numpy",))
    elif stage == "training":
        yield Step("training", (script("gpu_training.py"), *smoke), 130, OF_TRAINING)
    elif stage == "sweep":
        yield Step("sweep", (script("gpu_sweep.py"), *smoke), 140, OF_SWEEPS)
    else:
        data = ("--data-dir", str(arguments.data_dir)) if arguments.data_dir else ()
        # Half a minute for what it does after the last epoch.
        yield Step("cifar10", (script("gpu_cifar10.py"), *data, *smoke), LIMIT_S, OF_TRAINING)


def test_steps(scratch: Path, *, smoke: bool) -> Iterator[Step]:
    """Yield a step for each file of GPU tests: what one of them imports may not be here.

    In a smoke test those of all files are found, and none is run.
    """
    # The options of pyproject.toml name plugins that such a host does not have.
    pytest = ("-m", "pytest", "-o", "addopts=", "-p", "no:cacheprovider", "-q", "-m", "gpu")
    if smoke:
        yield Step("collected", (*pytest, "--collect-only", *GPU_TESTS), 110, ("pytest",))
        return
    for file in GPU_TESTS:
        name = Path(file).stem
        yield Step(name, (*pytest, f"--junitxml={scratch / name}.xml", file), 110, ("pytest",))


def script(name: str) -> str:
    """Return the path of a benchmark."""
    return str(HERE / name)


def run_step(step: Step, out: Path, environment: dict[str, str], left_s: float) -> Ended:
    """Run a step, if what it needs is here, for as long as it may take."""
    path = environment.get("PYTHONPATH", "").split(os.pathsep)
    missing = [name for name in step.needs if not _is_there(name, path)]
    if missing:
        return Ended(step.name, left_out=f"not installed here: {', '.join(missing)} (--wheels FOLDER)")
    if left_s < 5:
        return Ended(step.name, left_out="the time was up")
    is_test = "pytest" in step.command
    command = [sys.executable, *step.command, *(() if is_test else ("--json", str(out / f"{step.name}.json")))]
    if step.name == "cifar10":
        command += ["--seconds", f"{left_s - 10:.0f}"]
    began = time.monotonic()
    code, output = _run(command, environment, min(step.box_s, left_s))
    ended = Ended(step.name, code, round(time.monotonic() - began, 1), tail="" if code == 0 else output[-TAIL:])
    if is_test:
        _judge_tests(ended, step, output)
    return ended


def _run(command: Sequence[str], environment: dict[str, str], seconds: float) -> tuple[int, str]:
    """Return exit code and output; what is over its time is asked to end, and then ended."""
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        output, _ = process.communicate(timeout=seconds)
        return process.returncode, output
    except subprocess.TimeoutExpired:
        process.terminate()
    try:
        output, _ = process.communicate(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        output, _ = process.communicate()
    return 124, output


def _judge_tests(ended: Ended, step: Step, output: str) -> None:
    """Say how many tests ran; a file that cannot be imported here is left out, and not failed."""
    if "ModuleNotFoundError" in output and " passed" not in output:
        missing = next(line for line in output.splitlines() if "ModuleNotFoundError" in line)
        ended.exit_code, ended.left_out, ended.tail = None, missing.removeprefix("E").strip(), ""
        return
    report = next((part.partition("=")[2] for part in step.command if part.startswith("--junitxml=")), None)
    suite = ElementTree.parse(report).getroot().find("testsuite") if report and Path(report).exists() else None
    if suite is not None:
        ended.found = {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}
        ended.found["failed"] = [
            f"{case.get('classname')}::{case.get('name')}"
            for case in suite
            if case.find("failure") is not None or case.find("error") is not None
        ]


def prepared_environment(arguments: argparse.Namespace, scratch: Path) -> dict[str, str]:
    """Return the environment of the steps, with the packages of the wheels."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    if arguments.smoke:
        # The compiler behind torch.compile takes half a minute on a CPU: what calls it is run, and it is not.
        environment |= {"TORCH_COMPILE_DISABLE": "1", "OMP_NUM_THREADS": "1", "TRITON_INTERPRET": "1"}
    if arguments.wheels is not None:
        packages = scratch / "packages"
        install(arguments.wheels, packages, scratch)
        environment["PYTHONPATH"] = os.pathsep.join([environment["PYTHONPATH"], str(packages)])
    return environment


def install(wheels: Path, target: Path, scratch: Path) -> None:
    """Unpack the wheels of a folder into `target`, those in parts put together first.

    Raises:
        SystemExit: There is no wheel, or pip refuses one.
    """
    whole = list(wheels.glob("*.whl"))
    for first in sorted(wheels.glob("*.whl.part-aa")):
        wheel = scratch / first.name.removesuffix(".part-aa")
        with wheel.open("wb") as file:
            for part in sorted(wheels.glob(f"{wheel.name}.part-*")):
                file.write(part.read_bytes())
        whole.append(wheel)
    if not whole:
        sys.exit(f"error: {wheels} holds no wheel")
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
