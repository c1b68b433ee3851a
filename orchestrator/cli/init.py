"""``zetasweep init``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.completing import example_names
from orchestrator.cli.options import debug_option, examples
from orchestrator.errors import UserError
from orchestrator.exit_codes import DONE

if TYPE_CHECKING:
    from collections.abc import Callable


@click.command(epilog=examples("zetasweep init data/moles", "zetasweep init --example quickstart --output first.yaml"))
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option(
    "--example", metavar="NAME", help="One of the experiments that zetasweep comes with.", shell_complete=example_names
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write.  [default: NAME.yaml, as FOLDER or the example is called]",
)
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@debug_option
def init(folder: Path | None, example: str | None, output: Path | None, force: bool) -> int:
    """Write a commented experiment for the images in FOLDER, or one of the examples.

    FOLDER has images in folders of classes, with or without folders of splits, or named by a table; or it is a data set
    that zetasweep knows; or an .npz file in MedMNIST's format. Nothing in it is changed.
    """
    if (folder is None) == (example is None):
        raise UserError(
            "init: " + ("neither FOLDER nor --example" if folder is None else "FOLDER and --example at once"),
            allowed="one of them",
            remedy="zetasweep init data/mine, or zetasweep init --example quickstart",
        )
    name, text = _of_example(example) if example is not None else _of_folder(folder or Path())
    file = output or Path(f"{name}.yaml")
    replaced = file.exists()
    if replaced and not force:
        raise UserError(f"{file} is there", remedy="name another file with --output, or replace it with --force")
    _write(file, text(file))
    click.echo(f"{'replaced' if replaced else 'written'}: {file}; look at it, then: zetasweep plan {file}", err=True)
    return DONE


def _of_example(example: str) -> tuple[str, Callable[[Path], str]]:
    from orchestrator.guide import example_text

    return example, lambda file: example_text(example, file)


def _of_folder(folder: Path) -> tuple[str, Callable[[Path], str]]:
    import torch

    from orchestrator.guide import experiment_for, name_for

    return name_for(folder), lambda file: experiment_for(folder, file, on_gpu=torch.cuda.is_available())


def _write(file: Path, text: str) -> None:
    from orchestrator.storage.atomic import written_whole

    with written_whole(file.resolve()) as written:
        written.write(text.encode())
