"""The names of what MLflow has of a sweep and of its cells; ``docs/reference/mlflow.md`` is made from these tables."""

from __future__ import annotations

from orchestrator.column_names import SETTING

KIND, SWEEP, OWNER, HEARTBEAT = (f"zetasweep.{name}" for name in ("kind", "sweep", "owner", "heartbeat_ms"))
KEY, REASON, MODEL_URI = (f"zetasweep.{name}" for name in ("cell", "reason", "model_uri"))
DATASET_NAME, SPLIT_HASH, GROUPS = (f"zetasweep.{name}" for name in ("dataset_name", "split_hash", "groups"))
PIXEL_HASH = "zetasweep.pixel_hash"
UNREADABLE, UNMEASURED = (f"zetasweep.{name}" for name in ("unreadable", "unmeasured"))
WEIGHTS = "zetasweep.weights"
LINKED_RUN = "zetasweep.linked_run"
# Of a race: `curve` is read, the others are for people.
CURVE, RACE = "zetasweep.curve", "zetasweep.race"
RACE_RUNG, RACE_PLACE, RACE_MEAN, RACE_CUT = (f"{RACE}.{name}" for name in ("rung", "place", "mean", "cut"))
# Of a run that failed: its training is not to blame.
LOST = "zetasweep.lost"
CONFIRMS = "zetasweep.confirms"
BELOW_GAMMA_MIN, FIRST_STEP_MS = "zetasweep.below_gamma_min", "zetasweep.first_step_ms"
DEVICE, WORLD_SIZE, BACKEND, FEED = (f"zetasweep.{name}" for name in ("device", "world_size", "backend", "feed"))
HOST, LAYOUT = "zetasweep.host", "zetasweep.layout"
# MLflow's own, which its UI shows as the description of a run, and as the version of the source.
NOTE = "mlflow.note.content"
GIT_COMMIT = "mlflow.source.git.commit"

# Of zetasweep itself, and not of the folder that the user stands in.
ZETASWEEP_COMMIT = "zetasweep.commit"
# Of cells that were trained with plug-ins.
KEY_WITHOUT_CODE = "zetasweep.cell_without_code"
PLUGINS = {kind: f"zetasweep.plugin.{kind}" for kind in ("model", "augment", "dataset")}

LOGGED_TABLES = "mlflow.loggedArtifacts"

# Set on a new experiment.
EXPERIMENT_KIND = {"mlflow.experimentKind": "custom_model_development"}
# Before the name of a sweep: a saved view of MLflow's UI.
VIEW = "mlflow.sharedViewState.zetasweep."

EXPERIMENT_TAGS: dict[str, str] = {
    next(iter(EXPERIMENT_KIND)): "`custom_model_development`; else MLflow's UI takes it for one of a language model",
    f"{VIEW}SWEEP": "of each sweep in it a view of MLflow's UI, which lists it under Views: the cells by setting, the "
    "best first, and charts of the test",
}
SWEEP_TAGS: dict[str, str] = {
    KIND: "`sweep`",
    SWEEP: "the experiment's `name`; of a confirmation with `-confirm` behind it (`-confirm-2`, … after `--again`)",
    CONFIRMS: "of a confirmation: the `name` of the experiment that it confirms",
    OWNER: "the driver at work, as `host:place:pid:start`; empty when it has ended",
    HEARTBEAT: "when the driver last said that it is at work, Unix milliseconds",
    GIT_COMMIT: "the commit of the folder that it was started in; missing outside a checkout",
    ZETASWEEP_COMMIT: "the commit of zetasweep, with `-dirty` behind it if files were changed; missing where installed",
    NOTE: "its description: what `compare` says, in markdown; without the table where that is too long",
    LOGGED_TABLES: "that `comparison.json` is a table",
    "mlflow.runName": "the experiment's `name`",
}
CELL_TAGS: dict[str, str] = {
    KIND: "`cell`",
    KEY: "the cell's key",
    SWEEP: "the `name` of the experiment that ran it first",
    OWNER: "the driver that opened the run last",
    REASON: "the first line of why the cell failed, or why its results are not in MLflow; empty if neither is so",
    DATASET_NAME: "the data set as tables name it when the run is opened: by its `name`, or by its options",
    BELOW_GAMMA_MIN: "where there is a γ: `true` if it is so small that the first sample does not outweigh the others",
    DEVICE: "`cpu`, or the name of the GPU",
    HOST: "the machine that it ran on: of several that of the first worker",
    LAYOUT: "how it was placed and fed, by the keys of `resources`: JSON; how long it takes and what it costs depends "
    "on it",
    WORLD_SIZE: "the number of workers",
    BACKEND: "what mixed the batches: `torch` or `triton`",
    FEED: "how the images got to the device: `resident` or `streaming`",
    SPLIT_HASH: "SHA-256 over which images, with which labels, are in which split",
    PIXEL_HASH: "CRC-32 over the pixels of all its images, as decoded; missing in runs of earlier versions",
    GROUPS: "which images are known to belong together, and by what; missing in runs of earlier versions",
    UNREADABLE: "how many images were left out since they could not be read; missing if none",
    WEIGHTS: "what the network took of the weights that it begins with; missing from scratch",
    UNMEASURED: "which metrics do not exist with these images, and why; missing where all do",
    FIRST_STEP_MS: "when the process that finished the training began its first step, Unix milliseconds",
    CURVE: "validation error and loss of the best epoch until each that a race reads, and how long one takes: JSON",
    RACE: "of a cell that a race has not trained to the end: `paused` until its rung is decided, or `stopped`",
    RACE_RUNG: "of a stopped one: the rung that decided, from 1",
    RACE_PLACE: "the place of its configuration there, from 1",
    RACE_MEAN: "its validation error there, mean over the seeds of the rung; empty if one of them failed",
    RACE_CUT: "that of the last one that went on by its place",
    MODEL_URI: "the logged model of a finished cell that has one",
    SETTING: "what all seeds and folds of a configuration have in common: to group by; a param, too",
    GIT_COMMIT: "the commit of the folder that the sweep was started in; missing outside a checkout",
    ZETASWEEP_COMMIT: "the commit of zetasweep, with `-dirty` behind it if files were changed; missing where installed",
    PLUGINS["model"]: "where the model is of a plug-in: its name, and the plug-in's module, file and code",
    PLUGINS["augment"]: "likewise of the augmentation",
    PLUGINS["dataset"]: "likewise of the data set",
    KEY_WITHOUT_CODE: "of such a cell the key that it would have whatever the code: to find those of other code",
    "mlflow.runName": "augmentation, what else varies, seed, fold, data set, model, e.g. `ζ2.8 N4 s0 digits convnet`",
    "mlflow.parentRunId": "the run of the sweep that ran it first",
}
LINK_TAGS: dict[str, str] = {
    KIND: "`link`",
    LINKED_RUN: "the id of the cell's run, which lies in another MLflow experiment",
    OWNER: "the driver that made the link",
    NOTE: "a link to that run",
    "mlflow.parentRunId": "the run of the sweep that has the cell, too",
}

