"""The pages of names that stand in one table of the code each: metrics, MLflow, exit codes, environment variables."""

from __future__ import annotations

from collections.abc import Collection

from orchestrator.environment import MOMENTS, SETTINGS, VARIABLES
from orchestrator.exit_codes import MEANINGS
from orchestrator.metric_names import CLASS_METRICS, CLASS_METRICS_UP_TO, GROUP, METRICS, RECALL
from orchestrator.tracking import names
from tools.reference.markdown import item, items, paragraph, table
from tools.reference.yaml_keys import param_names


def metrics_page() -> str:
    """Return the page of the metrics."""
    rows = [
        (
            f"`{name}`",
            info.what,
            "higher" if info.higher_is_better else "lower",
            "0 to 1, in percent in tables" if info.is_fraction else "at least 0",
        )
        for name, info in METRICS.items()
    ]
    return (
        "# Metrics\n\n"
        + paragraph(
            "`val/METRIC` is of each epoch, `best/METRIC` of the epoch that is best on validation by `train.best_by` "
            "(then by the loss), `test/METRIC` of the test images with the weights of that epoch. `compare --metric` "
            "takes any of them and `train/loss`; `select --metric` takes METRIC alone, and reads it on validation."
        )
        + table(("METRIC", "what it is", "better", "range"), rows)
        + paragraph(
            "`average_precision` and what follows are of one class against the rest, the mean over those that occur; "
            "of two classes they are those of the second. Nothing is interpolated: a sensitivity or specificity is "
            "one that a threshold on the model's probability of the class reaches, equal probabilities on the same "
            "side. MLflow has those of the test and of the tested epoch, not of each epoch, of which it has the others."
        )
        + "## Of each class\n\n"
        + paragraph(
            "The test has `test/METRIC/CLASS`, of one class against the rest, for each class that occurs. METRIC is "
            f"`{RECALL}`, the share of the class's images that is recognised, {_listed(set(CLASS_METRICS) - {RECALL})}."
        )
        + paragraph(
            f"Of more than {CLASS_METRICS_UP_TO} classes MLflow has `test/{RECALL}/CLASS` alone as metrics. The "
            "artifact `test/per_class.csv` of each run has all of them, whatever the number of classes, and "
            "`test/confusion_matrix.csv` how many images of each class (a row) were taken for which (a column)."
        )
        + "## Of groups\n\n"
        + paragraph(
            "Where it is known which test images show the same thing, such as a lesion, all of this is there once "
            f"more, as `test/{GROUP}METRIC`, `test/{GROUP}METRIC/CLASS` and tables in `test/{GROUP}`: a group counts "
            "once, with the mean of the probabilities over its images, and with their label."
        )
        + "## What does not exist\n\n"
        + paragraph(
            "A metric that does not exist is left out, and never 0: a class without images has none; with all images "
            "of one class there is no `auroc`, `average_precision`, sensitivity or specificity; groups with more than "
            "one label have no metrics. `plan`, `run` and the tag `zetasweep.unmeasured` say so. Runs of earlier "
            "versions lack what these did not have: tables show it as missing. What else a run has is in "
            "[MLflow](mlflow.md)."
        )
    ).rstrip() + "\n"


def _listed(names: Collection[str]) -> str:
    ordered = [f"`{name}`" for name in METRICS if name in names]
    return f"{', '.join(ordered[:-1])} or {ordered[-1]}"


def mlflow_page() -> str:
    """Return the page of what MLflow has."""
    return (
        "# MLflow\n\n"
        + paragraph(
            "The MLflow experiment is named `tracking.experiment`, or like the experiment file. It has one run for the "
            "sweep and, as its children, one for each cell. What `zetasweep confirm` trains is a sweep in an "
            "experiment of its own, with `-confirm` behind the name (`-confirm-2`, … after `--again`)."
        )
        + "## Tags of the MLflow experiment\n\n"
        + items(names.EXPERIMENT_TAGS)
        + "## The run of a sweep\n\n### Tags\n\n"
        + items(names.SWEEP_TAGS)
        + "### Metrics\n\n"
        + paragraph(
            "Written anew whenever a column of the table is complete, and at the end of `run` and `sync`; MLflow keeps "
            "what they were before."
        )
        + items(names.ANSWER_METRICS)
        + "### Artifacts\n\n"
        + items(names.SWEEP_ARTIFACTS)
        + "## The run of a cell\n\n### Tags\n\n"
        + items(names.CELL_TAGS)
        + "### Params\n\n"
        + paragraph("Under the names of the experiment file; those that do not apply to a cell are left out.")
        + items(param_names())
        + "### Metrics of each epoch\n\n"
        + paragraph("The step is the epoch. METRIC: one of [metrics](metrics.md).")
        + items(names.EPOCH_METRICS)
        + "### Metrics of the whole cell\n\n"
        + paragraph("One value each, at step 0.")
        + items(names.FINAL_METRICS)
        + "### Artifacts\n\n"
        + items(names.CELL_ARTIFACTS)
        + "### Inputs and model\n\n"
        + paragraph(
            "Each run names its data as inputs `DATASET-train`, `DATASET-val` and `DATASET-test`. Some finished "
            "ones (`tracking.models`) have the logged model `model`: a classifier of images (`python_function`) around "
            "a network from pixels in [0, 1] to logits (`pytorch`), without this project's code. Its `metadata` has "
            "`setting`, `cell`, `class_names`, `input`, `output`, `preparation` and `can_be_trained`."
        )
        + "## A link to the run of a cell\n\n"
        + paragraph(
            "A cell is trained once, whichever sweeps have it. Where its run lies in another MLflow experiment, that "
            "of the sweep has a link: a run with the params of the other, its last metrics and its tags, but for these."
        )
        + items(names.LINK_TAGS)
    ).rstrip() + "\n"


def exit_codes_page() -> str:
    """Return the page of the exit codes."""
    rows = [(str(code), meaning) for code, meaning in MEANINGS.items()]
    return "# Exit codes\n\n" + table(("code", "meaning"), rows).rstrip() + "\n"


def environment_page() -> str:
    """Return the page of the environment variables."""
    page = "# Environment variables\n\n## Read\n\n" + items({entry.name: entry.what for entry in VARIABLES})
    page += "## Set, unless they are set already or it says otherwise\n\n"
    for moment, when in MOMENTS.items():
        page += f"### {when[0].upper()}{when[1:]}\n\n"
        for setting in SETTINGS:
            if setting.moment == moment:
                value = f"`{setting.value}`"
                forced = ", whatever it was" if setting.forced else ""
                page += item(f"`{setting.name}` = {value}{forced}. Without it: {setting.why}.")
        page += "\n"
    return page.rstrip() + "\n"
