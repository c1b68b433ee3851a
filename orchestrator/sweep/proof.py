"""Whether a node can train: what it is asked, and what is wrong with its answer. `doctor`, `plan` and `run` ask alike.

What it has is compared with what the driver has, which answers the same. MLflow is not asked for: workers tell the
driver, and the driver alone tells MLflow.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

from orchestrator.amounts import bytes_text, counted
from orchestrator.data import FetchedDir
from orchestrator.errors import DataError
from orchestrator.experiment import Experiment, Resources
from orchestrator.plan import Node, decoded_bytes, distinct_images, images_of
from orchestrator.plugins import carried
from orchestrator.shadows import PACKAGES, REMEDY
from orchestrator.storage import Marker
from orchestrator.sweep.node_look import look
from orchestrator.waiting import waiting_for

# What differs in these changes a result or ends a sweep.
COMPARED = ("Python", "torch", "torchvision", "ray", "numpy")
# NCCL needs it to have the ranks of a machine meet. NVIDIA recommends 1 GiB for a container, Docker gives it 64 MB.
LEAST_SHARED_BYTES = 32 * 2**20
ENOUGH_SHARED_BYTES = 2**30
_OF_BUCKET = (
    "what there must be: zetasweep[objects], a way to the bucket's server, and credentials: a role, or variables in "
    "the environment of ray start there, not in that of this shell"
)
_OF_SILENT_BUCKET = "mend the way from there to the bucket's server, unless it passes by itself: a sweep asks it again"


@dataclass(frozen=True)
class Fault:
    """Why a node cannot train, or what is worth knowing of it.

    Attributes:
        what: The same words for all of a kind.
        where: What is particular about this node; says enough alone.
        remedy: What mends it.
        is_note: It can train all the same.
        may_pass: It may be able to later: it is asked again.
    """

    what: str
    where: str
    remedy: str
    is_note: bool = False
    may_pass: bool = False


@dataclass(frozen=True)
class Silence:
    """What a node has in place of an answer: why there is none."""

    reason: str


@dataclass(frozen=True)
class Answer:
    """What a node says of itself, see `orchestrator.sweep.node_look.look`.

    Attributes:
        versions: Of the packages asked for; ``missing`` where there is none.
        packages: The folder that each of zetasweep's packages is imported from; empty where there is none.
        code: A hash of their modules.
        own_code: What is wrong there with the plug-ins in use here; empty if nothing is.
        storage: What is wrong with the folder of results; empty if nothing is.
        unreadable: Of each path that cannot be read, why.
        passing: Which of these reasons are a bucket's and may be gone later, without anybody's doing.
        cache: ``lacking``, the bytes that are still to be decoded there, ``free`` bytes, and ``trouble``.
        gpus: How many torch sees; 0 if nobody asked.
        nccl: The version of its NCCL; empty if it has none, or nobody asked.
        gpu_trouble: What may be the matter if it sees none.
        shared_memory: The free bytes of ``/dev/shm``; -1 where there is none.
    """

    versions: dict[str, str]
    packages: dict[str, str]
    code: str = ""
    own_code: str = ""
    storage: str = ""
    unreadable: dict[str, str] = field(default_factory=dict)
    passing: list[str] = field(default_factory=list)
    cache: dict[str, Any] = field(default_factory=lambda: {"lacking": 0, "free": -1, "trouble": ""})
    gpus: int = 0
    nccl: str = ""
    gpu_trouble: str = ""
    shared_memory: int = -1


@dataclass(frozen=True)
class Asked:
    """What nodes are asked, in types of Python, as `look` takes it.

    Attributes:
        marker: Path of a file that the driver has written to the folder of results, or where that would be made; or
            the name of an object in its bucket.
        text: What is in it.
        bucket: The parts of that bucket's address; empty for a folder.
        readable: Paths that must be readable: of the data sets.
        data_bucket: The parts of the address that data sets are fetched from; empty if they are in a folder.
        cache_dir: Of decoded images.
        decoded: How many bytes each of its entries takes, by its name; with the data sets that are fetched.
        asks_gpus: Whether GPUs are needed.
        own_code: The plug-ins in use here.
        versions: Of what.
        packages: Of zetasweep.
    """

    marker: str
    text: str
    bucket: dict[str, str]
    readable: tuple[str, ...]
    data_bucket: dict[str, str]
    cache_dir: str
    decoded: dict[str, int]
    asks_gpus: bool
    own_code: dict[str, Any]
    versions: tuple[str, ...] = COMPARED
    packages: tuple[str, ...] = PACKAGES


@dataclass(frozen=True)
class Proof:
    """A question to nodes, with what is needed to judge their answers; a slot has it, too, for nodes that join later.

    Attributes:
        asked: The question.
        here: The driver's own answer.
        resources: What a worker occupies.
    """

    asked: Asked
    here: Answer
    resources: Resources

    @classmethod
    @waiting_for("the files of the data sets to be looked at")
    def of(cls, experiment: Experiment, marker: Marker) -> Proof:
        """Return what is to be asked for an experiment, with a marker in its folder of results."""
        data, caches, roots = experiment.data_in, dict[str, int](), dict[Path, None]()
        for spec in distinct_images(experiment.dataset):
            with suppress(DataError):  # it is not here, either: that is said elsewhere
                images = images_of(spec, experiment)
                caches[images.entry_name] = decoded_bytes(spec, experiment)
                roots[images.root] = None
        fetched_from = data.address if isinstance(data, FetchedDir) else None
        if fetched_from is not None:
            # On a node they will lie where they lie here.
            caches |= {str(root.relative_to(experiment.cache.dir)): _bytes_at(root) for root in roots}
        asked = Asked(
            marker.name,
            marker.text,
            asdict(marker.below.as_here()) if marker.below is not None else {},
            tuple(map(str, roots)) if fetched_from is None else (),
            asdict(fetched_from) if fetched_from is not None else {},
            str(experiment.cache.open().dir),
            caches,
            asks_gpus=experiment.resources.gpus_per_worker > 0,
            own_code=carried().plain,
        )
        # Who only drives needs no GPU, and torch takes seconds to import.
        here = look({**asdict(asked), "asks_gpus": False})
        return cls(asked, Answer(**here), experiment.resources)

    def faults(self, answer: Answer | Silence, node: Node) -> Iterator[Fault]:
        """Yield what is wrong with a node."""
        if isinstance(answer, Silence):
            yield Fault("a node does not answer", answer.reason, "see to it, or take it out", may_pass=True)
            return
        yield from self._code(answer)
        yield from self._versions(answer)
        if answer.storage:
            what, where = "a node that does not see storage", answer.storage
            remedy = "mount it there under the same path, or name a shared folder with -o storage=PATH"
            yield _of_bucket(what, where, where, answer) if self.asked.bucket else Fault(what, where, remedy)
        yield from self._data(answer)
        if self.asked.asks_gpus and node.gpus:
            yield from self._gpus(answer, node)

    def _code(self, answer: Answer) -> Iterator[Fault]:
        folders = answer.packages
        if not all(folders.values()):
            lacking = ", ".join(package for package, folder in folders.items() if not folder)
            remedy = "install it there, or submit the sweep as a job, which brings it"
            yield Fault("a node that has no zetasweep", f"there is no {lacking}", remedy)
        elif len(set(folders.values())) > 1:
            where = ", ".join(f"{package} comes from {folder}" for package, folder in folders.items())
            yield Fault("a module that hides another", where, REMEDY)
        elif answer.code != self.here.code:
            where = f"zetasweep in {folders[PACKAGES[0]]} is {answer.code} (here {self.here.code})"
            remedy = "install the same there, or submit the sweep as a job, which brings it"
            yield Fault("other code than here", where, remedy)
        if answer.own_code:
            yield Fault("a node that cannot use a plug-in", answer.own_code, "have it there as here")

    def _versions(self, answer: Answer) -> Iterator[Fault]:
        ours = self.here.versions
        others = {name: found for name, found in answer.versions.items() if not _same(name, found, ours[name])}
        if others:
            differing = ", ".join(f"{name} {found} (here {ours[name]})" for name, found in others.items())
            yield Fault("other versions than here", differing, "install the same on all nodes")

    def _data(self, answer: Answer) -> Iterator[Fault]:
        for path, reason in answer.unreadable.items():
            what, where = "a node that cannot read a data set", f"{path}: {reason}"
            remedy = "mount it there under the same path, or name a shared folder with -o data_dir=PATH"
            yield _of_bucket(what, where, reason, answer) if self.asked.data_bucket else Fault(what, where, remedy)
        lacking, free, trouble = (answer.cache[name] for name in ("lacking", "free", "trouble"))
        if not trouble and 0 <= free < lacking:
            trouble = f"{bytes_text(free)} are free, decoded images take {bytes_text(lacking)}"
        if trouble:
            yield Fault(
                "a node that has no room for decoded images",
                f"cache.dir = {self.asked.cache_dir}: {trouble}",
                "make room there, or set cache.dir to a folder on another disk of the node",
            )

    def _gpus(self, answer: Answer, node: Node) -> Iterator[Fault]:
        if answer.gpus < node.gpus:
            yield Fault(
                "a node whose GPUs torch does not see",
                f"Ray offers {counted(node.gpus, 'GPU')}, torch sees {answer.gpus}: {answer.gpu_trouble}",
                "install the torch that fits the driver, look at CUDA_VISIBLE_DEVICES where ray start runs, and start "
                "it with --num-gpus as there are",
            )
        elif self.resources.workers > 1 and not answer.nccl:
            remedy = "install a torch that has it: pip install torch on Linux"
            yield Fault("a node whose torch has no NCCL", f"torch has no NCCL: {answer.gpu_trouble}", remedy)
        free = answer.shared_memory
        if self.resources.workers > 1 and 0 <= free < ENOUGH_SHARED_BYTES:
            yield Fault(
                "a node with little shared memory",
                f"{bytes_text(free)} are free in /dev/shm, which NCCL needs",
                "start its container with --shm-size=1g, or mount an emptyDir of medium Memory there",
                is_note=free >= LEAST_SHARED_BYTES,
            )


def _of_bucket(what: str, where: str, reason: str, answer: Answer) -> Fault:
    """Return what is wrong with a node that cannot use a bucket, for this reason."""
    if reason in answer.passing:
        return Fault(what, where, _OF_SILENT_BUCKET, may_pass=True)
    return Fault(what, where, _OF_BUCKET)


def _bytes_at(path: Path) -> int:
    """Return the bytes of a file, or of all files below a folder."""
    return sum(each.stat().st_size for each in (path, *path.rglob("*")) if each.is_file())


def _same(name: str, found: str, ours: str) -> bool:
    """Return whether two versions compute the same: for whatever CUDA torch is built; of Python without the patch."""
    try:
        there, here = Version(found), Version(ours)
    except InvalidVersion:
        return found == ours
    return there.release[:2] == here.release[:2] if name == "Python" else there.public == here.public
