"""Files of weights: read without executing what is in them, and freed of what trainers wrap around weights."""

from __future__ import annotations

import hashlib
import pickle
import pickletools
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from orchestrator.errors import UserError, first_line

SUFFIXES = (".pt", ".pth", ".safetensors")
# What checkpoints call the weights among what else they hold, in the order in which they are looked for.
_WRAPPINGS = ("state_dict", "model_state_dict", "model")
# What stands before each name of a network that has grey images repeated.
_BEHIND_GREY = "1."
# What DistributedDataParallel and torch.compile put before each name, and we ourselves.
_PREFIXES = ("module.", "_orig_mod.", _BEHIND_GREY)
# Where weights_only refuses what is no tensor; what else is wrong with the bytes, it says otherwise.
_SIGNS_OF_CODE = ("Unsupported global", "GLOBAL ", "Unsupported class", "Trying to call reduce")
_LFS = b"version https://git-lfs"


@dataclass(frozen=True)
class WeightsRead:
    """What a file of weights holds.

    Attributes:
        tensors: By their names, on the CPU.
        unwrapped: What was taken off to come to them, in words; empty if they lay bare.
    """

    tensors: dict[str, Tensor]
    unwrapped: str = ""


def read_weights(path: Path) -> WeightsRead:
    """Return the weights in a file that ``torch.save`` or safetensors wrote.

    A checkpoint of this project, or any with the weights below ``state_dict``, ``model_state_dict`` or ``model``, is
    unwrapped; `named_like` does it with their names.

    Raises:
        UserError: It is not there, cannot be read, is cut off, is no such file, or would have to be executed.
    """
    try:
        content = _safetensors(path) if _is_safetensors(path) else _pickled(path)
    except FileNotFoundError as error:
        raise UserError(f"{path}: there is no such file") from error
    except IsADirectoryError as error:
        raise UserError(f"{path}: is a folder", remedy="name the file with the weights") from error
    except PermissionError as error:
        raise UserError(f"{path}: may not be read", remedy=f"chmod a+r {path}") from error
    return _bare(path, content)


def named_like(read: WeightsRead, names: Callable[[], Collection[str]]) -> WeightsRead:
    """Return weights without what trainers write before each name, where they are those of a network without it.

    Args:
        read: The weights.
        names: Returns those of the network's own tensors; it is called where something stands before each name.
    """
    variants = list(_without_prefixes(read))
    if len(variants) == 1:
        return read
    own = set(names())
    # Of those that suit the network alike, as none may, the barest.
    return max(reversed(variants), key=lambda variant: len(own & variant.tensors.keys()))


def _without_prefixes(read: WeightsRead) -> Iterator[WeightsRead]:
    """Yield weights as they are, and then with one prefix less each time, whichever order they were written in."""
    yield read
    tensors, told = read.tensors, list(filter(None, [read.unwrapped]))
    while tensors and (prefix := next(filter(None, (_before_all(tensors, each) for each in _PREFIXES)), "")):
        tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
        if prefix != _BEHIND_GREY:  # a network of ours: nothing has been wrapped
            told.append(f"without {prefix} before each name")
        yield WeightsRead(tensors, ", ".join(told))


