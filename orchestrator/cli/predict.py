"""``zetasweep predict``."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.completing import experiment_files
from orchestrator.cli.completing import overrides as override_keys
from orchestrator.cli.options import debug_option, examples, plugin_option
from orchestrator.cli.output import format_for, write_output
from orchestrator.environment import TRACKING_URI
from orchestrator.errors import UserError
from orchestrator.exit_codes import DONE, INCOMPLETE
from orchestrator.spreadsheets import shielded
from orchestrator.waiting import waiting_for

if TYPE_CHECKING:
    from rich.console import RenderableType

    from orchestrator.experiment import Cell
    from orchestrator.opened import Opened

FORMATS = ("table", "csv", "json")


@click.command(
    epilog=examples(
        "zetasweep predict lesions photos/ --experiment isic2017.yaml --output said.csv",
        "zetasweep predict 3fa2 photo.jpg --experiment quickstart.yaml",
    )
)
@click.argument("model")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--experiment",
    metavar="FILE",
    help="The experiment that MODEL is a cell of, or whose MLflow has it.",
    shell_complete=experiment_files,
)
@click.option(
    "-o",
    "--override",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a key of the file.",
    shell_complete=override_keys,
)
@click.option("--format", "format", type=click.Choice(FORMATS), help="What is shown; table without --output.")
@click.option("--output", metavar="FILE", help="Write it there: .csv, .json or .txt.")
@plugin_option
@debug_option
def predict(
    model: str,
    files: tuple[str, ...],
    experiment: str | None,
    overrides: tuple[str, ...],
    format: str | None,
    output: str | None,
) -> int:
    """Say of images in files or folders which class they show, by a model of a finished cell.

    MODEL is a registered one (NAME, NAME/VERSION or NAME@ALIAS, also behind models:/), or a cell of --experiment, by
    how its key begins or by its name: zetasweep status shows both.
    """
    chosen = format_for(format, output, formats=FORMATS)
    if overrides and experiment is None:
        raise UserError(f"-o {overrides[0]}: of which experiment, is not said", remedy="add --experiment FILE")
    from orchestrator.opened import Opened
    from orchestrator.terminal import counting_bar, new_console

    opened = Opened(experiment, overrides) if experiment is not None else None
    # What is confirmed of it is an experiment of its own in MLflow, whose seeds no cell of the file has.
    parts = [opened, opened.confirmed()] if opened is not None else []
    cell = _cell([cell for part in parts for cell in part.cells], model)
    found = list(_images(files))
    # MLflow takes seconds to import: a mistake in what was given is said before.
    with waiting_for("MLflow to be loaded"):
        from orchestrator.tracking import predict_files

    model_uri = _model_uri(model, next((part for part in parts if cell in part.cells), opened), cell)
    rows = []
    with counting_bar(new_console(), "predicting") as show:
        for row in predict_files(model_uri, found):
            rows.append(row)
            show(len(rows), len(found))
    if output is None and chosen == "table":
        new_console().print(_shown(rows, chosen))
    elif output is None:
        click.echo(_shown(rows, chosen), nl=False)
    else:
        write_output(output, _shown(rows, chosen), format=chosen, asked=format)
    for row in rows:
        if "error" in row:
            click.echo(f"error: {row['error']}", err=True)
    return INCOMPLETE if any("error" in row for row in rows) else DONE


def _cell(cells: Sequence[Cell], name: str) -> Cell | None:
    """Return the cell that is meant; None if none is.

    Raises:
        UserError: Several are.
    """
    found = [cell for cell in cells if name == cell.label] or [cell for cell in cells if cell.key.startswith(name)]
    if len(found) > 1:
        raise UserError(
            f"{name}: {len(found)} cells are called so, or have keys that begin so",
            allowed="; ".join(f"{cell.key} ({cell.label})" for cell in found[:5]),
            remedy="write more of the key",
        )
    return found[0] if found else None


def _images(names: Sequence[str]) -> Iterator[Path]:
    """Yield the files that are named, and those in folders that are, at any depth, that are named like images; hidden
    folders in them, and those of an operating system, are passed over.

    Raises:
        UserError: One is not there, or a folder has no image.
    """
    from orchestrator.data import IMAGE_ENDINGS, is_litter

    for name in names:
        path = Path(name)
        if not path.exists():
            raise UserError(f"{name}: no such file or folder", remedy="mend the path")
        if not path.is_dir():
            yield path
            continue
        inside = []
        for folder, below, files in os.walk(path):
            below[:] = [each for each in below if not is_litter(each)]
            named = [file for file in files if file.lower().endswith(IMAGE_ENDINGS) and not is_litter(file)]
            inside += [Path(folder, file) for file in named]
        if not inside:
            raise UserError(f"{name}: no image lies there", allowed=f"files that end with {', '.join(IMAGE_ENDINGS)}")
        yield from sorted(inside)


def _model_uri(model: str, opened: Opened | None, cell: Cell | None) -> str:
    from orchestrator.tracking import Store, registered_uri

    if opened is not None:
        from orchestrator.opened.models import model_of
        from orchestrator.opened.tracked import runs_of, tracker_of

        if cell is not None:
            _check_no_other(model, cell, opened)
            return model_of(opened, cell, runs_of(opened).get(cell.key))
        if not opened.store_is_there:
            raise UserError(
                f"{model}: no cell is called so, and nothing is in MLflow yet",
                remedy=f"zetasweep run {opened.experiment.file} trains and delivers, zetasweep select registers",
            )
        return registered_uri(tracker_of(opened).store, model)
    if not os.environ.get(TRACKING_URI):
        raise UserError(
            f"{model}: which MLflow has it, is not said",
            remedy=f"--experiment FILE, whose MLflow is asked\nor set {TRACKING_URI}",
        )
    return registered_uri(Store(os.environ[TRACKING_URI], origin=TRACKING_URI), model)


def _check_no_other(model: str, cell: Cell, opened: Opened) -> None:
    """Raise UserError if a registered model has the name with which the key of a cell only begins."""
    from orchestrator.opened.tracked import tracker_of
    from orchestrator.tracking import is_registered

    if model in (cell.key, cell.label) or not opened.store_is_there:
        return
    if is_registered(tracker_of(opened).store, model):
        raise UserError(
            f"{model}: a registered model is called so, and the key of a cell begins so: {cell.key} ({cell.label})",
            remedy=f"for the registered one: models:/{model}\nfor the cell: {cell.key}",
        )


def _shown(rows: Sequence[dict[str, Any]], format: str) -> RenderableType:
    if format == "json":
        return f"{json.dumps(rows, indent=2, ensure_ascii=False)}\n"
    if format == "csv":
        return _csv(rows)
    return _table(rows)


def _table(rows: Sequence[dict[str, Any]]) -> RenderableType:
    from rich.text import Text

    from orchestrator.terminal import plain_table

    table = plain_table()
    for name in ("file", "class", "probability"):
        table.add_column(name, overflow="fold", justify="right" if name == "probability" else "left")
    for row in rows:
        probability = f"{row['probability']:.4f}" if "class" in row else "–"
        # As texts: nothing in a name is taken for markup.
        table.add_row(*map(Text, (row["file"], row.get("class", "–"), probability)))
    return table


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    classes = next((list(row["probabilities"]) for row in rows if "class" in row), [])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "class", "probability", *(f"probability/{name}" for name in classes)])
    for row in rows:
        of_class = row.get("probabilities", {})
        texts = [shielded(row["file"]), shielded(row.get("class", ""))]
        writer.writerow([*texts, row.get("probability", ""), *(of_class.get(name, "") for name in classes)])
    return text.getvalue()
