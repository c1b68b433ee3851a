"""A search is followed from its runs alone: whatever happens meanwhile, it is the same search."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_races import EPOCHS, LISTS, RANGES, Simulated, finished, opened

from orchestrator.errors import UserError
from orchestrator.experiment import Experiment, columns, expand
from orchestrator.plan import searched
from orchestrator.racing import Following, Kept, known_configurations, lacks_curve, read_at, record
from orchestrator.records import CellRun, Curve
from orchestrator.search import SAMPLERS, ladder, most_epochs

CHANCE = st.integers(0, 2**32 - 1).map(Random)


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    return opened(tmp_path_factory.mktemp("lists"), LISTS)


@pytest.fixture(scope="module")
def ranges(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    return opened(tmp_path_factory.mktemp("ranges"), RANGES)


def test_a_race_trains_less_than_the_grid_and_ends_with_a_winner_that_has_all_seeds(lists: Experiment) -> None:
    simulated = Simulated(lists)
    followed = simulated.drive()
    (column,) = followed.columns
    assert followed.is_over
    assert column.winner is not None
    assert all(simulated.runs[key].status == "done" for key in column.cells[column.winner])
    assert followed.epochs.of_grid == 7 * 3 * EPOCHS
    assert followed.epochs.trained == len(simulated.trained) <= followed.epochs.at_most < followed.epochs.of_grid
    assert len(set(simulated.trained)) == len(simulated.trained), "no epoch is trained twice"
    (erm,) = (name for name, cells in column.cells.items() if next(iter(cells.values())).augment.name == "erm")
    assert erm not in column.stopped


@given(CHANCE)
@settings(max_examples=10, deadline=None)
def test_neither_order_nor_slots_nor_kills_nor_failures_change_a_race(lists: Experiment, random: Random) -> None:
    fails = {cell.key: random.randint(1, EPOCHS) for cell in random.sample(expand(lists), random.choice([0, 0, 1, 3]))}
    undisturbed = Simulated(lists, fails=fails)
    disturbed = Simulated(lists, fails=fails)
    followed = undisturbed.drive()
    for _ in range(random.randrange(6)):
        disturbed.drive(random, slots=random.randint(1, 5), ends_to_live=random.randrange(8))
    again = disturbed.drive(random, slots=random.randint(1, 5))
    assert again.columns[0].search == followed.columns[0].search
    assert sorted(disturbed.trained) == sorted(undisturbed.trained)
    assert record(again) == record(followed)


def test_a_second_run_trains_nothing_and_without_the_search_exactly_the_rest_is_left(lists: Experiment) -> None:
    simulated = Simulated(lists)
    simulated.drive()
    trained = list(simulated.trained)
    assert simulated.drive().legs == ()
    assert simulated.trained == trained
    whole = {(cell.key, epoch) for cell in expand(lists) for epoch in range(1, EPOCHS + 1)}
    reached = {key: run.epoch for key, run in simulated.runs.items()}
    assert {each for each in whole if each[1] > (reached.get(each[0]) or 0)} == whole - set(trained)


@pytest.mark.parametrize(
    "override", ["seed=[3,1,2,7]", "augment=[erm, {mixup: {alpha: [0.2, 0.5, 1.0, 2.0]}}]"], ids=["seed", "value"]
)
def test_what_is_appended_goes_on_with_what_is_trained(tmp_path: Path, override: str) -> None:
    before = Simulated(opened(tmp_path, LISTS))
    before.drive()
    longer = Simulated(opened(tmp_path, LISTS, override))
    longer.runs, longer.kept, longer.trained = before.runs, before.kept, []
    anew = Simulated(longer.experiment)
    assert record(longer.drive())["columns"] == record(anew.drive())["columns"], (
        "as if it had been there from the start"
    )
    assert not set(longer.trained) & set(before.trained)


def test_what_a_grid_had_trained_takes_nothing_from_what_is_left_at_most(tmp_path: Path) -> None:
    """Seed 0 of twelve configurations to the end; then four more seeds, and a race: 420 epochs were said, not 720."""
    text = LISTS.replace("gamma: [2.0, 2.8, 4.0]", "gamma: [2.0, 2.2, 2.4, 2.6, 2.8, 3.0, 3.2, 4.0]")
    text = text.replace("epochs: 8", "epochs: 60")
    grid = Simulated(opened(tmp_path, text, "search={race: none}", "seed=[0]"))
    grid.drive()
    raced = Simulated(opened(tmp_path, text, "seed=[0,1,2,3,4]", "search.keep=[]"))
    raced.runs = {
        key: replace(run, curve=Curve.of(finished(key, 60), at=range(1, 61), by="error"))
        for key, run in grid.runs.items()
    }
    looks = [raced.drive(ends_to_live=0).epochs]
    assert looks[0].trained == 12 * 60
    while not raced.drive(ends_to_live=4).is_over:
        looks.append(raced.followed.epochs)
    last = raced.followed.epochs
    assert last.trained == last.at_most == 12 * 60 + len(raced.trained)
    assert all(last.at_most <= look.at_most <= looks[0].at_most for look in looks)


def test_with_one_seed_more_a_sampler_is_not_asked_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Optuna need not be installed: what is asked in batches is what matters.
    monkeypatch.setitem(SAMPLERS, "optuna", SAMPLERS["random"])
    before = Simulated(opened(tmp_path, RANGES, "search.sampler=optuna", "search.batch=3"))
    before.drive()
    longer = Simulated(opened(tmp_path, RANGES, "search.sampler=optuna", "search.batch=3", "seed=[0,1,2]"))
    longer.kept = before.kept
    longer.drive()
    assert (before.num_asked, longer.num_asked) == (2, 0)
    assert known_configurations(longer.experiment, longer.kept) == longer.drive().configurations
    assert len(longer.drive().configurations) == 6


def test_what_is_kept_is_not_asked_again_and_nobody_else_asks(ranges: Experiment) -> None:
    simulated = Simulated(ranges)
    simulated.drive(ends_to_live=3)
    simulated.drive()
    assert simulated.num_asked == 1
    looking = Following(ranges, columns(ranges))
    assert looking.followed(simulated.runs, simulated.kept).columns[0].winner == simulated.drive().columns[0].winner
    nothing = looking.followed({}, Kept(sweep="ranges"))
    assert (nothing.cells, nothing.legs, nothing.is_over) == ((), (), False)


def test_what_is_kept_survives_a_file(ranges: Experiment, tmp_path: Path) -> None:
    simulated = Simulated(ranges)
    simulated.drive()
    kept = simulated.kept.model_copy(update={"epoch_s": {"place": 7.5}})
    kept.save(tmp_path / "race" / "ranges.json")
    assert Kept.load(tmp_path / "race" / "ranges.json") == kept
    assert Kept.load(tmp_path / "other.json") is None
    (tmp_path / "damaged.json").write_text('{"format": 2, "sweep": "ranges"}')
    with pytest.raises(UserError, match=r"damaged\.json: nothing that this version of zetasweep reads.*\(format"):
        Kept.load(tmp_path / "damaged.json")


def test_hours_become_epochs_once_after_the_first_rung_and_a_race_gets_what_it_cannot_do_without(
    tmp_path: Path,
) -> None:
    """An epoch takes two seconds here."""
    for hours, expected in (
        (40 * 2 / 3600, 40),
        (1 / 3600, most_epochs([r._replace(keep=1) for r in ladder(6, 2, 8)], 6)),
    ):
        simulated = Simulated(opened(tmp_path, RANGES, f"search.budget={{device_hours: {hours}}}"))
        simulated.drive(ends_to_live=5)
        assert simulated.kept.epoch_s == {}, "the first rung is not over"
        followed = simulated.drive()
        assert [*simulated.kept.epoch_s.values()] == [2.0]
        assert followed.columns[0].budget == expected
        assert followed.is_over
        assert followed.epochs.trained <= expected
        assert record(Simulated(simulated.experiment).drive())["columns"] == record(followed)["columns"]


@pytest.mark.parametrize(
    "override",
    ["seed=[0,1,2,3,4]", "search.keep=[erm]", "search.num_samples=12", f"search.budget.device_hours={400 * 2 / 3600}"],
    ids=["seeds", "keep", "samples", "hours"],
)
def test_hours_are_what_the_file_says_now_by_the_speed_of_then(tmp_path: Path, override: str) -> None:
    hours = f"search.budget={{device_hours: {26 * 2 / 3600}}}"
    before = Simulated(opened(tmp_path, RANGES, hours))
    before.drive()
    after = Simulated(opened(tmp_path, RANGES, hours, override))
    after.runs, after.kept = before.runs, before.kept
    anew = Simulated(after.experiment)
    now, from_start = after.drive(), anew.drive()
    assert now.columns[0].budget == from_start.columns[0].budget
    assert now.columns[0].winner == from_start.columns[0].winner
    assert not after.followed.legs


@given(st.integers(120, 330), st.booleans(), CHANCE)
@settings(max_examples=12, deadline=None)
def test_a_budget_that_ends_between_batches_ends_the_search_as_planned(
    tmp_path_factory: pytest.TempPathFactory, epochs: int, is_kept: bool, random: Random
) -> None:
    """As with Optuna, which need not be there: what is asked in batches is what matters."""
    keep = "[erm]" if is_kept else "[]"
    rest = f"race: ladder, keep: {keep}, budget: {{epochs: {epochs}}}"
    search = f"search={{sampler: optuna, num_samples: 24, batch: 6, {rest}}}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SAMPLERS, "optuna", SAMPLERS["random"])
        experiment = opened(tmp_path_factory.mktemp("batches"), RANGES, search, "seed=[0,1,2]")
        simulated = Simulated(experiment)
        simulated.drive(random, slots=3, ends_to_live=random.randrange(30))
        followed = simulated.drive()
        (planned,) = searched(experiment)
    assert followed.is_over
    assert len(simulated.trained) <= planned.epochs == followed.epochs.at_most <= epochs
    assert [len(race.points) for race in followed.columns[0].search.races] == [each.num for each in planned.batches]
    assert known_configurations(experiment, simulated.kept) == followed.configurations


@given(CHANCE)
@settings(max_examples=10, deadline=None)
def test_a_rung_waits_for_a_cell_that_was_lost_and_the_next_run_goes_on_with_it(
    lists: Experiment, random: Random
) -> None:
    """As if nothing had been lost: a node that dies is not what a configuration is judged by."""
    losses = {cell.key: random.randint(1, EPOCHS) for cell in random.sample(expand(lists), 3)}
    undisturbed, disturbed = Simulated(lists), Simulated(lists, losses=losses)
    followed = undisturbed.drive()
    before = disturbed.drive(random, slots=random.randint(1, 5))
    assert before.is_over != any(run.is_lost for run in disturbed.runs.values())
    disturbed.losses.clear()
    assert record(disturbed.drive(random, slots=random.randint(1, 5))) == record(followed)


def test_a_configuration_with_a_failed_seed_goes_no_further(lists: Experiment) -> None:
    """Each later mean would lack the seed; erm, which is kept, is no exception."""
    lost = {cell.key for cell in expand(lists) if cell.seed == 3 and cell.augment.name != "zeta_mixup"}
    simulated = Simulated(lists, fails=dict.fromkeys(lost, 1))
    followed = simulated.drive()
    trained = {key for key, _ in simulated.trained}
    beaten = {cell.key for cell in expand(lists) if cell.augment.name != "zeta_mixup"}
    assert not trained & beaten
    assert followed.columns[0].winner is not None


def test_a_budget_that_does_not_suffice_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    simulated = Simulated(opened(tmp_path, RANGES))
    tight = simulated.experiment.model_copy(update={"search": replace_budget(simulated.experiment, epochs=5)})
    with pytest.raises(UserError, match="budget: 5 epochs"):
        Simulated(tight).drive()


def replace_budget(experiment: Experiment, **budget: object) -> object:
    assert experiment.search is not None
    return experiment.search.model_validate(experiment.search.model_dump() | {"budget": budget})


def test_the_runs_are_seen_as_the_race_sees_them(lists: Experiment) -> None:
    simulated = Simulated(lists)
    simulated.drive(ends_to_live=12)
    followed = Following(lists, columns(lists)).followed(simulated.runs, simulated.kept)
    seen = followed.seen(simulated.runs)
    states = {run.status for run in seen.values()}
    assert states >= {"stopped", "paused"}
    for cell in followed.cells:
        run, stop = seen.get(cell.key), followed.stop_of(cell.key)
        assert (run is not None and run.status == "stopped") == (stop is not None)
        if run is not None and run.status == "paused":
            assert cell.key not in {leg.cell.key for leg in followed.legs}
    done = simulated.drive().seen(simulated.runs)
    assert {run.status for run in done.values()} == {"done", "stopped"}


def test_the_last_epoch_counts_once_it_is_tested(lists: Experiment) -> None:
    """A driver was killed before the test: who has no result cannot win."""
    simulated = Simulated(lists)
    winner = simulated.drive().columns[0].winner
    assert winner is not None
    key = next(key for key in simulated.drive().columns[0].cells[winner])
    simulated.runs[key] = replace(simulated.runs[key], status="interrupted")
    following = Following(lists, columns(lists))
    assert [leg.cell.key for leg in following.followed(simulated.runs, simulated.kept).legs] == [key]
    simulated.runs[key] = replace(simulated.runs[key], status="failed")
    assert following.followed(simulated.runs, simulated.kept).columns[0].winner != winner


def test_cells_that_were_trained_without_a_race_are_in_it_once_their_history_is_read(lists: Experiment) -> None:
    cells = expand(lists)
    at = read_at(EPOCHS, lists.search)
    assert at == {2, 4, 8}
    bare = {
        cell.key: CellRun(key=cell.key, status="done", run_id="r", epoch=EPOCHS, epochs=EPOCHS) for cell in cells[:9]
    }
    assert all(lacks_curve(run, at) for run in bare.values())
    following = Following(lists, columns(lists))
    legs = following.followed(bare, Kept(sweep="lists")).legs
    assert {cell.key for cell in cells[:7]} == {leg.cell.key for leg in legs}, "what is not known was not bad"
    known = {
        cell.key: replace(bare[cell.key], curve=Curve.of(finished(cell.key, EPOCHS), at=at, by="error"))
        for cell in cells[:9]
    }
    assert not any(lacks_curve(run, at) for run in known.values())
    assert {leg.until for leg in following.followed(known, Kept(sweep="lists")).legs} == {4}


@pytest.mark.slow
def test_of_a_thousand_configurations_a_rung_is_decided_within_a_second_and_memory_stays_flat(tmp_path: Path) -> None:
    text = RANGES.replace("num_samples: 6", "num_samples: 1000").replace("seed: [0, 1]", "seed: [0, 1, 2]")
    simulated = Simulated(opened(tmp_path, text))
    followed = simulated.drive(Random(0), slots=8)
    assert followed.is_over
    assert len(simulated.runs) >= 1000
    # The first reads a thousand configurations, as a file that lists them is read.
    assert len(simulated.decided_s) == 5
    assert max(simulated.decided_s[1:]) < 1, simulated.decided_s
    assert simulated.held_bytes[-1] < 1.05 * simulated.held_bytes[0], simulated.held_bytes