def _before_all(names: Iterable[str], prefix: str) -> str:
    return prefix if all(name.startswith(prefix) for name in names) else ""


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, 64 hexadecimal digits; of a file that has not changed without reading it
    again.

    Raises:
        OSError: It cannot be read.
    """
    state = path.stat()
    return _file_hash(path, (state.st_ino, state.st_size, state.st_mtime_ns))


@lru_cache(maxsize=256)
def _file_hash(path: Path, _: tuple[int, ...]) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_safetensors(path: Path) -> bool:
    """Whether a file is meant to be one: by its name, or since JSON begins behind the eight bytes of its length."""
    with path.open("rb") as file:
        return path.suffix == ".safetensors" or file.read(9)[8:] == b"{"


def _safetensors(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise _damaged(path, first_line(error), kind="safetensors") from error


def _pickled(path: Path) -> Any:
    with path.open("rb") as file:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of pickles of other protocols: what is wrong is said below
                return torch.load(file, map_location="cpu", weights_only=True)
        except MemoryError:
            raise
        except pickle.UnpicklingError as error:
            if any(sign in str(error) for sign in _SIGNS_OF_CODE):
                # Not torch's words: they end with how to execute it all the same.
                raise UserError(
                    f"{path}: it holds more than tensors and plain values, which would have to be executed to be read",
                    allowed="a state dict, as torch.save(network.state_dict(), PATH) writes it, or safetensors",
                    remedy="where the file comes from somebody you trust: load it there and save its state dict alone",
                ) from error
            raise _not_torchs(path, "it does not begin as one") from error
        except (LookupError, ValueError, TypeError, AttributeError) as error:
            # Of bytes that are no pickle: the number of one, or what they did to its stack, says nothing.
            raise _not_torchs(path, "it does not begin as one") from error
        except Exception as error:
            # Which errors, of a file that is cut off or something else altogether, is written nowhere.
            raise _not_torchs(path, first_line(error)) from error


def _not_torchs(path: Path, how: str) -> UserError:
    if not _is_plain_pickle(path):
        return _damaged(path, how, kind="PyTorch")
    return UserError(
        f"{path}: a pickle of Python, and no file of torch.save: it would have to be executed to be read",
        allowed="a state dict, as torch.save(network.state_dict(), PATH) writes it, or safetensors",
        remedy="where the file comes from somebody you trust: torch.save(pickle.load(open(OLD, 'rb')), NEW)",
    )


def _is_plain_pickle(path: Path) -> bool:
    """Return whether a whole pickle of objects begins there, which is walked through and not executed.

    A file of torch's former format begins with one of a number.
    """
    with path.open("rb") as file:
        try:
            opcodes = [opcode.name for opcode, _, _ in pickletools.genops(file)]
        except (ValueError, EOFError, UnicodeDecodeError):
            return False
    return opcodes[0] == "PROTO" and "REDUCE" in opcodes


def _damaged(path: Path, how: str, *, kind: str) -> UserError:
    with path.open("rb") as file:
        start = file.read(len(_LFS))
    if start == _LFS:
        return UserError(f"{path}: a pointer of Git LFS, not the weights", remedy="git lfs pull fetches them")
    size = f"{path.stat().st_size:,} bytes"
    return UserError(
        f"{path}: no whole {kind} file of weights ({size}; {how})",
        remedy="copy or fetch it anew: it is cut off, or of another kind",
    )


def _bare(path: Path, content: Any) -> WeightsRead:
    """Take off what trainers wrap around weights.

    Raises:
        UserError: There are no weights in it.
    """
    taken_off: list[str] = []
    if isinstance(content, Mapping) and not _is_state(content):
        wrapping = next((name for name in _WRAPPINGS if _is_state(content.get(name))), None)
        if wrapping is None:
            keys = ", ".join(repr(key) for key in list(content)[:5]) or "nothing"
            raise UserError(
                f"{path}: no weights are in it, but {keys}",
                allowed=f"tensors by name, or such a state dict below {', '.join(_WRAPPINGS[:-1])} or {_WRAPPINGS[-1]}",
                remedy="save the state dict alone: torch.save(network.state_dict(), PATH)",
            )
        content = content[wrapping]
        taken_off.append(f"its {wrapping} alone")
    if not isinstance(content, Mapping):
        raise UserError(
            f"{path}: it holds one {type(content).__name__}, no weights",
            allowed="tensors by name: a state dict",
            remedy="save the state dict: torch.save(network.state_dict(), PATH)",
        )
    tensors: dict[str, Tensor] = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    return WeightsRead(tensors, ", ".join(taken_off))


def _is_state(content: object) -> bool:
    """Whether it is a state dict: tensors by name, and nothing else but what modules keep of themselves."""
    return (
        isinstance(content, Mapping)
        and any(isinstance(value, Tensor) for value in content.values())
        and all(isinstance(value, Tensor) or str(name).endswith("_extra_state") for name, value in content.items())
    )
