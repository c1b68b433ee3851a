"""Where the weights that a training begins with come from, and what belongs to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from orchestrator.errors import UserError
from orchestrator.models.state_files import file_hash

# Before the hash of a file that somebody brings.
BY_HASH = "sha256:"
# Mean and deviation of each channel.
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True)
class Source:
    """Weights that a library publishes under a name, or that are in a file that somebody brings.

    Attributes:
        model: The network that they are of.
        name: What their library calls them; of a file ``sha256:`` and the hash of its bytes.
        stored_as: A name for a file of them, that no others have.
        digest: How the SHA-256 of the file begins; empty where nobody says so.
        adapted: Returns what a network for images of a given side, in pixels, takes of the tensors in the file.
        file: Where their library has them on this machine; None if it has not.
        place: Where it looks for them, and puts them when it fetches them.
        mean: Of each channel, which images were normalised with, in units of [0, 1]; None where nobody says so.
        std: Likewise the standard deviation.
        fetch: Fetches them to `place`; None where nobody can.
        by_hand: The command that does so on another machine.
    """

    model: str
    name: str
    stored_as: str
    digest: str
    adapted: Callable[[dict[str, Tensor], int], dict[str, Tensor]]
    file: Path | None = None
    place: Path | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    fetch: Callable[[], object] | None = None
    by_hand: str = ""

    @property
    def is_normalized_like_imagenet(self) -> bool:
        """Whether its images were normalised with ImageNet's mean and deviation."""
        return (self.mean, self.std) == IMAGENET

    def check(self, file: Path) -> None:
        """Raise UserError if `file`, which is there, holds other bytes than it should."""
        found = file_hash(file)
        if found.startswith(self.digest):
            return
        raise UserError(
            f"{file}: these are not the weights {self.name} of {self.model}: the SHA-256 of the file begins with "
            f"{found[:16]}, and should with {self.digest[:16]}",
            remedy="restore it; if it was changed on purpose, start the command anew"
            if self.fetch is None
            else "remove it, and have it fetched anew: zetasweep run FILE --download",
        )
