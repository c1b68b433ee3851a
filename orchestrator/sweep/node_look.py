"""What a node sees, has and can do: `look`, and `now`, run on it.

It is sent as it is, with all that it calls, so that a node can answer that has no zetasweep, or another one: so nothing
of zetasweep is imported here but where the question is whether that can be, and question and answer are plain.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

# A server of files may show a new one late.
PATIENCE_S = 3.0


def look(question: dict[str, Any]) -> dict[str, Any]:
    """Answer all that is asked; what `Asked` and `Answer` of `orchestrator.sweep.proof` have, in types of Python.

    It takes as long as importing torch where `asks_gpus`, else less than a second.
    """
    packages = {name: _folder_of(name) for name in question["packages"]}
    gpus, nccl, trouble = _gpus() if question["asks_gpus"] else (0, "", "")
    passing: list[str] = []
    return {
        "versions": {name: _version(name) for name in question["versions"]},
        "packages": packages,
        "code": _hash_of(packages),
        "own_code": _own_code(question["own_code"]) if all(packages.values()) else "",
        "storage": _of_storage(question, passing),
        "unreadable": _unreadable(question, passing),
        "passing": passing,
        "cache": _of_cache(Path(question["cache_dir"]), question["decoded"]),
        "gpus": gpus,
        "nccl": nccl,
        "gpu_trouble": trouble,
        "shared_memory": _free(Path("/dev/shm")),
    }


def now() -> float:
    """Return what the clock of this machine says, in Unix seconds."""
    return time.time()


def _version(name: str) -> str:
    if name == "Python":
        return platform.python_version()
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "missing"


def _folder_of(package: str) -> str:
    """Return the folder that a package is imported from; nothing if there is none."""
    spec = importlib.util.find_spec(package)
    return os.path.dirname(os.path.dirname(spec.origin)) if spec and spec.origin else ""


def _hash_of(packages: dict[str, str]) -> str:
    """Return what is the same where all modules of these packages are the same."""
    digest = hashlib.sha256()
    for package, folder in sorted(packages.items()):
        for path in sorted(Path(folder, package).rglob("*.py")) if folder else ():
            digest.update(f"{path.relative_to(folder)}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _own_code(carried: dict[str, Any]) -> str:
    """Return what is wrong here with the plug-ins that the driver uses; nothing if nothing is."""
    try:
        plugins = importlib.import_module("orchestrator.plugins")
        plugins.Carried.of_plain(carried).use()
    except Exception as error:  # noqa: BLE001 - of somebody's own code: the driver says it
        return " ".join(str(error).split())
    return ""


def _of_storage(question: dict[str, Any], passing: list[str]) -> str:
    """Return what is wrong with the place that the driver has written a marker to; nothing if nothing is."""
    if question["bucket"]:
        return _of_bucket(question["bucket"], "storage", question["marker"], question["text"], passing)
    return _of_folder(Path(question["marker"]), question["text"])


def _of_folder(marker: Path, text: str) -> str:
    folder = marker.parents[1]
    try:
        folder.stat()
    except FileNotFoundError:
        return f"{folder} is not there"
    except OSError as error:
        return f"{folder} cannot be used ({error.strerror or error})"
    until = time.monotonic() + PATIENCE_S
    while not os.path.exists(marker) and time.monotonic() < until:
        time.sleep(0.2)
    try:
        if marker.read_text() != text:
            raise FileNotFoundError
        with tempfile.TemporaryFile(dir=marker.parent):
            return ""
    except FileNotFoundError:
        return f"{folder} is another folder than the driver's: a file that the driver has just written is not in it"
    except OSError as error:
        return f"{folder} cannot be written to ({error.strerror or error})"


def _of_bucket(parts: dict[str, str], named: str, name: str, text: str | None, passing: list[str]) -> str:
    """Return why an object cannot be read here, and one beside it written, or why it has another text.

    Where there is no text, the bucket is only read, and the object need not be there. A reason that may be gone later,
    without anybody's doing, is added to `passing`.
    """
    try:
        objects = importlib.import_module("orchestrator.objects")
        address = objects.Address(**parts)
        bucket = objects.BucketObjects(address, named=named, patience_s=PATIENCE_S)
        found = bucket.read(name)
        if text is not None:
            beside = f"{name}-{uuid.uuid4().hex}"
            bucket.put(beside, b"written to see whether it is possible")
            bucket.delete([beside])
    except Exception as error:  # noqa: BLE001 - of zetasweep, or of a library that is not there: the driver says it
        reason = " ".join(str(error).split())
        passing += [reason] if getattr(error, "can_pass", False) else []
        return reason
    if text is None or (found is not None and found[0] == text.encode()):
        return ""
    return f"{address} is another place than the driver's: an object that the driver has just written is not in it"


def _unreadable(question: dict[str, Any], passing: list[str]) -> dict[str, str]:
    paths = {path: _why_unreadable(Path(path)) for path in question["readable"]}
    if question["data_bucket"]:
        parts = question["data_bucket"]
        reason = _of_bucket(parts, "data_dir", "zetasweep-marker", None, passing)
        paths[f"{parts['scheme']}://{parts['bucket']}"] = reason
    return {path: reason for path, reason in paths.items() if reason}


def _why_unreadable(path: Path) -> str:
    try:
        if path.is_dir():
            next(os.scandir(path), None)
        else:
            path.open("rb").close()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _of_cache(folder: Path, decoded: dict[str, int]) -> dict[str, Any]:
    """Return how many bytes are still to be decoded into the cache here, how many are free, and what is in the way."""
    lacking = sum(size for entry, size in decoded.items() if not os.path.exists(folder / entry))
    nearest = next(path for path in (folder, *folder.parents) if os.path.exists(path))
    trouble = ""
    if lacking:
        try:
            with tempfile.TemporaryFile(dir=nearest):
                pass
        except OSError as error:
            trouble = f"{nearest} cannot be written to ({error.strerror or error})"
    return {"lacking": lacking, "free": _free(nearest), "trouble": trouble}


def _gpus() -> tuple[int, str, str]:
    """Return how many GPUs torch sees, the version of its NCCL, and what may be the matter if it sees none."""
    try:
        torch = importlib.import_module("torch")
    except Exception as error:  # noqa: BLE001 - a library that is not there, or another one: the driver says it
        return 0, "", f"torch cannot be imported: {' '.join(str(error).split())[:300]}"
    # Without asking whether it works, those that the driver names are counted, also by a driver too old for this torch.
    seen = torch.cuda.device_count() if torch.cuda.is_available() else 0
    nccl = ".".join(map(str, torch.cuda.nccl.version())) if torch.distributed.is_nccl_available() else ""
    built_for = f"CUDA {torch.version.cuda}" if torch.version.cuda else "the CPU"
    return seen, nccl, f"torch {torch.__version__} is built for {built_for}, {_driver()}"


def _driver() -> str:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.split()
    except (OSError, subprocess.SubprocessError):
        answer = []
    return f"the driver is {answer[0]}" if answer else "no NVIDIA driver answers"


def _free(folder: Path) -> int:
    """Return the free bytes of the disk that holds a folder; -1 where there is no such folder."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return -1
