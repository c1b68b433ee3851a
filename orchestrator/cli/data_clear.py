"""``zetasweep data clear``."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.amounts import bytes_text, counted
from orchestrator.data import DATASETS, Cache, default_cache_dir
from orchestrator.errors import UserError
from orchestrator.exit_codes import DONE


@click.command()
@click.option("--dataset", metavar="NAME", help="Only that of one data set.")
@click.option(
    "--cache-dir", type=click.Path(path_type=Path), help="Where decoded images lie.  [default: as experiments have it]"
)
def clear(dataset: str | None, cache_dir: Path | None) -> int:
    """Remove decoded images; they are decoded again when they are needed."""
    if dataset is not None and dataset not in DATASETS:
        raise UserError(f"--dataset {dataset}: known are {', '.join(DATASETS)}")
    cache = Cache((cache_dir or default_cache_dir()).absolute())
    removed = cache.clear(dataset)
    size = bytes_text(sum(entry.size_bytes for entry in removed))
    click.echo(f"removed {counted(len(removed), 'decoded data set')}, {size}, from {cache.dir}")
    return DONE
