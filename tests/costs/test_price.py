"""What an hour costs, as it is written; and how money and hours are."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sweep_samples import ERM, make_cells, make_run

from orchestrator.costs import Price, duration_text, hours_text, money_of, money_text
from orchestrator.errors import UserError
from orchestrator.experiment import Resources

GPUS = Resources(workers=2, cpus_per_worker=4, gpus_per_worker=1)
QUARTER = Resources(gpus_per_worker=0.25)


@pytest.mark.parametrize(
    "text", ["abc", "", "0/gpu-hour", "-1/gpu-hour", "2.5", "2.5/hour", "2,5/gpu-hour", "inf/cpu-hour"]
)
def test_what_is_no_price_is_said_in_a_sentence(text: str) -> None:
    with pytest.raises(UserError) as error:
        Price.parse(text, GPUS)
    first, allowed = str(error.value).splitlines()
    assert first == f"--price {text}: no price"
    assert "2.5/gpu-hour" in allowed


def test_a_price_of_gpus_that_nobody_uses_is_refused() -> None:
    with pytest.raises(UserError, match="the cells use no GPU"):
        Price.parse("2.5/gpu-hour", Resources())
    assert str(Price.parse("0.04/cpu-hour", Resources())) == "0.04/cpu-hour"


@pytest.mark.parametrize(
    ("text", "resources", "paid"),
    [
        ("2.5/gpu-hour", GPUS, 5.0),  # of one worker; that two train is in its seconds
        ("0.04/cpu-hour", GPUS, 0.32),
        ("2/gpu-hour", QUARTER, 1.0),
    ],
)
def test_a_worker_pays_for_what_it_has(text: str, resources: Resources, paid: float) -> None:
    assert Price.parse(text, resources).of(7200, resources) == pytest.approx(paid)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.523, "0.52 s"),
        (9.96, "10 s"),
        (41.4, "41 s"),
        (99.6, "1 min 40 s"),
        (200, "3 min 20 s"),
        (3000, "50 min"),
        (7500, "2 h 05 min"),
        (7199, "2 h 00 min"),
        (267_840, "3.1 days"),
    ],
)
def test_hours_are_written_so_that_they_are_read_at_a_glance(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_hours_of_devices_are_no_powers_of_ten() -> None:
    assert [hours_text(hours) for hours in (1234.4, 99.96, 12.34, 0.02222)] == ["1,234", "100", "12.3", "0.0222"]


def test_a_run_has_cost_what_it_was_placed_on() -> None:
    cell = make_cells(ERM, seeds=(0,))[0]
    run = replace(make_run(cell, {}), layout=Resources(gpus_per_worker=1).layout)
    assert money_of(Price(2.0, "gpu"), 3600, run, QUARTER) == 2.0
    assert money_of(Price(2.0, "gpu"), 3600, None, QUARTER) == 0.5


def test_a_tiny_amount_of_money_is_not_nothing() -> None:
    assert [money_text(amount) for amount in (0.0, 0.00123, 0.5, 1234.5)] == ["0.00", "0.0012", "0.50", "1,234.50"]
