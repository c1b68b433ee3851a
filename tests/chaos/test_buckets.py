"""Sweeps whose results are kept in a bucket: workers, driver and cluster are killed, and requests fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from uuid import uuid4

import pytest
from bucket_sweeps import BucketSweep
from report import Report
from s3_server import BUCKET, environment_of, proxy_before
from servers import MlflowServer
from strikes import strike
from sweeps import SAVES_OFTEN, TWO_CELLS, Sweep
from undisturbed import Undisturbed

from orchestrator.objects import Address

pytest.importorskip("obstore", reason="obstore is not installed: pip install zetasweep[objects]")
# A cell is not to be given up, however often it is hit.
PATIENT = "resources.max_failures=1000"
FEW_EPOCHS = "train.epochs=12"
# Of the requests to the bucket in the chaos scenario.
DELAY_S, SHARE = 0.2, 0.05

MakeBucketSweep = Callable[..., BucketSweep]


@pytest.fixture
def make_bucket_sweep(
    s3: str,
    server: MlflowServer,
    chaos_environment: dict[str, str],
    experiment_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[MakeBucketSweep]:
    """Makes sweeps whose results go to a bucket; whatever is left of them at the end is ended."""
    for name, value in environment_of(s3).items():
        monkeypatch.setenv(name, value)
    made: list[BucketSweep] = []

    def make(choice: tuple[str, ...], *settings: str, through: str = s3) -> BucketSweep:
        address = Address.of(f"s3://{BUCKET}/{uuid4().hex}")
        environment = chaos_environment | environment_of(through) | {"ZETASWEEP_CACHE": str(tmp_path / "cache")}
        settings = (f"tracking.uri=http://127.0.0.1:{server.port}", *settings)
        made.append(
            BucketSweep(
                experiment_file, address, address.as_here(), environment, tmp_path, choice=choice, settings=settings
            )
        )
        return made[-1]

    yield make
    for sweep in made:
        sweep.close()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_sweep_in_a_bucket_leaves_what_one_in_a_folder_does(
    make_bucket_sweep: MakeBucketSweep,
    chaos_environment: dict[str, str],
    experiment_file: Path,
    tmp_path: Path,
    random: Random,
) -> None:
    """A worker is killed, and the driver: the same rows, weights and tables."""
    choice = (*TWO_CELLS, FEW_EPOCHS)
    in_folder = Sweep(experiment_file, tmp_path / "runs", chaos_environment, tmp_path, choice=choice)
    expected, report = Undisturbed(in_folder), Report()
    sweep = make_bucket_sweep(choice, PATIENT, SAVES_OFTEN)
    sweep.start()
    faults = ["SIGKILL of a worker", "SIGKILL of the driver"]
    for number, fault in enumerate(faults):
        sweep.until_epoch(3 + 10 * number)
        strike(fault, sweep, random, report)
    assert sweep.wait() == 0, sweep.output
    expected.assert_same(sweep, report, faults)
    # What killed processes have copied goes with the next.
    assert list((tmp_path / "cache" / "storage").iterdir()) == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_sweep_whose_storage_another_one_takes_over_ends_and_fails_no_cell(
    make_bucket_sweep: MakeBucketSweep,
) -> None:
    """As if its machine had slept, and the other had watched the lock meanwhile."""
    sweep = make_bucket_sweep((*TWO_CELLS, FEW_EPOCHS), PATIENT)
    sweep.start()
    sweep.until_epoch(3)
    sweep.take_over()
    assert sweep.wait() == 1, sweep.output
    assert "another sweep has taken it over" in sweep.output
    assert "failed" not in sweep.output
    assert sweep.finished_epochs() < sweep.epochs * len(sweep.keys), "it did not end by itself"
    sweep.start()
    assert sweep.wait() == 0, sweep.output


@pytest.mark.chaos
@pytest.mark.timeout(3600)
def test_kills_while_requests_are_slow_and_fail(
    make_bucket_sweep: MakeBucketSweep, s3: str, undisturbed: Undisturbed, random: Random, report: Report
) -> None:
    faults = [
        "SIGKILL of a worker",
        "SIGKILL of the driver",
        "SIGKILL of all workers of a slot",
        "SIGKILL of the local cluster",
        "SIGKILL of a worker",
        "SIGKILL of the driver",
    ]
    with proxy_before(s3, seed=random.randrange(2**32)) as proxy:
        proxy.delay_s, proxy.share = DELAY_S, SHARE
        # All cells: an epoch takes less than the put of its checkpoint, and two of them end before the last fault.
        sweep = make_bucket_sweep((), PATIENT, through=proxy.url)
        sweep.start()
        total = sweep.epochs * len(sweep.keys)
        for number, fault in enumerate(faults):
            sweep.until_epoch(2 + number * (total - 4) // len(faults))
            strike(fault, sweep, random, report)
        assert sweep.wait() == 0, sweep.output
        assert proxy.bad > 10
        report.notes.append(f"{proxy.bad} requests to the bucket failed, all took {DELAY_S:g} s more")
        undisturbed.assert_same(sweep, report, faults)
