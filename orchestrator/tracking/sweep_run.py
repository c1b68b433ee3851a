"""MLflow's run of a sweep: the parent of its cells' runs, which one driver at a time has a lease on and keeps open."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from mlflow.entities import LifecycleStage, Run
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME

from orchestrator.errors import TrackingError, UserError
from orchestrator.experiment import Experiment
from orchestrator.records import CellRun, now_ms
from orchestrator.storage import Storage
from orchestrator.tracking.artifacts import check_location, describe_location, new_location
from orchestrator.tracking.errors import kind_and_message
from orchestrator.tracking.names import EXPERIMENT_KIND, HEARTBEAT, KIND, OWNER, SWEEP
from orchestrator.tracking.ownership import (
    STALE_S,
    described,
    heartbeats,
    is_leased,
    this_process,
)
from orchestrator.tracking.provenance import environment, git_tags
from orchestrator.tracking.store import Store
from orchestrator.waiting import waiting_for

logger = logging.getLogger(__name__)

# How long a driver waits for another that starts at the same time: whoever writes its name last has the lease.
LEASE_SETTLES_S = 2.0


class SweepRun:
    """The run of the sweep that this process is to run.

    Args:
        store: Where it is.
        artifacts: Where new experiments keep their artifacts: a folder, or what ``tracking.artifacts`` says; None
            leaves it to the server.

    Attributes:
        owner: The name of this process, the driver, in leases.
        num_silences: How often others had time to think that this process is dead, and to take its runs.
    """

    def __init__(self, store: Store, *, artifacts: Path | str | None) -> None:
        self._store, self._client, self._artifacts = store, store.client, artifacts
        self.owner = this_process()
        self._experiment_id: str | None = None
        self._run_id: str | None = None
        self._at_work = ExitStack()
        self._beaten_at = time.time()
        self._lost = False
        self.num_silences = 0

    @property
    def experiment_id(self) -> str:
        """Of MLflow's experiment that holds it."""
        assert self._experiment_id is not None, "open comes first"
        return self._experiment_id

    @property
    def run_id(self) -> str:
        """Its own."""
        assert self._run_id is not None, "open comes first"
        return self._run_id

    def open(self, experiment: Experiment, runs: Mapping[str, CellRun]) -> None:
        """Open the run, the one of an earlier call if there is one, and take the lease on it.

        Args:
            experiment: The sweep.
            runs: The known runs of its cells.

        Raises:
            UserError: The MLflow experiment was deleted, or another sweep is at work on the same cells.
            TrackingError: MLflow does not answer, or does not take the sweep's files.
        """
        with self._store.answering():
            self._experiment_id = self._known_experiment(experiment)
            if self._experiment_id is None:
                location = self._new_location(experiment)
                if location is not None:
                    named = "storage" if isinstance(self._artifacts, Path) else "tracking.artifacts"
                    check_location(self._store, location, origin=named)
                self._experiment_id = self._client.create_experiment(
                    experiment.tracked_in, artifact_location=location, tags=EXPERIMENT_KIND
                )
            run = self._earlier(experiment)
            self._refuse_second_owner(run, runs)
            if run is None:
                tags = {KIND: "sweep", SWEEP: experiment.name, MLFLOW_RUN_NAME: experiment.name} | git_tags()
                run = self._client.create_run(self.experiment_id, tags=tags)
            self._run_id = run.info.run_id
            self._client.update_run(self._run_id, status="RUNNING")
            self._take_lease(experiment)
            self._at_work.enter_context(heartbeats(self._beat))
            self._log_files(experiment)

    def driver_at_work(self, experiment: Experiment, runs: Mapping[str, CellRun]) -> str | None:
        """Return which other driver would have `open` refuse now, in words; None if none would. Nothing is written.

        Raises:
            UserError: The MLflow experiment was deleted.
            TrackingError: MLflow does not answer.
        """
        with self._store.answering():
            self._experiment_id = self._known_experiment(experiment)
            run = self._earlier(experiment) if self._experiment_id is not None else None
            owner = self._second_owner(run, runs)
            return described(owner) if owner is not None else None

    def close(self, *, complete: bool) -> None:
        """End the run, if it was opened; if the store does not answer, say that it stays open."""
        self._at_work.close()
        if self._run_id is None:
            return
        try:
            with waiting_for(f"MLflow at {self._store.shown_uri} to close the sweep's run"):
                if self._is_ours():
                    self._client.set_tag(self._run_id, OWNER, "")
                    self._client.set_terminated(self._run_id, "FINISHED" if complete else "KILLED")
        except MlflowException as error:
            logger.exception("the sweep's run could not be closed")
            logger.warning("the sweep's run in MLflow stays open (%s): the next run closes it", kind_and_message(error))

    def confirm(self) -> None:
        """Make sure that the sweep is still this process's; costs nothing while its heartbeats arrive.

        Raises:
            TrackingError: Another process has taken it over meanwhile.
        """
        if self._was_silent():
            self._beat()
        if self._lost:
            raise TrackingError(f"MLflow at {self._store.shown_uri} was out of reach, and another sweep took over")

    def describe_artifacts(self, experiment: Experiment) -> Iterator[tuple[str, str]]:
        """Yield where the artifacts of the open sweep are, and what is to be known of that; each with its style."""
        with self._store.answering():
            known = self._client.get_experiment(self.experiment_id)
        yield from describe_location(self._store, known, self._new_location(experiment))

    def _new_location(self, experiment: Experiment) -> str | None:
        return new_location(self._artifacts, experiment.name) if self._artifacts is not None else None

    def mend(self, experiment: Experiment) -> None:
        """Finish the run of a sweep whose cells are all done, if its driver died before it could.

        One that is at work has other cells of the same sweep.
        """
        with self._store.answering():
            known = self._client.get_experiment_by_name(experiment.tracked_in)
            if known is None or known.lifecycle_stage == LifecycleStage.DELETED:
                return
            self._experiment_id = known.experiment_id
            run = self._earlier(experiment)
            if run is not None and run.info.status != "FINISHED" and not is_leased(run.data.tags):
                self._client.set_terminated(run.info.run_id, "FINISHED")

    def _known_experiment(self, experiment: Experiment) -> str | None:
        """Return the id of the MLflow experiment; None if there is none, UserError if it was deleted."""
        known = self._client.get_experiment_by_name(experiment.tracked_in)
        if known is not None and known.lifecycle_stage == LifecycleStage.DELETED:
            raise UserError(
                f"tracking.experiment = {experiment.tracked_in}: it was deleted in MLflow",
                remedy=f"restore it (mlflow experiments restore -x {known.experiment_id}) or name another with "
                "-o tracking.experiment=NAME",
            )
        return str(known.experiment_id) if known is not None else None

    def _earlier(self, experiment: Experiment) -> Run | None:
        return next(self._found(experiment), None)

    def _found(self, experiment: Experiment) -> Iterator[Run]:
        query = f"tags.`{KIND}` = 'sweep' and tags.`{SWEEP}` = '{experiment.name}'"
        return self._store.search(query, [self.experiment_id])

    def _second_owner(self, run: Run | None, runs: Mapping[str, CellRun]) -> str | None:
        """Return the other driver that has the lease on `run` or on the run of one of the cells; None if none has."""
        others = owners_at_work(self._store) - {self.owner}
        owner: str | None = run.data.tags.get(OWNER) if run is not None else None
        if owner in others:
            return owner
        return next((run.owner for run in runs.values() if run.status == "running" and run.owner in others), None)

    def _refuse_second_owner(self, run: Run | None, runs: Mapping[str, CellRun]) -> None:
        """Raise UserError if there is a second owner."""
        owner = self._second_owner(run, runs)
        if owner is not None:
            raise UserError(
                f"MLflow at {self._store.shown_uri}: a sweep of the same cells is at work: {described(owner)}",
                remedy=f"wait for it, or end it; if its machine is gone, this clears within {STALE_S:.0f} s",
            )

    def _take_lease(self, experiment: Experiment) -> None:
        """Take the lease on the run.

        Raises:
            UserError: Another sweep has taken it, or that on a run of its own, at the same time.
        """
        self._beaten_at = time.time()
        self._beat()
        self._client.set_tag(self.run_id, OWNER, self.owner)
        if self._store.database != Storage(experiment.storage).database:  # which has a lock
            time.sleep(LEASE_SETTLES_S)
        # Of one run the later owner stands; of several, which a first start at the same time made, the first run does.
        found = [run for run in self._found(experiment) if is_leased(run.data.tags)]
        first = min(found, key=lambda run: (run.info.start_time, run.info.run_id))
        owner = first.data.tags[OWNER]
        if owner == self.owner:
            return
        if first.info.run_id != self.run_id:
            self._client.delete_run(self.run_id)
        self._run_id = None
        raise UserError(
            f"MLflow at {self._store.shown_uri}: a sweep of the same cells starts, too: {described(owner)}",
            remedy="wait for it, or end it",
        )

    def _is_ours(self) -> bool:
        return bool(self._client.get_run(self.run_id).data.tags.get(OWNER) == self.owner)

    def _was_silent(self) -> bool:
        # The clock that goes on while a machine sleeps, as that of the others does.
        return time.time() - self._beaten_at >= STALE_S

    def _beat(self) -> None:
        """Show that this sweep is at work, unless another has taken it over."""
        began_at = time.time()
        if self._was_silent():
            self._lost = not self._is_ours()
            self.num_silences += 1
        if not self._lost:
            self._client.set_tag(self.run_id, HEARTBEAT, str(now_ms()))
        self._beaten_at = began_at

    def _log_files(self, experiment: Experiment) -> None:
        text = experiment.model_dump_json(indent=2, exclude={"tracking": {"uri"}})
        try:
            self._client.log_text(self.run_id, text, "experiment.json")
            self._client.log_dict(self.run_id, environment(), "environment.json")
        except Exception as error:
            # Which errors, is the artifact store's: a bucket's library may be missing, or its credentials.
            raise TrackingError(
                f"MLflow at {self._store.shown_uri}: its artifacts cannot be written ({kind_and_message(error)})"
            ) from error


def owners_at_work(store: Store) -> set[str]:
    """Return the owners of all sweeps that are at work in `store`."""
    sweeps = store.search(f"tags.`{KIND}` = 'sweep' and attributes.status = 'RUNNING'")
    return {run.data.tags[OWNER] for run in sweeps if is_leased(run.data.tags)}
