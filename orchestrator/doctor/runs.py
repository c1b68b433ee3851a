"""What is wrong with the runs in an MLflow store, in words; `orchestrator.tracking.ledger` finds it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from orchestrator.amounts import counted
from orchestrator.doctor.finding import Finding, Line
from orchestrator.process_names import described
from orchestrator.tracking import Entry, Epochs, Ledger

# It may be about to go on with a run, also with one that it has not opened yet.
BUSY = "a sweep is at work in this store: look again when it has ended"


def examine_runs(ledger: Ledger, labels: Mapping[str, str], *, at_work: bool) -> Iterator[Line]:
    """Find runs that are left open, doubled or incomplete.

    Args:
        ledger: Of the store.
        labels: What cells are called, by key; another is called as its run is.
        at_work: Whether a sweep holds the experiment's storage: then it may be the one that has them open.

    Raises:
        TrackingError: The store does not answer any more.
    """
    found = ledger.examine()
    yield f"MLflow: {ledger.shown_uri} answers, {counted(len(ledger.entries), 'run')}"
    if ledger.owners_at_work:
        yield f"at work, as MLflow says: {', '.join(map(described, sorted(ledger.owners_at_work)))}"
    if not at_work:
        for entry in found.left_open:
            yield Finding(
                what="RUNNING in MLflow, and nobody works on it",
                where=_named(entry, labels),
                remedy="--fix sets it to KILLED; zetasweep run goes on with what is not finished",
                mend=partial(ledger.end, entry),
            )
    for entry, best in found.doubled:
        where = f"{_named(entry, labels)}, {entry.status}, beside run {best.run_id}, {best.status}"
        yield _to_be_deleted(ledger, entry, "more than one run of the same cell", where, "--fix deletes it")
    for entry, wrong in found.incomplete:
        where = f"{_named(entry, labels)}: {_in_words(wrong)}"
        remedy = "--fix deletes it, and zetasweep run delivers or trains the cell again"
        yield _to_be_deleted(ledger, entry, "a run that does not have each epoch once", where, remedy)


def _to_be_deleted(ledger: Ledger, entry: Entry, what: str, where: str, remedy: str) -> Finding:
    if ledger.owners_at_work:
        return Finding(what, where, BUSY)
    command = f"MLFLOW_TRACKING_URI={ledger.shown_uri} mlflow runs restore --run-id ID"
    way_back = f"{command} brings it back, until mlflow gc"
    return Finding(what, where, f"{remedy}; {way_back}", mend=partial(ledger.delete, entry))


def _named(entry: Entry, labels: Mapping[str, str]) -> str:
    called = f"sweep {entry.name}" if entry.key is None else f"cell {entry.key}, {labels.get(entry.key, entry.name)}"
    return f"run {entry.run_id} ({called})"


def _in_words(epochs: Epochs) -> str:
    found = {"twice": epochs.twice, "missing": epochs.missing}
    return ", ".join(f"epoch {', '.join(map(str, steps))} {how}" for how, steps in found.items() if steps)
