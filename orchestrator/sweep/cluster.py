"""The Ray cluster that a sweep runs on: joined or started, and how many slots fit on it at once.

Ray takes seconds to import, which a plan for this machine need not pay: hence the imports inside functions.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from orchestrator.amounts import counted
from orchestrator.environment import ray_address, ray_address_is_found, starts_its_own_ray
from orchestrator.errors import UserError
from orchestrator.experiment import Resources
from orchestrator.plan import Layout, Node, layout, local_layout, local_node, planned_local_layout, workers_on
from orchestrator.ray_here import running_ray
from orchestrator.signals import unheard_by_children
from orchestrator.sweep.import_path import product_alone
from orchestrator.sweep.joining import LOCALLY, join
from orchestrator.sweep.local_start import not_started, ready_to_start
from orchestrator.sweep.probe import living_nodes, refusal, refused_nodes
from orchestrator.sweep.proof import Proof
from orchestrator.sweep.ray_folder import OBJECT_STORE_BYTES
from orchestrator.sweep.ray_token import give_token
from orchestrator.waiting import waiting_for


def planned_layout(resources: Resources, *, gpus: int | None = None, proof: Proof | None = None) -> Layout:
    """Return the layout without starting anything; a cluster named by ``RAY_ADDRESS`` is asked.

    Args:
        resources: The experiment's.
        gpus: Plan for a machine with so many instead.
        proof: Asked of each node; None takes them as they say they are.
    """
    if gpus is not None or ray_address() is None:
        return planned_local_layout(resources, local_node(), gpus=gpus)
    with joined_or_started(resources, proof=proof) as placed:
        return placed


@contextmanager
def joined_or_started(resources: Resources, *, proof: Proof | None = None) -> Iterator[Layout]:
    """Join the cluster that ``RAY_ADDRESS`` names, or start one on this machine, and leave or stop it at the end.

    `orchestrator.environment.prepare_program` comes before Ray is imported.

    Args:
        resources: The experiment's.
        proof: Asked of each node that is joined; None takes them as they say they are.

    Yields:
        Where the slots fit.

    Raises:
        UserError: Nobody answers at ``RAY_ADDRESS``, Ray cannot start here, or the layout does not fit on the nodes
            that can train.
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
        placed = _start(resources) if address is None else _join(address, resources, proof)
        # Ray's native handler would abort the process, with its runs left open.
        signal.signal(signal.SIGTERM, on_sigterm)
        yield placed
    finally:
        with waiting_for("Ray to end"):
            ray.shutdown()


def check_imported_in_time() -> None:
    """Have Ray know the variables that `orchestrator.environment.prepare_program` has set, also if it came first.

    Raises:
        UserError: A cluster is to be started here, and Ray was imported before: it would listen on the network.
    """
    import ray
    from ray._private import ray_constants
    from ray._raylet import Config  # type: ignore[attr-defined]

    if not ray.is_initialized():
        # It reads RAY_AUTH_MODE anew by this, as `ray.init` does where it makes a token.
        Config.initialize("")
    if ray_address() is None and ray_constants.ENABLE_RAY_CLUSTER:
        # Read when it is imported, and never again.
        raise UserError(
            "this process has imported Ray before zetasweep.run, and Ray reads when it is imported whether it listens "
            "on loopback alone: a cluster that is started now could be reached from the network",
            remedy="import ray after zetasweep.run; or start Python with RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0\n"
            "or call zetasweep run, which is a process of its own",
        )


def _start(resources: Resources) -> Layout:
    import ray

    # What does not fit is said before Ray starts.
    placed = local_layout(resources, local_node())
    (node,) = placed.nodes
    folder = ready_to_start()
    notes = [placed.warning, _of_others(), *folder.notes, give_token()]
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


def _join(address: str, resources: Resources, proof: Proof | None) -> Layout:
    notes = join(address)
    nodes = living_nodes()
    try:
        check_reach(resources)
        placed = layout(resources, nodes, may_wait=True) if proof is None else proven_layout(nodes, proof)
    except UserError as error:
        if not ray_address_is_found():
            raise
        # Nobody has asked for this cluster.
        raise UserError("\n".join([error.args[0], *notes]), remedy=f"{error.remedy}\nor {LOCALLY}") from error
    return replace(placed, warning="\n".join(filter(None, [placed.warning, *notes])), notes=tuple(notes))


def _of_others() -> str:
    """Return what to know of a Ray on this machine that is not joined, since nobody has said so."""
    here = None if starts_its_own_ray() else running_ray()
    if here is None:
        return ""
    return f"another user's Ray runs on this machine, too: RAY_ADDRESS={here.address} joins it"


def proven_layout(nodes: Sequence[Node], proof: Proof) -> Layout:
    """Place a sweep on the nodes that can train, each of which is asked; `Layout.warning` names the others.

    Raises:
        UserError: Not one slot fits on them; says of each other node why it trains nothing.
    """
    resources = proof.resources
    # A head without CPUs trains nothing anyway; what others hold now may be free later.
    refused = refused_nodes(proof, [node for node in nodes if workers_on(node.alone, resources)])
    lines = [refusal(node, faults) for node, faults in refused.items()]
    try:
        placed = able_layout(resources, nodes, refused)
    except UserError as error:
        remedies = dict.fromkeys(fault.remedy for faults in refused.values() for fault in faults)
        raise UserError("\n".join([*lines, error.args[0]]), remedy="\n".join([*remedies, error.remedy])) from error
    warning = "\n".join(filter(None, [*lines, placed.warning]))
    return replace(placed, warning=warning, refused=tuple(node.id for node in refused))


def able_layout(resources: Resources, nodes: Sequence[Node], refused: Collection[Node]) -> Layout:
    """Place a sweep on those of the nodes that can train; raise UserError as `orchestrator.plan.layout`."""
    able = [node for node in nodes if node not in refused]
    # Where no node is able, those that come will hardly be.
    return layout(resources, able, may_wait=not refused or any(workers_on(node.alone, resources) for node in able))


def check_reach(resources: Resources) -> None:
    """Raise UserError if one cell needs more than the cluster may ever become, where Ray knows that: it would fail."""
    from ray._private.state import state  # as above

    most = state.get_max_resources_from_cluster_config()
    for name, each, key in (
        ("CPU", resources.cpus_per_worker, "cpus_per_worker"),
        ("GPU", resources.gpus_per_worker, "gpus_per_worker"),
    ):
        needed = resources.workers * each
        if most is not None and needed > most.get(name, 0):
            raise UserError(
                f"resources: {counted(resources.workers, 'worker')} x {counted(each, name)} of one cell, but the "
                f"cluster has {counted(most.get(name, 0), name)} at most",
                remedy=f"lower resources.workers or resources.{key}, or have its autoscaler start more nodes",
            )
