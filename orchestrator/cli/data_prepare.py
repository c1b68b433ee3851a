"""``zetasweep data prepare``."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import examples, experiment_options
from orchestrator.errors import DataError
from orchestrator.exit_codes import DONE
from orchestrator.waiting import waiting_for


@click.command(epilog=examples("zetasweep data prepare quickstart.yaml"))
@experiment_options
def prepare(experiment: str, overrides: tuple[str, ...]) -> int:
    """Decode the images of an experiment now, so that no training waits for it."""
    from orchestrator.experiment import load_experiment
    from orchestrator.terminal import new_console, print_lines

    opened, console = load_experiment(Path(experiment), overrides), new_console()
    # SciPy and torchvision: a mistake in the file is said before.
    with waiting_for("SciPy and torchvision to be loaded"):
        from orchestrator.plan import distinct_images
        from orchestrator.sweep.decode import decode_images

    if problems := decode_images(opened.dataset, opened, console):
        raise DataError("\n".join(problems.values()))
    if any(distinct_images(opened.dataset)):
        print_lines(console, [f"all images are decoded, in {opened.cache.dir}"])
    else:
        console.print("nothing to decode: the images come with a package")
    return DONE
