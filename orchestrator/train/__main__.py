"""The command line of ``python -m orchestrator.train``: one cell of an experiment, without Ray and MLflow.

::

    torchrun --nproc-per-node 2 -m orchestrator.train EXPERIMENT --cell KEY
    python -m orchestrator.train EXPERIMENT --cell KEY                         # a cell of one worker

What it trains lies where a sweep looks for it: ``zetasweep run`` takes it over.
"""

from __future__ import annotations

import atexit
import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout, suppress
from functools import partial
from pathlib import Path

import click
from click.core import ParameterSource

from orchestrator.environment import PLUGINS
from orchestrator.errors import CellError, UserError
from orchestrator.exit_codes import DONE, INCOMPLETE, INTERRUPTED, WRONG_INPUT
from orchestrator.lasting_output import lasting_output
from orchestrator.short_paths import short_temporary_folders
from orchestrator.shown_warnings import warnings_shown_by
from orchestrator.signals import take_like_ctrl_c
from orchestrator.waiting import hush, waiting_for

PROGRAM = "python -m orchestrator.train"


def main(arguments: Sequence[str] | None = None) -> int:
    """Train the cell that the command line names, on this rank, and return the exit code.

    Args:
        arguments: Of the command line; None takes them from ``sys.argv``.
    """
    # Each rank is started with the same words: rank 0 says what is wrong with them, and none waits for the others.
    is_first = _is_first()
    if not is_first:
        hush()
    try:
        # All ranks would say the same.
        with nullcontext() if is_first else redirect_stdout(io.StringIO()):
            code: int = train.main(arguments, prog_name=PROGRAM, standalone_mode=False)
    except click.Abort as abort:
        if isinstance(abort.__cause__, EOFError):
            raise abort.__cause__ from None  # nobody was asked anything: it is an error of the training
        if is_first:
            click.echo("interrupted", err=True)
        return INTERRUPTED
    except (UserError, CellError, click.UsageError) as error:
        code = INCOMPLETE if isinstance(error, CellError) else WRONG_INPUT
        if is_first and isinstance(error, click.UsageError):
            error.show()
        elif is_first:
            click.echo(f"error: {error}", err=True)
    _leave_group()
    return code


@click.command(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start as many processes as the cell has workers: torchrun --nproc-per-node N -m orchestrator.train ...",
)
@click.argument("experiment", type=click.Path(path_type=Path))
@click.option("--cell", metavar="KEY", help="The cell's key or how it begins; not needed if there is one.")
@click.option("-o", "--override", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key of the file.")
@click.option(
    "--plugin",
    "plugins",
    multiple=True,
    metavar="FILE|MODULE",
    envvar=PLUGINS,
    type=click.Path(),  # so that the variable is split as PATH is
    help="Python code of your own with MODELS, AUGMENTATIONS or DATASETS: see docs/own-code.md.",
)
@click.option(
    "--checkpoint-dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where the cell's folder KEY lies or is made (default: cells in the experiment's storage).",
)
def train(
    experiment: Path,
    cell: str | None,
    overrides: tuple[str, ...],
    plugins: tuple[str, ...],
    checkpoint_dir: Path | None,
) -> int:
    """Train one cell of an experiment without Ray and MLflow; the same command again continues it.

    EXPERIMENT is a YAML file, see experiments/.
    """
    if _is_first() and "torch" not in sys.modules:
        # A sign of life. On stderr, as of the other commands.
        click.echo(f"{PROGRAM}: loading PyTorch, which takes some seconds", err=True)
    with waiting_for("PyTorch to be loaded"):
        # Help and a wrong option need not pay for it.
        from orchestrator.train.preparation import Choice
        from orchestrator.train.printed import train_printed
    source = click.get_current_context().get_parameter_source("plugins")
    named = None if source is ParameterSource.ENVIRONMENT else plugins
    train_printed(Choice(experiment, overrides, cell, checkpoint_dir, named))
    return DONE


def _is_first() -> bool:
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def _ends_without_the_interpreter() -> Iterator[None]:
    """End the process once what was registered with `atexit` ran, with the code that the block exits with.

    DDP keeps gloo's threads beyond `destroy_process_group`, and one that lets go of its work while the interpreter is
    taken down aborts the process (pytorch/pytorch, pull request 179291).
    """
    code: object = 1

    def end() -> None:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code if isinstance(code, int) else 1)

    # Of all that is registered the first comes last.
    atexit.register(end)
    try:
        yield
    except SystemExit as ended:
        code = ended.code or 0
        raise


def _leave_group() -> None:
    if "torch" not in sys.modules:
        return
    import torch.distributed as dist  # there it is loaded, and costs nothing

    if dist.is_initialized():
        # torchrun ends the others as soon as one exits: not before rank 0 has spoken.
        dist.barrier()
        dist.destroy_process_group()


if __name__ == "__main__":
    with _ends_without_the_interpreter():
        take_like_ctrl_c()
        with lasting_output(), warnings_shown_by(partial(click.echo, err=True)), short_temporary_folders():
            code = main()
        sys.exit(code)
