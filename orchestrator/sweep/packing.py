"""Which leg a slot is given on a cluster: one of a data set that its nodes have, so that not each decodes each.

Images are decoded once for each machine, stay in its page cache, and on its GPUs with the workers that have loaded
them. A preference, and no plan: whoever asks gets a leg while there is one.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Sequence

from orchestrator.experiment import DatasetSpec
from orchestrator.racing import CellLeg


class Packing:
    """Remembers where the workers of slots are, and which images their nodes were given.

    While all of them are on one node, legs keep their order.
    """

    def __init__(self) -> None:
        self._nodes: dict[Hashable, frozenset[str]] = {}
        self._images: dict[str, set[Hashable]] = {}

    def locate(self, slot: Hashable, nodes: Collection[str]) -> None:
        """Note on which nodes the workers of a slot are, by their ids."""
        self._nodes[slot] = frozenset(nodes)
        for node in nodes:
            self._images.setdefault(node, set())

    def knows(self, slot: Hashable) -> bool:
        """Return whether it is known where the workers of a slot are."""
        return slot in self._nodes

    def choose(self, slot: Hashable, legs: Sequence[CellLeg], *, at_work: Iterable[DatasetSpec]) -> int:
        """Return the place in `legs` of the one that a slot is to train, whose images its nodes have from now on.

        Args:
            slot: Whose nodes are known.
            legs: Those that wait, in their order; at least one.
            at_work: The data sets of the cells that are trained now.
        """
        waiting = [leg.cell.dataset.images_id for leg in legs]
        at = self._preferred(self._nodes[slot], waiting, {spec.images_id for spec in at_work})
        self.hold(slot, legs[at].cell.dataset)
        return at

    def hold(self, slot: Hashable, dataset: DatasetSpec) -> None:
        """Note that the nodes of a slot have the images of this data set."""
        for node in self._nodes[slot]:
            self._images[node].add(dataset.images_id)

    def _preferred(self, nodes: frozenset[str], waiting: Sequence[Hashable], at_work: Collection[Hashable]) -> int:
        if len(self._images) < 2:
            return 0
        here = set[Hashable].intersection(*(self._images[node] for node in nodes))
        held = (at for at, images in enumerate(waiting) if images in here)
        untouched = (at for at, images in enumerate(waiting) if images not in at_work)
        return next(held, next(untouched, 0))
