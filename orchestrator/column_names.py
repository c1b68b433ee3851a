"""What the values of a cell are called beside the parameters of its augmentation, which have no prefix.

Parameters stand next to these in tables, in params of MLflow and in names of metrics: one called like one of them would
overwrite it.
"""

from __future__ import annotations

# In front of the parameters and behind them, as `zetasweep.results(...).cells` and `compare --format csv` have them.
IDENTITY = ("key", "dataset", "model", "row", "augment")
STATE = ("seed", "fold", "state", "reason", "epoch")
RUN = ("run_id", "link")
VALUE = ("metric", "value", "state", "cell", "run")
RUNG = ("rung", "rung_seeds", "rung_epochs", "rung_val_error", "rung_place", "rung_cut")
# A param of MLflow, by which its UI groups the runs of a cell's seeds.
SETTING = "setting"
# Metrics of an epoch, ``train/NAME``: what changes from epoch to epoch has one of its own.
OF_TRAINING = ("lr", "loss", "mixed", "images_per_s", "epoch_s")
# Beside the parameters in an experiment file, for all augmentations.
IN_FILE = ("train", "combine", "backend")

TAKEN_BY_RESULTS = tuple(dict.fromkeys((*IDENTITY, *STATE, *RUN, *VALUE, *RUNG, SETTING, *OF_TRAINING, *IN_FILE)))
"""What no parameter of an augmentation can be called."""
