"""What is known of an experiment's cells, as tables of pandas."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any, Literal

import pandas as pd

from orchestrator.column_names import IDENTITY, RUN, STATE
from orchestrator.environment import prepare_program
from orchestrator.errors import UserError, nearest
from orchestrator.experiment import Cell, Experiment
from orchestrator.opened import Opened
from orchestrator.plugins import carried
from orchestrator.records import CellRun
from orchestrator.results import Column, Names, check_asked, check_metric_is_there, lay_out
from orchestrator.shown_warnings import warnings_shown_by
from orchestrator.storage import Predictions
from zetasweep import _overrides
from zetasweep._comparison import Compared


def results(
    experiment: _overrides.Path,
    *,
    overrides: _overrides.Overrides = (),
    plugins: Sequence[_overrides.Path] | None = None,
    confirmed: bool = False,
) -> Results:
    """Return what is known of the cells of an experiment: their runs in MLflow, and what storage has beside them.

    Args:
        experiment: The YAML file.
        overrides: Of its keys, as the sweep was run with: ``{"train.epochs": 2}``, or ``["train.epochs=2"]``.
        plugins: Code of your own that the sweep was run with, see `zetasweep.load`.
        confirmed: Of what ``zetasweep confirm`` has trained, and of nothing else.

    Raises:
        UserError: Anything is wrong with file or overrides, or nothing is confirmed.
    """
    file = _overrides.file_of(experiment)
    # Before Ray and MLflow are imported.
    prepare_program()
    _overrides.use(plugins)
    return Results(Opened(file, _overrides.written(overrides)).part(confirmed=confirmed))


class Results:
    """The results of an experiment, read once, when they are first asked for; `results` again reads them anew.

    Code of your own that it was opened with is used again, as it was then, whenever something is asked.

    Args:
        opened: The experiment.
    """

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        # As they were read: another call may use others, or the user may edit them.
        self._plugins = carried()

    @property
    def experiment(self) -> Experiment:
        """What the file says."""
        return self._opened.experiment

    @cached_property
    def cells(self) -> pd.DataFrame:
        """One row for each cell, in the experiment's order.

        - ``key``; ``dataset``, ``model`` and ``row`` as the table of `compare` has them; ``augment``
        - under the names of the file, typed, what some cell has: parameters of augmentations (``gamma``,
          ``num_mixed``, ``alpha``, …; a schedule as labels have it), options of models (``model.…``) and data sets
          (``dataset.…``), ``train.…``
        - ``seed`` and ``fold``
        - ``state``: ``missing``, ``running``, ``interrupted``, ``failed``, ``trained`` (in storage alone) or ``done``;
          ``reason``: why it failed; ``epoch``: the last one
        - every metric under its name, e.g. ``test/error`` in [0, 1]
        - ``run_id`` of MLflow, and ``link`` to its page, where a server has one

        Raises:
            TrackingError: MLflow does not answer.
            UserError: The MLflow store cannot be used.
        """
        self._plugins.use()
        link = self._links()
        layout = lay_out(self._opened.cells)
        at = {cell: place for place, cells in layout.cells.items() for cell in cells}
        table = pd.DataFrame([_row(cell, at[cell], self._runs.get(cell.key), link) for cell in self._opened.cells])
        metrics = sorted({name for run in self._runs.values() for name in run.metrics} & set(table.columns))
        last = [*STATE, *metrics, *RUN]
        between = [name for name in table.columns if name not in {*IDENTITY, *last}]
        return table[[*IDENTITY, *between, *last]]

    def compare(
        self,
        *,
        metric: str | None = None,
        baseline: str | None = None,
        best_of: Sequence[str] = (),
        family: Literal["column", "table"] | None = None,
    ) -> Compared:
        """Compare the augmentations, as ``zetasweep compare`` does; that the seeds were looked at is kept in storage.

        Args:
            metric: ``test/…``, ``val/…`` or ``best/…``; ``error`` means ``test/error``. None for ``compare.metric`` of
                the file.
            baseline: The row that the others are compared with; None for ``compare.baseline`` of the file, or erm.
            best_of: Settings, e.g. ``["train.lr"]``: of rows that differ in these alone the one is shown that
                validation prefers.
            family: What is wrong at all in one of twenty at most; None for ``compare.family`` of the file.

        Raises:
            UserError: No such metric, row or setting.
            TrackingError: MLflow does not answer.
        """
        from orchestrator.opened.compared import comparison_of  # MLflow

        self._plugins.use()
        names = Names(self.experiment.names)
        row = None if baseline is None else names.label(baseline)
        check_asked(
            self._opened.cells,
            metric=metric,
            baseline=row,
            best_of_settings=best_of,
            is_searched=self._opened.experiment.search is not None,
        )
        comparing = self.experiment.compare.model_copy(update={} if family is None else {"family": family})
        with _told():
            comparison = comparison_of(
                self._opened,
                self._runs,
                metric=metric,
                baseline=row,
                comparing=comparing,
                best_of_settings=best_of,
            )
        check_metric_is_there(comparison)
        return Compared(comparison, names, self._runs)

    def predictions(self, cell: str | Mapping[str, Any] | pd.Series[Any] | Cell) -> Predictions:
        """Return what a finished cell says of each test image.

        Args:
            cell: Its key, or a row of `cells`.

        Returns:
            Arrays, one entry for each image of the test split in its own order: ``labels``, ``predicted``, ``loss``,
            ``confidence``, and of at most 100 classes ``logits``.

        Raises:
            UserError: The experiment has no such cell, it is not finished, or its predictions are not kept.
            TrackingError: MLflow does not answer.
        """
        from orchestrator.opened.tracked import predictions_of, tracker_of  # MLflow
        from orchestrator.tracking import fetch_predictions

        self._plugins.use()
        asked = self._cell(cell if isinstance(cell, str) else cell.key if isinstance(cell, Cell) else cell["key"])
        tracker = tracker_of(self._opened) if self._opened.store_is_there else None
        fetch = partial(fetch_predictions, tracker.store) if tracker is not None else None
        with _told():
            found = predictions_of(self._opened, fetch, self._runs, asked)
        if found is None:
            run = self._runs.get(asked.key)
            done = run is not None and run.has_result
            raise UserError(
                f"{asked.key} ({asked.label}): " + ("no predictions are kept" if done else "not finished yet"),
                remedy=f"zetasweep {'doctor --fix' if done else 'run'} {self.experiment.file}",
            )
        return found

    def __repr__(self) -> str:
        done = sum(run.status == "done" for run in self._runs.values())
        return f"Results of {self.experiment.file}: {done} of {len(self._opened.cells)} cells done"

    def _repr_html_(self) -> str:
        shown: str = self.cells.to_html(max_rows=20)
        return shown

    @cached_property
    def _runs(self) -> Mapping[str, CellRun]:
        from orchestrator.opened.tracked import runs_of  # MLflow

        self._plugins.use()
        with _told():
            return runs_of(self._opened)

    def _links(self) -> Callable[[CellRun], str | None]:
        from orchestrator.opened.tracked import tracker_of
        from orchestrator.tracking import run_links

        return run_links(tracker_of(self._opened).store) if self._opened.store_is_there else lambda _: None

    def _cell(self, key: str) -> Cell:
        cells = {cell.key: cell for cell in self._opened.cells}
        if key not in cells:
            meant = nearest(key, list(cells))
            raise UserError(
                f"{key}: {self.experiment.file} has no such cell",
                allowed="a key of the column key of .cells, or a row of it",
                remedy=f"perhaps {meant}" if meant else "",
            )
        return cells[key]


def _row(
    cell: Cell, place: tuple[str, Column], run: CellRun | None, link: Callable[[CellRun], str | None]
) -> dict[str, Any]:
    row, column = place
    values = {name: value for name, value in cell.values().items() if name not in ("seed", "dataset.fold")}
    return {
        "key": cell.key,
        **values,
        "dataset": column.dataset,
        "model": column.model,
        "row": row,
        "seed": cell.seed,
        "fold": cell.dataset.fold,
        "state": run.status if run is not None else "missing",
        "reason": run.reason if run is not None else None,
        "epoch": run.epoch if run is not None else None,
        **(run.metrics if run is not None else {}),
        "run_id": run.run_id if run is not None else None,
        "link": link(run) if run is not None else None,
    }


@contextmanager
def _told() -> Iterator[None]:
    """Have warnings, such as what is waited for, be shown."""
    with warnings_shown_by(partial(print, file=sys.stderr)):
        yield
