"""Optuna's TPE as a pure function of what was asked and what became of it: no study is kept, each is built anew."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.errors import UserError
from orchestrator.search.ledger import Told
from orchestrator.search.ranges import Range
from orchestrator.search.space import Axis, Point, Scalar, Space

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial

_BRANCH = "/branch"
# What it asks may be there already, by the rounding; then it is asked for another.
_TRIES_PER_POINT = 16


def ask_optuna(space: Space, num: int, *, seed: int, told: Sequence[Told] = ()) -> tuple[Point, ...]:
    """Return the next points of a search where Optuna's TPE expects low errors. See `Sampler`.

    Those who trained to the end are told as complete, those who were stopped as pruned, with the mean of their rung.
    Points of one call do not know of each other's results, but keep apart (constant liar).

    Source: Bergstra et al., "Algorithms for hyper-parameter optimization", NeurIPS 2011; multivariate: Falkner et al.,
    "BOHB", ICML 2018.

    Raises:
        UserError: Optuna is not installed.
    """
    known = {each.point for each in told}
    points = dict.fromkeys([point for point in space.fixed if point not in known][:num])
    if not space.drawn:
        return tuple(points)
    with _quietly():
        study = _study(space, told, seed)
        for _ in range(_TRIES_PER_POINT * num):
            if len(points) == num:
                break
            point = _suggested(space, study.ask())
            if point not in known:
                points[point] = None
    return tuple(points)


def _study(space: Space, told: Sequence[Told], seed: int) -> Study:
    optuna = _optuna()
    own_seed = int(np.random.SeedSequence([seed, len(told)]).generate_state(1)[0])
    sampler = optuna.samplers.TPESampler(seed=own_seed, multivariate=True, group=True, constant_liar=True)
    study: Study = optuna.create_study(sampler=sampler)
    study.add_trials([_trial(space, each) for each in told if each.point.branch in space.drawn])
    return study


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise UserError(
            "sampler: optuna, which is not installed",
            allowed="grid, random or qmc without it",
            remedy='pip install "zetasweep[optuna]"',
        ) from error
    return optuna


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep Optuna from telling of a study that nobody sees, and that its options may change."""
    optuna = _optuna()
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(level)


def _trial(space: Space, told: Told) -> FrozenTrial:
    optuna = _optuna()
    state, branch = optuna.trial.TrialState, told.point.branch
    values = dict(told.point.values)
    axes = space.axes(branch)
    params = {_name(space, branch, name): values[name] for name in axes}
    distributions = {_name(space, branch, name): _distribution(axis) for name, axis in axes.items()}
    if len(space.drawn) > 1:
        params[_BRANCH] = branch
        distributions[_BRANCH] = _distribution(space.drawn)
    is_known, is_complete = told.mean is not None, told.mean is not None and told.is_complete
    trial: FrozenTrial = optuna.trial.create_trial(
        state=state.COMPLETE if is_complete else state.PRUNED if is_known else state.FAIL,
        value=told.mean if is_complete else None,
        intermediate_values={told.rung: told.mean} if is_known else {},
        params=params,
        distributions=distributions,
    )
    return trial


def _suggested(space: Space, trial: Trial) -> Point:
    branch = trial.suggest_categorical(_BRANCH, space.drawn) if len(space.drawn) > 1 else space.drawn[0]
    axes = space.axes(branch)
    return Point(branch, tuple((name, _on(trial, _name(space, branch, name), axis)) for name, axis in axes.items()))


def _on(trial: Trial, name: str, axis: Axis) -> Scalar:
    """Return what a trial suggests on an axis, as it is kept."""
    if not isinstance(axis, Range):
        chosen: Scalar = trial.suggest_categorical(name, axis)
        return chosen
    if axis.is_whole:
        return axis.settled(trial.suggest_int(name, int(axis.low), int(axis.last), log=axis.is_log))
    return axis.settled(trial.suggest_float(name, axis.low, axis.high, log=axis.is_log))


def _name(space: Space, branch: str, name: str) -> str:
    return name if name in space.shared else f"{branch}/{name}"


def _distribution(axis: Axis | tuple[str, ...]) -> BaseDistribution:
    distributions = _optuna().distributions
    if not isinstance(axis, Range):
        found = distributions.CategoricalDistribution(axis)
    elif axis.is_whole:
        found = distributions.IntDistribution(axis.low, axis.last, log=axis.is_log)
    else:
        found = distributions.FloatDistribution(axis.low, axis.high, log=axis.is_log)
    return found
