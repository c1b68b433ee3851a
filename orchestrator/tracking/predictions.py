"""The predictions for each test image among the artifacts of a cell's run."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from mlflow import MlflowClient

from orchestrator.errors import TrackingError, first_line
from orchestrator.storage.atomic import written_whole
from orchestrator.tracking.errors import kind_and_message
from orchestrator.tracking.store import Store

logger = logging.getLogger(__name__)

ARTIFACT = PurePosixPath("test/predictions.npz")


def log_predictions(client: MlflowClient, run_id: str, path: Path) -> None:
    """Log a cell's file of predictions, also to a run that has ended and lacks them."""
    assert path.name == ARTIFACT.name
    client.log_artifact(run_id, str(path), str(ARTIFACT.parent))


def has_predictions(store: Store, run_id: str) -> bool:
    """Return whether a run has them: those of earlier versions have not.

    Raises:
        TrackingError: The artifacts cannot be looked at.
    """
    with _reaching(store, "looked at"):
        return str(ARTIFACT) in {item.path for item in store.client.list_artifacts(run_id, str(ARTIFACT.parent))}


def add_predictions(store: Store, run_id: str, path: Path) -> None:
    """Log them to a run that lacks them.

    Raises:
        TrackingError: The artifacts cannot be written to.
    """
    with _reaching(store, "written to"):
        log_predictions(store.client, run_id, path)


def fetch_predictions(store: Store, run_id: str, path: Path) -> bool:
    """Write those of a run to `path`, whole or not at all; return whether it has any.

    Raises:
        TrackingError: The artifacts cannot be read.
        OSError: There is no room for them.
    """
    if not has_predictions(store, run_id):
        return False
    with tempfile.TemporaryDirectory() as temporary, _reaching(store, "read"):
        content = Path(store.client.download_artifacts(run_id, str(ARTIFACT), temporary)).read_bytes()
    with written_whole(path) as file:
        file.write(content)
    return True


class FetchedOrNot:
    """Fetches the predictions of runs; artifacts that cannot be reached are said once, and not asked for any more.

    Args:
        connect: Returns the store, if that must be asked.
        lost: What is missing then, a clause.
    """

    def __init__(self, connect: Callable[[], Store], *, lost: str) -> None:
        self._connect, self._lost = connect, lost
        self._store: Store | None = None
        self._is_reached = True

    def __call__(self, run_id: str, path: Path) -> bool:
        """Write those of a run to `path`, whole or not at all; return whether they are there."""
        if not self._is_reached:
            return False
        try:
            self._store = self._store or self._connect()
            return fetch_predictions(self._store, run_id, path)
        except (TrackingError, OSError) as error:
            self._is_reached = False
            logger.warning("%s: %s", first_line(error), self._lost)
            return False


@contextmanager
def _reaching(store: Store, how: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        # Which errors, is the artifact store's.
        raise TrackingError(
            f"MLflow at {store.shown_uri}: its artifacts cannot be {how} ({kind_and_message(error)})"
        ) from error
