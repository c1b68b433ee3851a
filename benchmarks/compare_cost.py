"""Claim: `compare` of a thousand finished cells costs less than twice what MLflow's own search of their runs does.

Run, about five minutes on 2 cores::

    python benchmarks/compare_cost.py [--rounds 5] [--images 10000] [--json PATH]

Bars, the first for processes from start to end, the second for a call in a process that has its libraries:

* ``compare``: 25 rows x 10 seeds x 4 columns, of which all have their predictions for each test image, against
  ``search``: Python starts, imports MLflow's client, and reads the same 1,000 runs by one `search_runs`. Less than 2.
* ``analysis``: 54 rows x 10 seeds x 4 columns, from runs to verdicts, with the constants that nobody has asked for
  before. Less than 1 s.

The runs are made up, with the metrics that a set of 10 classes has, in a SQLite store as `run` makes it; the
contestants take turns. What `compare` takes without predictions is said, too.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import numpy as np
import yaml
from figures import Spread, origin, say, show, write_json
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from numpy.random import Generator, default_rng

from orchestrator.experiment import Cell, expand, load_experiment
from orchestrator.metric_names import CLASS_METRICS, METRICS
from orchestrator.records import CellRun
from orchestrator.results import compare
from orchestrator.storage import Predictions, Storage
from orchestrator.tracking.names import KEY, KIND

NUM_CLASSES = 10
BAR_RATIO, BAR_S = 2.0, 1.0
SEARCH = """
import sys
from mlflow import MlflowClient
client = MlflowClient(sys.argv[1])
(experiment,) = [each for each in client.search_experiments() if each.name != "Default"]
found = client.search_runs([experiment.experiment_id], "tags.`zetasweep.kind` = 'cell'", max_results=1000)
assert len(found) == 1000 and all(run.data.metrics["test/error"] >= 0 for run in found)
"""


def main() -> None:
    """Time both claims and print the figures with the bars."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--images", type=int, default=10_000, metavar="N", help="test images, default: %(default)s")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures there, too")
    arguments = parser.parse_args()
    source = origin() | {"images": arguments.images}
    seconds = {"analysis": [analysis_s(number) for number in range(arguments.rounds)]}
    with tempfile.TemporaryDirectory() as folder:
        say("making runs")
        file = experiment(Path(folder), rows=25)
        make_runs(file, num_images=arguments.images)
        store = f"sqlite:///{Path(folder) / 'runs' / 'mlflow.db'}"
        contestants = {
            "compare": [sys.executable, "-m", "orchestrator", "compare", str(file)],
            "compare, validation": [sys.executable, "-m", "orchestrator", "compare", str(file), "--metric=best/error"],
            "search": [sys.executable, "-c", SEARCH, store],
        }
        for number in range(arguments.rounds):
            for name, command in contestants.items():
                say(f"{name}, round {number + 1}")
                seconds.setdefault(name, []).append(process_s(command))
    spreads = {name: Spread.of(values) for name, values in seconds.items()}
    ratio = spreads["compare"].median / spreads["search"].median
    verdicts = {
        f"compare takes {ratio:.2f} times what MLflow's search does, less than {BAR_RATIO:g}": ratio < BAR_RATIO,
        f"54 x 10 x 4 are analysed in {spreads['analysis'].median:.2f} s, less than {BAR_S:g}": (
            spreads["analysis"].median < BAR_S
        ),
    }
    show("seconds", spreads, digits=2, notes=[])
    for verdict, fulfilled in verdicts.items():
        print(f"{'met' if fulfilled else 'NOT met':>8}: {verdict}")
    print(", ".join(f"{name} {value}" for name, value in source.items()))
    if arguments.json is not None:
        write_json(arguments.json, source=source, seconds=spreads, ratio=ratio, bars=verdicts)
    sys.exit(0 if all(verdicts.values()) else 1)


