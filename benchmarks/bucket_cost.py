"""Claim: with its results in a bucket a sweep trains at least 0.97 times as fast as with them in a folder.

Run, about 10 minutes on 2 cores::

    python benchmarks/bucket_cost.py [--rounds 3] [--epochs 4] [--json PATH]

Both sides train the same cell in one slot (ResNet-18, whose checkpoint of weights and momentum is 90 MB, one worker of
one thread; images of noise of 32 px) by ``zetasweep run``, with the same MLflow server:

* ``folder``: ``storage`` is a folder of this machine.
* ``bucket``: ``storage`` is a bucket of moto's S3 server here, each of whose answers comes 200 ms later.

A checkpoint is written after every epoch, and put beside the training. Measured is the time from the cell's first step
to the end of its test, which waits for the last put. The sides take turns, and which comes first changes from round to
round; the ratio is taken in each round, and the median of these ratios is judged. moto's server computes with the other
core.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from figures import Spread, origin, say, show, write_json
from harness import first_step_ms, run_quietly, scratch_folder
from mlflow import MlflowClient
from train_throughput import FOLDER, make_images

sys.path.append(os.fspath(Path(__file__).parents[1] / "tests"))
from s3_server import BUCKET, S3Server, environment_of, proxy_before

BAR = 0.97
DELAY_S = 0.2
NUM_TRAIN = 1000


def main() -> None:
    """Run both sides in turns and print how long their cells took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=4, help="of each cell (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures there, too")
    arguments = parser.parse_args()
    if min(arguments.rounds, arguments.epochs) < 1:
        parser.error("--rounds and --epochs must be 1 or more")
    source = origin()
    seconds: dict[str, list[float]] = {"folder": [], "bucket": []}
    server = S3Server()
    try:
        with scratch_folder() as folder, proxy_before(server.url) as proxy, mlflow_server(folder) as uri:
            proxy.delay_s = DELAY_S
            os.environ.update(environment_of(proxy.url))
            make_images(folder / "data" / FOLDER)
            experiment = experiment_on(folder / "data", uri, epochs=arguments.epochs)
            for number in range(arguments.rounds):
                say(f"round {number + 1} of {arguments.rounds}")
                for side in list(seconds) if number % 2 else reversed(seconds):
                    name = f"{side}-{number}"
                    place = f"s3://{BUCKET}/{name}" if side == "bucket" else str(folder / name)
                    # The server knows a cell by what it is, and would have it from the run before.
                    seed = [2 * number + (side == "bucket")]
                    own = {"name": name, "storage": place, "seed": seed}
                    seconds[side].append(cell_s({**experiment, **own}, folder, uri))
    finally:
        server.close()
    ratios = [of_folder / of_bucket for of_folder, of_bucket in zip(seconds["folder"], seconds["bucket"], strict=True)]
    ratio = statistics.median(ratios)
    notes = [
        f"speed with a bucket to that with a folder, median of the rounds: {ratio:.3f}; bar {BAR}: "
        f"{'met' if ratio >= BAR else 'NOT met'}",
        f"in each round: {', '.join(f'{one:.3f}' for one in ratios)}",
        ", ".join(f"{name} {value}" for name, value in source.items()),
    ]
    spreads = {side: Spread.of(values) for side, values in seconds.items()}
    show(f"seconds of a cell of {arguments.epochs} epochs", spreads, digits=1, notes=notes)
    if arguments.json is not None:
        verdict = {"ratio": ratio, "ratio_of_rounds": ratios, "bar": BAR, "met": ratio >= BAR}
        write_json(arguments.json, source=source, cell_s=spreads, rounds=seconds, **verdict)


def experiment_on(data_dir: Path, uri: str, *, epochs: int) -> dict[str, Any]:
    """Return the content of the experiment file, without ``name`` and ``storage``."""
    return {
        "dataset": {"image_folder": {"folder": FOLDER, "val_fraction": 0.1, "num_train": NUM_TRAIN}},
        "model": "resnet18",
        "augment": "mixup",
        "train": {"epochs": epochs, "batch_size_per_worker": 64},
        "resources": {"workers": 1, "cpus_per_worker": 1, "slots": 1},
        "tracking": {"uri": uri, "models": "none"},
        "data_dir": str(data_dir),
    }


def cell_s(experiment: Mapping[str, Any], folder: Path, uri: str) -> float:
    """Run the sweep and return how long its cell took, seconds."""
    file = folder / f"{experiment['name']}.yaml"
    file.write_text(yaml.safe_dump(dict(experiment)), encoding="utf-8")
    run_quietly([sys.executable, "-m", "orchestrator", "run", str(file)])
    client = MlflowClient(uri)
    known = client.get_experiment_by_name(experiment["name"])
    assert known is not None, "a sweep that ended well has its experiment"
    (run,) = client.search_runs([known.experiment_id], "tags.`zetasweep.kind` = 'cell'")
    return float(run.info.end_time - first_step_ms(run)) / 1000


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """Yield the address of an MLflow server, while it runs."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    store = ["--backend-store-uri", f"sqlite:///{folder / 'server.db'}", "--artifacts-destination", str(folder / "of")]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    server = subprocess.Popen([*command, *store], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    uri = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 120
        while not answers(uri):
            assert time.monotonic() < deadline, "MLflow's server does not start"
            time.sleep(0.5)
        yield uri
    finally:
        server.terminate()
        server.wait()


def answers(uri: str) -> bool:
    """Return whether the server is there."""
    try:
        with urllib.request.urlopen(f"{uri}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


if __name__ == "__main__":
    main()
