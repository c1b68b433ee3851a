"""Legs go where their images are: each is given once, nobody waits while there is one, and one node keeps the order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from unittest.mock import Mock

from hypothesis import given, settings
from hypothesis import strategies as st
from ray.tune.experiment import Trial
from sweep_samples import ERM, MIXUP, ZETA, make_cells

from orchestrator.experiment import Cell, DatasetSpec, Resources
from orchestrator.racing import CellLeg, Course, to_the_end
from orchestrator.records import CellResult, CellRun, Paused, Remark
from orchestrator.sweep.dispatcher import GetReady, Task
from orchestrator.sweep.giving import Giving
from orchestrator.sweep.listener import Listener
from orchestrator.sweep.packing import Packing
from orchestrator.sweep.progress import Progress
from orchestrator.sweep.starting import Starting
from orchestrator.tracking.delivery import Delivery

SETS = [DatasetSpec.model_validate({"name": "image_folder", "folder": name}) for name in ("a", "b", "c")]
FIRST, SECOND, THIRD = SETS
CELLS = make_cells(ERM, MIXUP, ZETA, seeds=(0, 1), datasets=SETS)


def legs_of(*datasets: DatasetSpec) -> list[CellLeg]:
    """Return the first cells of the data sets, each once."""
    left = {spec: [cell for cell in CELLS if cell.dataset == spec] for spec in SETS}
    return [CellLeg(left[spec].pop(0), 5) for spec in datasets]


def test_a_slot_goes_on_with_what_its_node_has_then_with_what_nobody_trains() -> None:
    packing = Packing()
    packing.locate("one", ["x"])
    packing.locate("two", ["y"])
    waiting = legs_of(FIRST, FIRST, SECOND, THIRD)
    assert packing.choose("one", waiting, at_work=[]) == 0
    assert packing.choose("two", waiting, at_work=[FIRST]) == 2
    packing.locate("three", ["y"])
    assert packing.choose("three", legs_of(FIRST, THIRD, SECOND), at_work=[FIRST, SECOND]) == 2
    assert packing.choose("two", legs_of(FIRST, THIRD), at_work=[FIRST, SECOND]) == 1
    assert packing.choose("one", legs_of(THIRD, SECOND), at_work=[FIRST, SECOND, THIRD]) == 0


def test_a_group_on_two_nodes_goes_on_with_what_both_have() -> None:
    packing = Packing()
    packing.locate("one", ["x"])
    packing.hold("one", SECOND)
    packing.locate("both", ["x", "y"])
    packing.hold("both", THIRD)
    assert packing.choose("both", legs_of(SECOND, THIRD), at_work=SETS) == 1


def test_workers_that_came_to_another_node_have_what_that_one_has() -> None:
    packing = Packing()
    for slot, node, spec in (("one", "x", FIRST), ("two", "y", SECOND)):
        packing.locate(slot, [node])
        packing.hold(slot, spec)
    packing.locate("one", ["y"])
    assert packing.choose("one", legs_of(FIRST, SECOND), at_work=SETS) == 1


@given(st.lists(st.sampled_from(SETS), min_size=1, max_size=6), st.sets(st.sampled_from(SETS)), st.booleans())
def test_on_one_node_and_of_one_data_set_it_is_the_first(
    datasets: list[DatasetSpec], at_work: set[DatasetSpec], several: bool
) -> None:
    packing = Packing()
    for slot, node in (("one", "x"), ("two", "y" if several else "x")):
        packing.locate(slot, [node])
        packing.hold(slot, SECOND)
    legs = legs_of(*([datasets[0]] * len(datasets) if several else datasets))
    assert packing.choose("one", legs, at_work=at_work) == 0


class Driver:
    """A listener whose slots are on nodes, each of which has a ticket as long as there are some."""

    def __init__(self, course: Course, nodes: Sequence[str]) -> None:
        self.course, self.nodes, self.dispatcher, self.progress = course, nodes, Mock(), Mock(spec=Progress)
        starting = Starting(lambda: course.num_left, Resources())
        giving = Giving(course, self.dispatcher, starting, Packing())
        self.listener = Listener(course, giving, Mock(spec=Delivery), self.progress, starting, resources=Resources())
        self.trials: dict[int, Mock] = {}
        self.given: dict[str, Cell] = {}
        self.ready: set[str] = set()
        self.dispatcher.give.remote.side_effect = self._take
        self.trained: list[tuple[str, Cell]] = []
        self._num_tickets = 0

    def _take(self, ticket: str, task: Task | GetReady) -> None:
        if isinstance(task, GetReady):
            assert ticket not in self.given
            self.ready.add(ticket)
        else:
            assert ticket not in self.given
            self.given[ticket] = Cell.model_validate(task.cell)
            (slot,) = [slot for slot, trial in self.trials.items() if trial.trial_id == ticket]
            self.trained.append((self.nodes[slot], self.given[ticket]))

    def start(self, slot: int) -> None:
        """Give a slot a ticket."""
        trial = Mock(spec=Trial)
        self._num_tickets += 1
        trial.trial_id, trial.error_file, trial.num_failures = f"ticket {self._num_tickets}", None, 1
        trial.get_error.return_value = "it was killed"
        trial.last_result, trial.metric_analysis, trial.metric_n_steps = {}, {}, {}
        trial.temporary_state = Mock()
        trial.temporary_state.ray_actor._actor_id.hex.return_value = str(slot)
        self.trials[slot] = trial
        self.listener.on_trial_start(0, [], trial)

    def say(self, slot: int, event: object = None, *, waits: bool = False, is_up: bool = True) -> None:
        """Have a slot return from a step."""
        result = {"event": event, "starting": False, "waits": waits, "nodes": [self.nodes[slot]] if is_up else []}
        self.listener.on_trial_result(0, [], self.trials[slot], result)

    def end(self, slot: int) -> None:
        """Have a slot end its leg."""
        self.say(slot, CellResult({}, 1))
        trial = self.trials.pop(slot)
        self.listener.on_trial_complete(0, [], trial)
        del self.given[trial.trial_id]

    def leg_of(self, slot: int) -> Cell | None:
        return self.given.get(self.trials[slot].trial_id)


def test_each_node_trains_the_data_set_that_it_began() -> None:
    """In the order of the file, both nodes would decode both."""
    legs = make_cells(ERM, MIXUP, ZETA, seeds=(0, 1), datasets=[FIRST, SECOND])
    driver = Driver(Course({}, to_the_end(legs)), nodes=["x", "x", "y", "y"])
    for slot in (0, 2, 1, 3):
        driver.start(slot)
        assert driver.leg_of(slot) is None, "it is not known where its workers are"
        driver.say(slot)
    while not driver.course.is_over:
        for slot in [slot for slot in driver.trials if driver.leg_of(slot) is not None]:
            driver.end(slot)
            if driver.course.num_waiting:
                driver.start(slot)
                assert driver.leg_of(slot) is not None, "one with workers does not wait"
    assert {(node, cell.dataset) for node, cell in driver.trained} == {("x", FIRST), ("y", SECOND)}
    assert Counter(cell.key for _, cell in driver.trained) == Counter(cell.key for cell in legs)


def test_no_more_slots_start_workers_than_there_are_legs() -> None:
    (cell,) = make_cells(ERM, seeds=(0,), datasets=[FIRST])
    driver = Driver(Course({}, to_the_end([cell])), nodes=["x", "y"])
    driver.start(0)
    driver.start(1)
    assert driver.ready == {driver.trials[0].trial_id}
    driver.say(1, waits=True, is_up=False)
    assert driver.ready == {driver.trials[0].trial_id}


def test_who_was_not_told_to_get_ready_is_told_again() -> None:
    driver = Driver(Course({}, to_the_end(CELLS)), nodes=["x"])
    driver.start(0)
    driver.ready.clear()
    driver.say(0, waits=False, is_up=False)
    assert driver.ready == set(), "it starts its workers"
    driver.say(0, waits=True, is_up=False)
    assert driver.ready == {driver.trials[0].trial_id}


def test_a_slot_that_knows_where_it_is_and_still_waits_is_given_its_leg_again() -> None:
    driver = Driver(Course({}, to_the_end(CELLS)), nodes=["x"])
    driver.start(0)
    driver.say(0)
    driver.given.clear()
    driver.say(0, waits=True)
    assert driver.leg_of(0) == CELLS[0]


def test_what_workers_without_a_leg_say_is_shown_and_is_waited_for() -> None:
    driver = Driver(Course({}, to_the_end(CELLS)), nodes=["x"])
    driver.start(0)
    driver.say(0, Remark("node y trains nothing"), is_up=False)
    driver.progress.say.assert_called_once_with("node y trains nothing")
    assert list(driver.listener._starting._alive.values()) == [False]
    driver.say(0)
    assert list(driver.listener._starting._alive) == [CELLS[0].key]


def test_a_slot_that_never_starts_its_workers_takes_a_cell_along() -> None:
    """There are as many tickets as cells: its cell would be left at the end, and nobody told why."""
    driver = Driver(Course({}, to_the_end(CELLS[:2])), nodes=["x", "y"])
    driver.start(0)
    driver.listener.on_trial_error(0, [], driver.trials[0])
    assert driver.listener.failed == {CELLS[0].key}


@settings(max_examples=60, deadline=None)
@given(
    order=st.permutations(range(9)),
    nodes=st.lists(st.sampled_from("xyz"), min_size=1, max_size=5),
    data=st.data(),
)
def test_every_leg_is_given_once_and_nobody_waits_while_there_is_one(
    order: list[int], nodes: list[str], data: st.DataObject
) -> None:
    legs = [CELLS[at] for at in order]
    driver = Driver(Course({}, to_the_end(legs)), nodes)
    up: set[int] = set()
    while not driver.course.is_over:
        idle = [slot for slot in range(len(nodes)) if slot not in driver.trials]
        slot = data.draw(st.sampled_from(sorted({*driver.trials, *(idle if driver.course.num_waiting else [])})))
        if slot in idle:
            driver.start(slot)
        elif driver.leg_of(slot) is not None:
            driver.end(slot)
        else:
            up.add(slot)
            driver.say(slot)
        waiting = [slot for slot in driver.trials if slot in up and driver.leg_of(slot) is None]
        assert not (waiting and driver.course.num_waiting)
    assert Counter(cell.key for _, cell in driver.trained) == Counter(cell.key for cell in legs)
    if len(set(nodes)) == 1:
        assert [cell.key for _, cell in driver.trained] == [cell.key for cell in legs]


@settings(max_examples=30, deadline=None)
@given(nodes=st.lists(st.sampled_from("xyz"), min_size=1, max_size=4), data=st.data())
def test_a_race_decides_the_same_whatever_leg_comes_first(nodes: list[str], data: st.DataObject) -> None:
    """A column's next rung is asked for when all of its legs have ended, with the same runs."""
    first, second = ([cell for cell in CELLS if cell.dataset == spec] for spec in (FIRST, SECOND))

    def advance(runs: Mapping[str, CellRun]) -> list[list[CellLeg]]:
        return [
            [CellLeg(cell, 4) for cell in column[:2]]
            if {cell.key for cell in column} <= runs.keys()
            else [CellLeg(cell, 2) for cell in column]
            for column in (first, second)
        ]

    driver = Driver(Course({}, advance), nodes)
    for slot in range(len(nodes)):
        driver.start(slot)
        driver.say(slot)
    while not driver.course.is_over:
        slot = data.draw(st.sampled_from([slot for slot in driver.trials if driver.leg_of(slot) is not None]))
        driver.say(slot, Paused(2, 1))
        trial = driver.trials.pop(slot)
        driver.listener.on_trial_complete(0, [], trial)
        del driver.given[trial.trial_id]
        driver.start(slot)
    trained = Counter(cell.key for _, cell in driver.trained)
    assert trained == Counter({cell.key: 1 + (cell in column[:2]) for column in (first, second) for cell in column})
