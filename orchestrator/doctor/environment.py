"""Whether what is installed suits, and whether an experiment can start from here: its data, models and folder."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from orchestrator.doctor.finding import Finding, Line, refused
from orchestrator.errors import UserError
from orchestrator.experiment import Experiment
from orchestrator.plan import check_inputs
from orchestrator.shadows import PACKAGES, REMEDY, shadows
from orchestrator.storage import Storage

DISTRIBUTION = "zetasweep"
SHOWN = ("torch", "ray", "mlflow")


def examine_versions() -> Iterator[Line]:
    """Compare Python and the installed packages with what zetasweep declares that it needs."""
    try:
        needed = [Requirement(line) for line in requires(DISTRIBUTION) or ()]
        pythons = SpecifierSet(metadata(DISTRIBUTION)["Requires-Python"])
    except PackageNotFoundError:
        yield Finding(
            "the versions of packages are not checked",
            f"{DISTRIBUTION} is not installed, it runs from {Path(__file__).parents[2]}",
            "pip install -e that folder",
            severity="note",
        )
        return
    if platform.python_version() not in pythons:
        yield _unsuitable("Python", platform.python_version(), str(pythons))
    for requirement in needed:
        if requirement.marker is None or requirement.marker.evaluate():
            found = _installed(requirement.name)
            if found is None or not requirement.specifier.contains(found, prereleases=True):
                yield _unsuitable(requirement.name, found or "missing", str(requirement.specifier))
    shown = ", ".join(f"{name} {_installed(name)}" for name in (DISTRIBUTION, *SHOWN))
    yield f"{shown}, Python {platform.python_version()}"


def examine_path() -> Iterator[Line]:
    """Find modules of the user's that are imported in place of others."""
    for shadow in shadows():
        ours = shadow.name in PACKAGES or shadow.name in sys.stdlib_module_names
        yield Finding("a module that hides another", str(shadow), REMEDY, severity="error" if ours else "note")


def examine_inputs(experiment: Experiment) -> Iterator[Line]:
    """Find what `run` would refuse about data sets and models."""
    try:
        check_inputs(experiment)
    except UserError as error:
        yield refused(error)


def examine_access(storage: Storage) -> Iterator[Line]:
    """Find a place of results that cannot be written to; a folder that is not there yet is not made."""
    began_at = time.monotonic()
    try:
        storage.check_writable()
    except UserError as error:
        yield refused(error)
        return
    if storage.is_copied:
        took_ms = 1000 * (time.monotonic() - began_at)
        yield f"storage: {storage.shown()}: written to, listed and deleted in, four requests in {took_ms:.0f} ms"


def _unsuitable(name: str, found: str, wanted: str) -> Finding:
    return Finding(
        "a version that zetasweep was not made for",
        f"{name} {found}",
        f"install {name} {wanted}, see requirements.lock",
    )


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