def process_s(command: Sequence[str]) -> float:
    """Return how long a process takes, from start to end."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def analysis_s(number: int) -> float:
    """Return how long it takes to compare 54 rows in 4 columns; the first time the constants are solved for."""
    with tempfile.TemporaryDirectory() as folder:
        cells = expand(load_experiment(experiment(Path(folder), rows=54)))
    draw = default_rng(number)
    runs = {
        cell.key: CellRun(cell.key, "done", None, metrics={"test/error": draw.normal(0.1, 0.003)}) for cell in cells
    }
    started = time.perf_counter()
    compare(cells, runs)
    return time.perf_counter() - started


def experiment(folder: Path, *, rows: int) -> Path:
    """Return a file of so many rows, ten seeds and four columns."""
    grid = [round(1.7 + 0.1 * number, 1) for number in range(rows - 1)]
    content = {
        "name": "thousand",
        "dataset": ["digits", {"digits": {"num_train": 500}}],
        "model": ["convnet", "resnet18"],
        "augment": ["erm", {"zeta_mixup": {"gamma": grid, "num_mixed": 4}}],
        "seed": list(range(10)),
        "storage": str(folder / "runs"),
    }
    file = folder / "thousand.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return file


def make_runs(file: Path, *, num_images: int) -> None:
    """Finish all cells: their runs in MLflow, and their predictions in storage."""
    opened = load_experiment(file)
    storage, cells, draw = opened.kept_in, expand(opened), default_rng(0)
    storage.prepare()
    labels = draw.integers(NUM_CLASSES, size=num_images).astype(np.uint8)
    contents: dict[str, bytes] = {}
    for cell in cells:
        path = storage.cell(cell.key).predictions
        if cell.augment.label in contents:
            path.parent.mkdir(parents=True)
            path.write_bytes(contents[cell.augment.label])
        else:
            made_up(labels, draw).save(path)
            contents[cell.augment.label] = path.read_bytes()
    first = add_run(storage, opened.name, cells[0])
    with closing(sqlite3.connect(storage.database)) as connection, connection:
        for cell in cells[1:]:
            copy_run(connection, first, cell, error=draw.normal(0.1, 0.003))


def made_up(labels: np.ndarray, draw: Generator) -> Predictions:
    """Return predictions that are wrong for about one image in ten."""
    logits = draw.normal(size=(len(labels), NUM_CLASSES))
    logits[np.arange(len(labels)), labels] += 2.9
    logits -= logits.max(axis=1, keepdims=True)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return Predictions(
        labels=labels,
        predicted=logits.argmax(axis=1).astype(np.uint8),
        loss=-np.log(probabilities[np.arange(len(labels)), labels]).astype(np.float32),
        confidence=probabilities.max(axis=1).astype(np.float32),
        order="a" * 64,
        logits=logits.astype(np.float16),
    )


def add_run(storage: Storage, name: str, cell: Cell) -> str:
    """Log a finished run, with as many params, tags and metrics as one has; return its id."""
    client = MlflowClient(f"sqlite:///{storage.database}")
    home = client.create_experiment(name, artifact_location=storage.artifacts_dir.as_uri())
    run_id: str = client.create_run(home, tags={KIND: "cell", KEY: cell.key}).info.run_id
    names = [f"{stage}/{name}" for stage in ("val", "best", "test") for name in METRICS]
    names += [f"test/{name}/{label}" for name in CLASS_METRICS for label in range(NUM_CLASSES)]
    metrics = [Metric(name, 0.1, 0, 0) for name in names]
    params = [Param(name, value) for name, value in cell.params().items()]
    tags = [RunTag(f"zetasweep.fact{number}", json.dumps({"value": number})) for number in range(10)]
    client.log_batch(run_id, metrics=metrics, params=params, tags=tags)
    client.set_terminated(run_id, "FINISHED")
    return run_id


def copy_run(connection: sqlite3.Connection, run_id: str, cell: Cell, *, error: float) -> None:
    """Copy a run in the store, for another cell: through MLflow a thousand of them would take a quarter of an hour."""
    new_id = uuid4().hex
    for table in ("runs", "params", "tags", "metrics", "latest_metrics"):
        names = [name for _, name, *_ in connection.execute(f"pragma table_info({table})")]
        copied = ", ".join(f'"{name}"' if name != "run_uuid" else "?" for name in names)
        connection.execute(f"insert into {table} select {copied} from {table} where run_uuid = ?", (new_id, run_id))
    connection.execute("update tags set value = ? where key = ? and run_uuid = ?", (cell.key, KEY, new_id))
    for table in ("metrics", "latest_metrics"):
        change = f"update {table} set value = ? where key in ('test/error', 'best/error') and run_uuid = ?"
        connection.execute(change, (error, new_id))


if __name__ == "__main__":
    main()
