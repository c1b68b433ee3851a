"""MLflow's run of a sweep: the parent of its cells' runs, which one driver at a time has a lease on and keeps open."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from mlflow.entities import LifecycleStage, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME

from orchestrator.errors import TrackingError, UserError
from orchestrator.experiment import Cell, Experiment
from orchestrator.objects import Address
from orchestrator.process_names import described, lasting_clock, this_process
from orchestrator.records import CellRun, now_ms
from orchestrator.results import Answer
from orchestrator.tracking.answer import log_answer, says
from orchestrator.tracking.artifacts import check_location, describe_location, new_location
from orchestrator.tracking.errors import kind_and_message
from orchestrator.tracking.names import CONFIRMS, EXPERIMENT_KIND, HEARTBEAT, KIND, OWNER, SWEEP
from orchestrator.tracking.ownership import STALE_S, heartbeats
from orchestrator.tracking.provenance import environment, git_tags, product_tags
from orchestrator.tracking.race import RACE_FILE
from orchestrator.tracking.store import Store
from orchestrator.tracking.view import view_tag, view_value
from orchestrator.waiting import waiting_for

logger = logging.getLogger(__name__)

# How long a driver waits for another that starts at the same time: whoever writes its name last has the lease.
LEASE_SETTLES_S = 2.0
# So long after its last heartbeat a driver makes sure that its runs are still its own before it writes: others take
# them after twice that.
HOLDS_S = STALE_S / 2


class SweepRun:
    """The run of the sweep that this process is to run.

    Args:
        store: Where it is.
        artifacts: Where new experiments keep their artifacts: a folder, or what ``tracking.artifacts`` says, or an
            address in storage; None leaves it to the server.

    Attributes:
        owner: The name of this process, the driver, in leases.
        confirms: The name of the sweep whose choice it confirms; None if it is a sweep itself.
        num_silences: How often others had time to think that this process is dead, and to take its runs.
    """

    def __init__(self, store: Store, *, artifacts: Path | str | Address | None) -> None:
        self._store, self._client, self._artifacts = store, store.client, artifacts
        self.owner = this_process()
        self.confirms: str | None = None
        self._experiment_id: str | None = None
        self._run_id: str | None = None
        self._at_work = ExitStack()
        self._beaten_at = lasting_clock()
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

    def open(
        self, experiment: Experiment, runs: Mapping[str, CellRun], *, say: Callable[[str], None] = logger.warning
    ) -> None:
        """Open the run, the one of an earlier call if there is one, and take the lease on it.

        Args:
            experiment: The sweep.
            runs: The known runs of its cells.
            say: Shows a line: another machine's driver may have to be looked at for a while.

        Raises:
            UserError: The MLflow experiment was deleted, or another sweep is at work on the same cells.
            TrackingError: MLflow does not answer, or does not take the sweep's files.
        """
        with self._store.answering():
            self._experiment_id = self._known_experiment(experiment)
            if self._experiment_id is None:
                location = self._new_location(experiment)
                if location is not None and self._artifacts is not None:
                    check_location(self._store, location, self._artifacts)
                self._experiment_id = self._client.create_experiment(
                    experiment.tracked_in, artifact_location=location, tags=EXPERIMENT_KIND
                )
            run = self._earlier(experiment)
            self._refuse_second_owner(run, runs, say)
            if run is None:
                tags = {KIND: "sweep", SWEEP: experiment.name, MLFLOW_RUN_NAME: experiment.name}
                tags |= git_tags() | product_tags()
                tags |= {CONFIRMS: self.confirms} if self.confirms is not None else {}
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
            # Who looks does not wait to see heartbeats change.
            others = self._owners(run, runs) & self._store.drivers.seemingly_at_work()
            return ", ".join(map(described, sorted(others))) or None

    def keep_view(self, experiment: Experiment, cells: Sequence[Cell]) -> None:
        """Have MLflow's UI list the view of the open sweep's cells."""
        with self._store.answering():
            known = self._client.get_experiment(self.experiment_id)
            value = view_value(experiment, cells, created_ms=known.creation_time or 0)
            if known.tags.get(view_tag(experiment.name)) != value:
                self._client.set_experiment_tag(self.experiment_id, view_tag(experiment.name), value)

    def says(self, experiment: Experiment, answer: Answer) -> bool:
        """Return whether MLflow has an answer already, or has no run of the sweep that could have it."""
        with self._store.answering():
            self._experiment_id = self._known_experiment(experiment)
            run = self._earlier(experiment) if self._experiment_id is not None else None
            return run is None or says(run, answer)

    def log_answer(self, answer: Answer) -> None:
        """Log what the open sweep says, as its description, a table and metrics, in place of what it said before.

        Raises:
            TrackingError: Another process has taken the sweep over, or MLflow or its artifact store does not take it.
        """
        self._log("what the sweep says", lambda: log_answer(self._client, self.run_id, answer))

    def log_race(self, text: str) -> None:
        """Log what is kept and decided of the open sweep's search, in place of what was before.

        Raises:
            TrackingError: As `log_answer`.
        """
        self._log("the race", lambda: self._client.log_text(self.run_id, text, RACE_FILE))

    def _log(self, what: str, write: Callable[[], None]) -> None:
        try:
            with waiting_for(f"MLflow at {self._store.shown_uri} to take {what}"):
                self.confirm()
                write()
        except TrackingError:
            raise
        except Exception as error:
            # Which errors, is the artifact store's.
            raise TrackingError(
                f"MLflow at {self._store.shown_uri} does not take {what} ({kind_and_message(error)})"
            ) from error

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
            owner = run.data.tags.get(OWNER) if run is not None else None
            if run is not None and run.info.status != "FINISHED" and owner not in self._store.drivers.not_known_dead():
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

    def _owners(self, run: Run | None, runs: Mapping[str, CellRun]) -> set[str]:
        """Return the drivers, but this one, that took the lease on `run` or on the run of one of the cells last."""
        owners = {run.owner for run in runs.values() if run.status in ("running", "interrupted")}
        owners |= {run.data.tags.get(OWNER)} if run is not None else set()
        return {owner for owner in owners if owner} - {self.owner}

    def _refuse_second_owner(self, run: Run | None, runs: Mapping[str, CellRun], say: Callable[[str], None]) -> None:
        """Raise UserError if another driver has the lease on `run` or on the run of one of the cells."""
        others = self._store.drivers.at_work(among=self._owners(run, runs), say=say)
        if others:
            raise UserError(
                f"MLflow at {self._store.shown_uri}: a sweep of the same cells is at work: "
                f"{', '.join(map(described, sorted(others)))}",
                remedy=f"wait for it, or end it; if its machine is gone, this clears within {STALE_S:.0f} s",
            )

    def _take_lease(self, experiment: Experiment) -> None:
        """Take the lease on the run.

        Raises:
            UserError: Another sweep has taken it, or that on a run of its own, at the same time.
        """
        self._beaten_at = lasting_clock()
        tags = {OWNER: self.owner, HEARTBEAT: str(now_ms())}
        self._client.log_batch(self.run_id, tags=[RunTag(name, value) for name, value in tags.items()])
        if self._store.database != experiment.kept_in.database:  # which has a lock
            time.sleep(LEASE_SETTLES_S)
        # Of one run the later owner stands; of several, which a first start at the same time made, the first run does.
        at_work = self._store.drivers.not_known_dead()
        found = [
            run
            for run in self._found(experiment)
            if run.info.status == "RUNNING" and run.data.tags.get(OWNER) in at_work
        ]
        first = min(found, key=lambda run: (run.info.start_time, run.info.run_id), default=None)
        owner = first.data.tags[OWNER] if first is not None else None
        if owner == self.owner:
            return
        if first is not None and first.info.run_id != self.run_id:
            self._client.delete_run(self.run_id)
        self._run_id = None
        # One that came in between the two questions is not among those that were at work at the first.
        who = f": {described(owner)}" if owner is not None else ""
        raise UserError(
            f"MLflow at {self._store.shown_uri}: a sweep of the same cells starts, too{who}",
            remedy="wait for it, or end it",
        )

    def _is_ours(self) -> bool:
        return bool(self._client.get_run(self.run_id).data.tags.get(OWNER) == self.owner)

    def _was_silent(self) -> bool:
        return lasting_clock() - self._beaten_at >= HOLDS_S

    def _beat(self) -> None:
        """Show that this sweep is at work, unless another has taken it over."""
        began_at = lasting_clock()
        self.num_silences += self._was_silent()
        self._lost = self._lost or not self._is_ours()
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
