"""Each test begins and ends without a plug-in."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.plugins import use_plugins

# Its own tests import its files, which those here copy.
EXAMPLE = Path(__file__).parents[2] / "examples" / "plugin"


@pytest.fixture(autouse=True)
def _no_plugin_stays(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    path = list(sys.path)
    sys.path[:] = [place for place in path if Path(place) != EXAMPLE]
    for file in EXAMPLE.glob("*.py"):
        monkeypatch.delitem(sys.modules, file.stem, raising=False)
    yield
    use_plugins([])
    sys.path[:] = path
