"""Which nodes the workers of a slot may start on: those that have been asked, and can train.

Ray Train places a group wherever there is room. It is told of the nodes to be left out whenever it starts one, and a
group that has come to a node that nobody has asked yet, since it joined later, begins with that.
"""

from __future__ import annotations

import math
import time
from typing import Any

import ray
from ray.train.v2._internal.exceptions import WorkerGroupStartupFailedError
from ray.train.v2._internal.execution.callback import ControllerCallback, WorkerGroupCallback

from orchestrator.errors import first_line
from orchestrator.sweep.placement import on_other_nodes
from orchestrator.sweep.probe import living_nodes, refusal, refused_nodes
from orchestrator.sweep.settings import SlotSettings

# A node that may be able later is left out for so long: where it never will be, workers start on others.
LEFT_OUT_S = 60.0


class Admission(ControllerCallback, WorkerGroupCallback):  # type: ignore[misc]
    """Runs in Ray Train's controller, of which each slot has its own.

    Not public, as all that Ray Train tells of a start. Should Ray stop calling it, nodes that join later are not asked.

    Args:
        mailbox: Handle of the slot's, which is told of a node that trains nothing.
        settings: Of the slot.
    """

    def __init__(self, mailbox: Any, settings: SlotSettings) -> None:
        assert settings.proof is not None
        self._mailbox, self._proof = mailbox, settings.proof
        self._able, self._said = set(settings.able_nodes), set[str]()
        # Until when, by the clock.
        self._left_out = dict.fromkeys(settings.refused_nodes, math.inf)

    def on_controller_start_worker_group(self, **_: Any) -> dict[str, str] | None:
        """Return which nodes are left out, as Ray's labels have it."""
        left_out = [node_id for node_id, until in self._left_out.items() if time.monotonic() < until]
        return on_other_nodes(left_out) if left_out else None

    def before_init_train_context(self, workers: list[Any]) -> dict[str, list[Any]]:
        """Ask the nodes of workers that have just started, if nobody has; nothing of zetasweep has run there yet.

        Raises:
            WorkerGroupStartupFailedError: One cannot train; Ray Train starts the workers on others.
        """
        strange = {worker.metadata.node_id for worker in workers} - self._able
        try:
            nodes = [node for node in living_nodes() if node.id in strange]
            refused = refused_nodes(self._proof, nodes)
        except ray.exceptions.RayError as error:
            raise WorkerGroupStartupFailedError(f"the nodes could not be asked: {first_line(error)}") from error
        self._able |= {node.id for node in nodes if node not in refused}
        for node, faults in refused.items():
            may_pass = any(fault.may_pass for fault in faults)
            self._left_out[node.id] = time.monotonic() + LEFT_OUT_S if may_pass else math.inf
        lines = [refusal(node, faults) for node, faults in refused.items()]
        for line in lines:
            if line not in self._said:
                self._said.add(line)
                self._mailbox.remark.remote(line)
        if lines:
            raise WorkerGroupStartupFailedError("\n".join(lines))
        return {}
