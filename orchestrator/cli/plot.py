"""``zetasweep plot``."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.completing import figures, known_names
from orchestrator.cli.options import confirmed_option, examples, experiment_options
from orchestrator.cli.outcomes import exit_code
from orchestrator.cli.output import check_output
from orchestrator.errors import UserError, nearest
from orchestrator.waiting import waiting_for

SUFFIXES = (".svg", ".pdf", ".png", ".json")


@click.command(
    epilog=f"KIND: {', '.join(known_names()['figures'])}.\n\n"
    + examples("zetasweep plot differences quickstart.yaml --output differences.pdf")
)
@click.argument("kind", shell_complete=figures)
@experiment_options
@confirmed_option
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A name that ends in .svg, .pdf, .png or .json.  [default: KIND.svg]",
)
def plot(kind: str, experiment: str, overrides: tuple[str, ...], confirmed: bool, output: Path | None) -> int:
    """Write one figure of the report, or its numbers, to a file.

    Where the table has several columns, each has a file.
    """
    from orchestrator.opened import Opened
    from orchestrator.report import FIGURES, Unavailable, write_figures

    opened = Opened(experiment, overrides).part(confirmed=confirmed)
    path = output or Path(f"{kind}.svg")
    check_output(path)
    _check_suffix(path)
    if kind not in FIGURES:
        meant = nearest(kind, tuple(FIGURES), cutoff=0.5)
        raise UserError(
            f"plot {kind}: there is no such figure",
            allowed=", ".join(FIGURES),
            remedy=f"write {meant}" if meant else "write one of them",
        )
    # MLflow takes seconds to import: a mistake in the file is said before.
    with waiting_for("MLflow to be loaded"):
        from orchestrator.opened.material import material_of

    material = material_of(opened)
    try:
        figures = FIGURES[kind](material)
    except Unavailable as error:
        raise UserError(f"plot {kind}: {error.reason}") from error
    for written in write_figures(figures, path, kind=kind):
        click.echo(written)
    for reason in (reason for figure in figures for reason in figure.missing):
        click.echo(f"none of {reason}", err=True)
    return exit_code(opened, material.runs)


def _check_suffix(path: Path) -> None:
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(
            f"--output {path}: its ending says no format",
            allowed=f"a name that ends in one of {', '.join(SUFFIXES)}",
            remedy="write --output FILE.svg",
        )
