"""``zetasweep data clear``."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.amounts import bytes_text, counted
from orchestrator.cli.completing import datasets
from orchestrator.cli.options import examples
from orchestrator.errors import UserError
from orchestrator.exit_codes import DONE


@click.command(epilog=examples("zetasweep data clear --dataset cifar10"))
@click.option("--dataset", metavar="NAME", help="Only that of one data set.", shell_complete=datasets)
@click.option(
    "--cache-dir", type=click.Path(path_type=Path), help="Where decoded images lie.  [default: as experiments have it]"
)
def clear(dataset: str | None, cache_dir: Path | None) -> int:
    """Remove decoded images; they are decoded again when they are needed."""
    from orchestrator.data import DATASETS, Cache
    from orchestrator.experiment import CacheSettings

    cache = Cache(cache_dir.absolute() if cache_dir else CacheSettings().dir)
    known = dict.fromkeys([*DATASETS, *(entry.dataset for entry in cache.entries())])  # a plug-in's, too
    if dataset is not None and dataset not in known:
        raise UserError(f"--dataset {dataset}: known are {', '.join(known)}")
    removed = cache.clear(dataset)
    size = bytes_text(sum(entry.size_bytes for entry in removed))
    click.echo(f"removed {counted(len(removed), 'decoded data set')}, {size}, from {cache.dir}")
    return DONE
