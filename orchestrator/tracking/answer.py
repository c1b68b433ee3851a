"""What a sweep's run in MLflow says: the comparison as its description, as a table and as metrics."""

from __future__ import annotations

import json

from mlflow import MlflowClient
from mlflow.entities import Metric, Run, RunTag

from orchestrator.records import now_ms
from orchestrator.results import Answer
from orchestrator.tracking.names import LOGGED_TABLES, NOTE
from orchestrator.tracking.rows import BATCH_LIMIT

TEXT, TABLE = "comparison.md", "comparison.json"
# What a server of any version takes as a tag.
NOTE_LIMIT = 5000


def note_of(answer: Answer) -> str:
    """Return the description: all of it where there is room for it, else without the table, else its beginning."""
    if len(answer.text) <= NOTE_LIMIT:
        return answer.text
    rest = f"\nThe table is too long for a description: it is among the artifacts, `{TEXT}` and `{TABLE}`.\n"
    lines: list[str] = []
    for line in answer.outline.splitlines(keepends=True):
        if sum(map(len, lines)) + len(line) + len(rest) > NOTE_LIMIT:
            break
        lines.append(line)
    return "".join(lines) + rest


def says(run: Run, answer: Answer) -> bool:
    """Return whether a sweep's run has an answer already."""
    return bool(run.data.tags.get(NOTE) == note_of(answer))


def log_answer(client: MlflowClient, run_id: str, answer: Answer) -> None:
    """Log an answer in place of the one before; of its metrics those that have changed."""
    client.log_text(run_id, answer.text, TEXT)
    # MLflow's own `log_table` would append to the one before.
    client.log_dict(run_id, {"columns": answer.columns, "data": answer.rows}, TABLE)
    data, timestamp_ms = client.get_run(run_id).data, now_ms()
    metrics = [
        Metric(name, value, timestamp_ms, 0)
        for name, value in answer.figures.items()
        if data.metrics.get(name) != value
    ]
    for first in range(0, len(metrics), BATCH_LIMIT):
        client.log_batch(run_id, metrics=metrics[first : first + BATCH_LIMIT])
    tables, entry = json.loads(data.tags.get(LOGGED_TABLES, "[]")), {"path": TABLE, "type": "table"}
    tags = {LOGGED_TABLES: json.dumps(tables if entry in tables else [*tables, entry])}
    # The note comes last: a run that has it has all of it.
    tags[NOTE] = note_of(answer)
    client.log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])
