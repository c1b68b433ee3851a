"""What `run` refuses before it makes anything, and `plan` finds out beforehand."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.environment import RAY_ADDRESS, ray_address
from orchestrator.errors import UserError
from orchestrator.experiment import DatasetSpec, Resources
from orchestrator.opened.experiment import Opened
from orchestrator.plan import DataFound, Layout, Node, check_inputs, local_node


def check_start(opened: Opened, place: Callable[[Resources, Node], Layout]) -> dict[DatasetSpec, DataFound]:
    """Check what a sweep rests on: data, models, folders, and the layout on this machine if it is to run here.

    Nothing is made, and no image is decoded but those of embedded sets.

    Args:
        opened: The experiment.
        place: Places it on this machine.

    Returns:
        Each data set, as it is now.

    Raises:
        UserError: All that is wrong.
    """
    problems: list[str] = []
    data: dict[DatasetSpec, DataFound] = {}
    checks: list[Callable[[], object]] = [
        lambda: data.update(check_inputs(opened.experiment)),
        opened.storage.check_writable,
        lambda: _check_database(opened),
    ]
    if ray_address() is None:
        checks.append(lambda: place(opened.experiment.resources, local_node()))
    for check in checks:
        try:
            check()
        except UserError as error:
            problems.append(str(error))
    if problems:
        raise UserError("\n".join(problems))
    return data


def check_joins(gpus: int | None) -> None:
    """Raise UserError if no node can be asked: no cluster is joined, or another machine is meant."""
    if gpus is not None:
        raise UserError(f"--nodes: --gpus {gpus} plans for a machine that is not there", remedy="leave one of them out")
    if ray_address() is None:
        raise UserError(
            "--nodes: no cluster is joined, run would start its own on this machine",
            remedy=f"name the cluster by {RAY_ADDRESS}=HOST:PORT, or leave --nodes out",
        )


def _check_database(opened: Opened) -> None:
    if opened.tracking_uri and opened.database is not None:
        # MLflow takes seconds to import, which a store in storage need not pay.
        from orchestrator.tracking import check_can_make

        check_can_make(opened.database, opened.origin)
