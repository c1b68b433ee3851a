"""The names of what MLflow has of a sweep and of its cells; ``docs/reference/mlflow.md`` is made from these tables."""

from __future__ import annotations

KIND, SWEEP, OWNER, HEARTBEAT = (f"zetasweep.{name}" for name in ("kind", "sweep", "owner", "heartbeat_ms"))
KEY, REASON, MODEL_URI = (f"zetasweep.{name}" for name in ("cell", "reason", "model_uri"))
DATASET_NAME, SPLIT_HASH, GROUPS = (f"zetasweep.{name}" for name in ("dataset_name", "split_hash", "groups"))
UNREADABLE, UNMEASURED = (f"zetasweep.{name}" for name in ("unreadable", "unmeasured"))
LINKED_RUN = "zetasweep.linked_run"
BELOW_GAMMA_MIN, FIRST_STEP_MS = "zetasweep.below_gamma_min", "zetasweep.first_step_ms"
DEVICE, WORLD_SIZE, BACKEND, FEED = (f"zetasweep.{name}" for name in ("device", "world_size", "backend", "feed"))
# MLflow's own, which its UI shows as the description of a run, and as the version of the source.
NOTE = "mlflow.note.content"
GIT_COMMIT = "mlflow.source.git.commit"

# Set on a new experiment.
EXPERIMENT_KIND = {"mlflow.experimentKind": "custom_model_development"}

EXPERIMENT_TAGS: dict[str, str] = {
    next(iter(EXPERIMENT_KIND)): "`custom_model_development`; else MLflow's UI takes it for one of a language model",
}
SWEEP_TAGS: dict[str, str] = {
    KIND: "`sweep`",
    SWEEP: "the experiment's `name`",
    OWNER: "the driver at work, as `host:place:pid:start`; empty when it has ended",
    HEARTBEAT: "when the driver last said that it is at work, Unix milliseconds",
    GIT_COMMIT: "the commit of the folder that it was started in; missing outside a checkout",
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
    WORLD_SIZE: "the number of workers",
    BACKEND: "what mixed the batches: `torch` or `triton`",
    FEED: "how the images got to the device: `resident` or `streaming`",
    SPLIT_HASH: "SHA-256 over which images, with which labels, are in which split",
    GROUPS: "which images are known to belong together, and by what; missing in runs of earlier versions",
    UNREADABLE: "how many images were left out since they could not be read; missing if none",
    UNMEASURED: "which metrics do not exist with these images, and why; missing where all do",
    FIRST_STEP_MS: "when the process that finished the training began its first step, Unix milliseconds",
    MODEL_URI: "the logged model of a finished cell",
    GIT_COMMIT: "the commit of the folder that the sweep was started in; missing outside a checkout",
    "mlflow.runName": "augmentation, seed, fold if there is one, data set and model, as when the run is opened",
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
    "train/images_per_s": "training images per second, of all workers together",
    "val/METRIC": "over the validation split; the others of `best/METRIC` are of the tested epoch alone",
}
FINAL_METRICS: dict[str, str] = {
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

SWEEP_ARTIFACTS: dict[str, str] = {
    "experiment.json": "the experiment, checked and with its defaults; without the tracking URI",
    "environment.json": "Python, platform, cores and the versions of the packages",
}
CELL_ARTIFACTS: dict[str, str] = {
    "cell.json": "all that determines the result: what the key is the hash of",
    "environment.json": "Python, platform, cores and the versions of the packages",
    "audit/": "the first batch: its figures, and a panel of images with their soft labels",
    "test/per_class.csv": "the metrics of each class over the test split, and how many images it has",
    "test/confusion_matrix.csv": "how many test images of each class (a row) were taken for which (a column)",
    "test/group/": "the same two tables over whole groups, where groups are known",
    "test/predictions.npz": "of each test image its label, prediction, loss, confidence, logits (up to 100 "
    "classes) and group: NumPy arrays in the order of the split",
    "failure.txt": "why the cell failed, as a whole, or why its results cannot be told to MLflow",
}
