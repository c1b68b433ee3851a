"""The keys of the cells of all shipped experiments: what is done is found again by them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from orchestrator.experiment import expand, load_experiment

FOLDER = Path(__file__).parents[2] / "experiments"
NUM_CELLS, NUM_KEYS = 190, 184  # six cells of cifar100-controls are cells of cifar100, too
DIGEST = "7458a385db154c001cca23afe4221e5405082ab90b38ec44d75564f4d3b3803b"
CHANGED = (
    "Other keys than before: every finished cell would be trained anew. If experiments/ itself has changed, write down "
    "the new numbers and digest. If not, a change of the code moved the keys: take it back; or, if cells now give "
    "other numbers than before, raise KEY_VERSION in orchestrator/experiment/cells.py, say so in the commit, and write "
    "down the new digest."
)


def test_the_keys_of_the_shipped_experiments_stay_the_same() -> None:
    listed = {path.name: found for path in FOLDER.glob("*.yaml") if not (found := load_experiment(path)).drawn}
    keys = [(name, cell.key) for name, experiment in listed.items() for cell in expand(experiment)]
    assert (len(keys), len({key for _, key in keys})) == (NUM_CELLS, NUM_KEYS), CHANGED
    lines = "\n".join(sorted(f"{file} {key}" for file, key in keys))
    assert hashlib.sha256(lines.encode()).hexdigest() == DIGEST, CHANGED
