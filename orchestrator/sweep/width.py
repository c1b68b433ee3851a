"""How many slots a sweep has on a cluster that was joined, from moment to moment.

A number that the user has said stands: what has no room is asked of Ray all the same, which an autoscaler hears.
``auto`` follows the nodes that join and go, and what others hold of them.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from orchestrator.plan import Node, room_for
from orchestrator.sweep.probe import living_nodes, refusal, refused_nodes
from orchestrator.sweep.proof import Proof

LOOK_EVERY_S = 30.0
ENDS_WITHIN_S = 5.0

logger = logging.getLogger(__name__)


class Width:
    """Looks at the cluster again and again in a thread of its own, since nodes that are asked take up to a minute.

    Args:
        slots: How many there are to begin with.
        proof: What nodes are asked that have joined since; its resources say what a slot takes.
        able: The ids of the nodes that have been asked, and can train.
        refused: Of those that cannot.
        on_change: Takes the number of slots, and the number before.
        say: Takes a line on a node that trains nothing; both are called from the thread.
    """

    def __init__(
        self,
        slots: int,
        proof: Proof,
        *,
        able: frozenset[str],
        refused: frozenset[str],
        on_change: Callable[[int, int], None],
        say: Callable[[str], None],
    ) -> None:
        self._slots, self._fewer, self._proof = slots, slots, proof
        self._on_change, self._say, self._said = on_change, say, set[str]()
        self._able, self._refused = set(able), set(refused)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="width", daemon=True)

    def __enter__(self) -> Width:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # Whoever asks Ray after it has ended would start it again.
        self._ended.set()
        self._thread.join(ENDS_WITHIN_S)

    def look(self) -> None:
        """Count once."""
        nodes = living_nodes()
        self._ask([node for node in nodes if node.id not in self._able | self._refused])
        # One at least: it waits, and that is said.
        slots = max(1, room_for(self._proof.resources, [node for node in nodes if node.id in self._able]))
        # What is moved from one group of workers to the next seems to be others' for a moment.
        if slots < self._slots and slots != self._fewer:
            self._fewer = slots
            return
        if slots != self._slots:
            before, self._slots = self._slots, slots
            self._on_change(slots, before)
        self._fewer = self._slots

    def _ask(self, strange: Sequence[Node]) -> None:
        """Note which of these nodes can train; one that says nothing is asked again the next time."""
        refused = refused_nodes(self._proof, strange, ended=self._ended) if strange else {}
        self._able |= {node.id for node in strange if node not in refused}
        for node, faults in refused.items():
            if not any(fault.may_pass for fault in faults):
                self._refused.add(node.id)
            if (line := refusal(node, faults)) not in self._said:
                self._said.add(line)
                self._say(line)

    def _follow(self) -> None:
        while not self._ended.wait(LOOK_EVERY_S):
            try:
                self.look()
            except Exception as error:  # noqa: BLE001 - it crosses a thread: the next look may succeed
                if not self._ended.is_set():
                    logger.warning("the nodes of the cluster could not be counted: %s", error)
