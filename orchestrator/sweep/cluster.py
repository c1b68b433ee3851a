"""The Ray cluster that a sweep runs on: joined or started, and how many slots fit on it at once.

Ray takes seconds to import, which a plan for this machine need not pay: hence the imports inside functions.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from orchestrator.environment import asks_for_token, ray_address
from orchestrator.errors import UserError
from orchestrator.experiment import Resources
from orchestrator.plan import Layout, Node, layout, local_layout, local_node, planned_local_layout
from orchestrator.plugins import carried
from orchestrator.signals import unheard_by_children
from orchestrator.sweep.import_path import product_alone
from orchestrator.sweep.joining import check_address, not_joined
from orchestrator.sweep.local_start import not_started, ready_to_start
from orchestrator.sweep.ray_folder import OBJECT_STORE_BYTES
from orchestrator.sweep.ray_token import give_token
from orchestrator.waiting import waiting_for

NO_TOKEN = (
    "the cluster is joined without a token: if it asks for none, whoever reaches it can run code in it "
    "(docs/security.md)"
)


def planned_layout(resources: Resources, *, gpus: int | None = None) -> Layout:
    """Return the layout without starting anything; a cluster named by ``RAY_ADDRESS`` is asked.

    Args:
        resources: The experiment's.
        gpus: Plan for a machine with so many instead.
    """
    if gpus is not None or ray_address() is None:
        return planned_local_layout(resources, local_node(), gpus=gpus)
    with joined_or_started(resources) as placed:
        return placed


@contextmanager
def joined_or_started(resources: Resources) -> Iterator[Layout]:
    """Join the cluster that ``RAY_ADDRESS`` names, or start one on this machine, and leave or stop it at the end.

    `orchestrator.environment.prepare_program` comes before Ray is imported.

    Yields:
        Where the slots fit.

    Raises:
        UserError: Nobody answers at ``RAY_ADDRESS``, Ray cannot start here, or the layout does not fit.
    """
    import ray

    if ray.is_initialized():
        # In a notebook: what is started here could not be, and what the user has would be ended at the end.
        raise UserError(
            "this process uses Ray already, and zetasweep starts or joins a cluster itself",
            remedy="ray.shutdown() before; or leave the process alone, and call zetasweep run",
        )
    address = ray_address()
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        placed = _start(resources) if address is None else _join(address, resources)
        # Ray's native handler would abort the process, with its runs left open.
        signal.signal(signal.SIGTERM, on_sigterm)
        yield placed
    finally:
        with waiting_for("Ray to end"):
            ray.shutdown()


def _start(resources: Resources) -> Layout:
    import ray

    # What does not fit is said before Ray starts.
    placed = local_layout(resources, local_node())
    (node,) = placed.nodes
    folder = ready_to_start()
    notes = [placed.warning, *folder.notes, give_token()]
    began_at_s = time.time()
    try:
        # A closed terminal or a batch system sends notices to the cluster, too, which must last until all is saved.
        with waiting_for("Ray to start on this machine"), unheard_by_children(), product_alone() as job_config:
            ray.init(
                address="local",
                num_cpus=int(-(-placed.cpus_told // 1)),
                num_gpus=int(node.gpus),
                # Ray Train frees the placement group of a killed slot through the dashboard's state service.
                include_dashboard=True,
                dashboard_host="127.0.0.1",
                object_store_memory=OBJECT_STORE_BYTES,
                log_to_driver=False,
                job_config=job_config,
                _temp_dir=str(folder.path),
                _plasma_directory=str(folder.objects) if folder.objects else None,
            )
    except Exception as error:
        raise not_started(error, folder, began_at_s=began_at_s) from error
    return replace(placed, warning="\n".join(filter(None, notes)))


def _join(address: str, resources: Resources) -> Layout:
    import ray

    with waiting_for(f"the Ray cluster at {address} to be joined"):
        check_address(address)
        try:
            with product_alone() as job_config:
                # What Ray brings to all machines; one that is started here has no other.
                brought = {"py_modules": modules} if (modules := carried().py_modules) else None
                ray.init(address=address, log_to_driver=False, job_config=job_config, runtime_env=brought)
        except Exception as error:
            raise not_joined(address, error) from error
    totals = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    placed = layout(resources, [Node(cpus=total.get("CPU", 0.0), gpus=total.get("GPU", 0.0)) for total in totals])
    return placed if asks_for_token() else replace(placed, warning=NO_TOKEN)
