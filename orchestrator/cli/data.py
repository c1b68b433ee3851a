"""``zetasweep data``: what is there, whether it can be trusted, and decoding it ahead of time."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from orchestrator.amounts import bytes_text, counted
from orchestrator.cli.options import experiment_options
from orchestrator.errors import DataError, UserError
from orchestrator.exit_codes import DONE


@click.group()
def data() -> None:
    """List, check, decode and clear data sets."""


@data.command("list")
@click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Where data sets lie.  [default: as experiments have it]"
)
@click.option("--cache-dir", type=click.Path(path_type=Path), help="Where decoded images lie.  [default: likewise]")
def list_(data_dir: Path | None, cache_dir: Path | None) -> int:
    """Show which data sets are known, where each is expected, and what is there."""
    from orchestrator.data import Cache, default_cache_dir
    from orchestrator.experiment.settings import General
    from orchestrator.plan.images import print_known

    found = (data_dir or General(name="any").data_dir).absolute()
    print_known(found, Cache((cache_dir or default_cache_dir()).absolute()), Console())
    return DONE


@data.command()
@experiment_options
def prepare(experiment: str, overrides: tuple[str, ...]) -> int:
    """Decode the images of an experiment now, so that no training waits for it."""
    from orchestrator.experiment.load import load_experiment
    from orchestrator.plan.images import distinct_images
    from orchestrator.sweep.decode import decode_images

    opened, console = load_experiment(Path(experiment), overrides), Console()
    if problems := decode_images(opened.dataset, opened, console):
        raise DataError("\n".join(problems.values()))
    if any(distinct_images(opened.dataset)):
        console.print(Text(f"all images are decoded, in {opened.cache.dir}"), soft_wrap=True)
    else:
        console.print("nothing to decode: the images come with a package")
    return DONE


@data.command()
@experiment_options
def check(experiment: str, overrides: tuple[str, ...]) -> int:
    """Count images, and find unreadable ones and duplicates across splits; exit with 1 if there are any.

    A near duplicate is the same picture encoded, resized, brightened or cropped a little otherwise; not mirrored.
    """
    from orchestrator.experiment.load import load_experiment
    from orchestrator.plan.images import check_images

    opened = load_experiment(Path(experiment), overrides)
    return check_images(opened, Console())


@data.command()
@click.option("--dataset", metavar="NAME", help="Only that of one data set.")
@click.option(
    "--cache-dir", type=click.Path(path_type=Path), help="Where decoded images lie.  [default: as experiments have it]"
)
def clear(dataset: str | None, cache_dir: Path | None) -> int:
    """Remove decoded images; they are decoded again when they are needed."""
    from orchestrator.data import DATASETS, Cache, default_cache_dir

    if dataset is not None and dataset not in DATASETS:
        raise UserError(f"--dataset {dataset}: known are {', '.join(DATASETS)}")
    cache = Cache((cache_dir or default_cache_dir()).absolute())
    removed = cache.clear(dataset)
    size = bytes_text(sum(entry.size_bytes for entry in removed))
    click.echo(f"removed {counted(len(removed), 'decoded data set')}, {size}, from {cache.dir}")
    return DONE
