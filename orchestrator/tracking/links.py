"""Links in a sweep's MLflow experiment to runs of its cells that lie in another one: a cell is trained once, and so has
one run, in the experiment of the sweep that trained it first. With the links each experiment is complete.

A link is a run of its own kind, which nothing takes for a cell's: it has what a table of runs shows, and leads to the
other. It is finished when all of it is there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mlflow import MlflowClient
from mlflow.entities import LifecycleStage, Metric, Param, Run
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from orchestrator.records import CellRun
from orchestrator.results import markdown_text
from orchestrator.tracking.names import KEY, KIND, LINKED_RUN, NOTE, OWNER, SWEEP
from orchestrator.tracking.rows import BATCH_LIMIT, ONCE
from orchestrator.tracking.store import Store
from orchestrator.tracking.sweep_run import SweepRun


class Links:
    """The links that an MLflow experiment has to runs of some cells, and those that it should have.

    Args:
        store: What has the runs.
        home: The name of the experiment.
        keys: Of the cells; links to other cells belong to other sweeps.
        runs: The cells' runs, by key.
    """

    def __init__(self, store: Store, *, home: str, keys: Sequence[str], runs: Mapping[str, CellRun]) -> None:
        self._client = store.client
        # Of those in no experiment nothing is known: they come from storage.
        self._away = {
            key: run
            for key in keys
            if (run := runs.get(key)) is not None and run.status == "done" and run.experiment not in (home, None)
        }
        known = self._client.get_experiment_by_name(home)
        there = known is not None and known.lifecycle_stage == LifecycleStage.ACTIVE
        found = list(store.search(f"tags.`{KIND}` = 'link'", [known.experiment_id])) if there else []
        self._good: dict[str, Run] = {}
        for link in filter(self._is_good, found):
            self._good.setdefault(link.data.tags[KEY], link)
        # What is half made, leads elsewhere, is there already, or is needed no more.
        own, kept = set(keys), {link.info.run_id for link in self._good.values()}
        self._needless = [link for link in found if link.data.tags.get(KEY) in own and link.info.run_id not in kept]

    def is_needed(self) -> bool:
        """Return whether a link is missing, or one is there that should not be."""
        return bool(self._away.keys() - self._good.keys() or self._needless)

    def make(self, name: str, sweep: SweepRun) -> int:
        """Make the links that are missing, and delete those that should not be there; return how many were made.

        Args:
            name: Of the sweep.
            sweep: Its run, which is open.

        Raises:
            TrackingError: Another process has taken the sweep over meanwhile; nothing was written after that.
        """
        for link in self._needless:
            self._confirmed(sweep).delete_run(link.info.run_id)
        missing = [run for key, run in self._away.items() if key not in self._good]
        for run in missing:
            assert run.run_id is not None
            linked = self._client.get_run(run.run_id)
            way = f"[run {run.run_id}](#/experiments/{linked.info.experiment_id}/runs/{run.run_id})"
            tags = {KIND: "link", SWEEP: name, OWNER: sweep.owner, LINKED_RUN: run.run_id}
            tags |= {MLFLOW_PARENT_RUN_ID: sweep.run_id}
            where = markdown_text(f"Trained by another sweep, in the experiment {run.experiment}:")
            tags |= {NOTE: f"{where} {way}"}
            self._make(linked, linked.data.tags | tags, sweep)
        return len(missing)

    def _make(self, linked: Run, tags: dict[str, str], sweep: SweepRun) -> None:
        link_id = (
            self._confirmed(sweep)
            .create_run(sweep.experiment_id, start_time=linked.info.start_time, tags=tags)
            .info.run_id
        )
        params = [Param(name, value) for name, value in linked.data.params.items()]
        self._confirmed(sweep).log_batch(link_id, params=params)
        epoch = int(linked.data.metrics.get("epoch", 0))
        metrics = [
            Metric(name, value, linked.info.end_time, 0 if name.startswith(ONCE) else epoch)
            for name, value in linked.data.metrics.items()
        ]
        for first in range(0, len(metrics), BATCH_LIMIT):
            self._confirmed(sweep).log_batch(link_id, metrics=metrics[first : first + BATCH_LIMIT])
        self._confirmed(sweep).set_terminated(link_id, "FINISHED", end_time=linked.info.end_time)

    def _confirmed(self, sweep: SweepRun) -> MlflowClient:
        """Return what writes, once it is sure that the sweep is still this process's."""
        sweep.confirm()
        return self._client

    def _is_good(self, link: Run) -> bool:
        run = self._away.get(link.data.tags.get(KEY, ""))
        leads_there = run is not None and link.data.tags.get(LINKED_RUN) == run.run_id
        return leads_there and link.info.status == "FINISHED"