EPOCH_METRICS: dict[str, str] = {
    "epoch": "the number of the epoch, from 1",
    "train/lr": "the learning rate of its first step",
    "train/loss": "mean loss of the mixed training images, with mixed labels: not comparable between augmentations",
    "train/mixed": "with `train.mixing_off_epochs`: 1 in an epoch that is mixed, 0 in one of the last, which are not",
    "train/PARAMETER": "what a parameter of the augmentation is in this epoch (`train/gamma`), where it changes from "
    "epoch to epoch",
    "train/images_per_s": "training images per second, of all workers together",
    "train/epoch_s": "seconds that it took, with its validation and the checkpoint before it, without interruptions",
    "val/METRIC": "over the validation split; the others of `best/METRIC` are of the tested epoch alone",
}
FINAL_METRICS: dict[str, str] = {
    "answer/test_error_percent": "`test/error` in percent; MLflow's charts begin with it, by the alphabet",
    "answer/val_error_percent": "`best/error` in percent",
    "test/METRIC": "each metric over the test split, with the weights that were best on validation by `train.best_by`",
    "test/METRIC/CLASS": "of one class against the rest; of more than 10 classes `test/recall/CLASS` alone",
    "test/group/METRIC": "over whole groups, such as lesions, with the mean of the probabilities over their images",
    "test/group/METRIC/CLASS": "likewise, of one class",
    "best/METRIC": "each validation metric of the epoch that was tested",
    "best/epoch": "the number of that epoch",
    "audit/effective_num_samples": "1 / Σ w², mean over the first batch: how many images an output is made of",
    "audit/soft_label_entropy": "-Σ p log p of the first batch's labels, mean",
    "audit/ms_per_step": "what it costs to crop, mirror, normalise and mix that batch, median in milliseconds",
}

# Of a sweep's run. A row's name and a column's have no letters but those that MLflow takes in names of metrics.
ANSWER_METRICS: dict[str, str] = {
    "verdict/mean/COLUMN/ROW": "the mean of a row of the table, in its unit: shares in percent",
    "verdict/difference/COLUMN/ROW from BASELINE": "what it is more than the baseline's",
    "verdict/low/COLUMN/ROW from BASELINE": "the lower end of the difference's interval, as the table has it",
    "verdict/high/COLUMN/ROW from BASELINE": "the upper end",
}

SWEEP_ARTIFACTS: dict[str, str] = {
    "experiment.json": "the experiment, checked and with its defaults; without the tracking URI",
    "environment.json": "Python, platform, cores and the versions of the packages",
    "comparison.md": "what `compare` says, in markdown",
    "race.json": "of a search: what is kept of it, and every decision with its numbers",
    "comparison.json": "the table, a line for each row and column, the best first, shares in percent",
    "report/": "what `zetasweep report` wrote last: the page, its figures and their numbers",
}
CELL_ARTIFACTS: dict[str, str] = {
    "cell.json": "all that determines the result: what the key is the hash of",
    "environment.json": "Python, platform, cores and the versions of the packages",
    "audit/": "the first batch: its figures, a panel of images with their soft labels, and, with "
    "`train.mixing_off_epochs`, how many epochs are mixed so; what changes from epoch to epoch as it is in each",
    "test/per_class.csv": "the metrics of each class over the test split, and how many images it has",
    "test/confusion_matrix.csv": "how many test images of each class (a row) were taken for which (a column)",
    "test/group/": "the same two tables over whole groups, where groups are known",
    "test/predictions.npz": "of each test image its label, prediction, loss, confidence, logits (up to 100 "
    "classes) and group: NumPy arrays in the order of the split",
    "failure.txt": "why the cell failed, as a whole, or why its results cannot be told to MLflow",
}
