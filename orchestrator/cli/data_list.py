"""``zetasweep data list``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.amounts import bytes_text
from orchestrator.cli.options import examples
from orchestrator.environment import DATA_DIR
from orchestrator.errors import DataError, UserError
from orchestrator.exit_codes import DONE

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.data import Cache

_STATES = ("yes", "no", "--download", "embedded", "your own")


@click.command("list", epilog=examples("zetasweep data list --data-dir /data"))
@click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Where data sets lie.  [default: as experiments have it]"
)
@click.option("--cache-dir", type=click.Path(path_type=Path), help="Where decoded images lie.  [default: likewise]")
def list_(data_dir: Path | None, cache_dir: Path | None) -> int:
    """Show which data sets are known, where each is expected, and what is there."""
    from orchestrator.data import Cache
    from orchestrator.experiment import CacheSettings, General
    from orchestrator.terminal import new_console

    found = data_dir or General(name="any").data_dir
    if not isinstance(found, Path):
        raise UserError(
            f"{DATA_DIR} = {found}: this command looks into a folder, and would fetch all data sets",
            remedy="name one with --data-dir; zetasweep plan looks at those of an experiment",
        )
    cache = Cache(cache_dir.absolute() if cache_dir else CacheSettings().dir)
    _print_known(found.absolute(), cache, new_console())
    return DONE


def _print_known(data_dir: Path, cache: Cache, console: Console) -> None:
    """Print which data sets are known, what is there of them, and where they are expected."""
    from rich.text import Text

    from orchestrator.data import DATASETS
    from orchestrator.terminal import plain_table, print_lines

    table = plain_table()
    for title in ("data set", "there", "decoded", "what it is"):
        table.add_column(title, no_wrap=title != "what it is")
    sizes: Counter[str] = Counter()
    for entry in cache.entries():
        sizes[entry.dataset] += entry.size_bytes
    damaged = []
    for name, info in DATASETS.items():
        state = _state(name, data_dir)
        if state not in _STATES:
            damaged.append(f"{name}: {state}")
            state = "damaged"
        table.add_row(name, state, bytes_text(sizes[name]) if name in sizes else "", Text(info.description))
    console.print(table)
    print_lines(
        console,
        [
            "",
            f"data sets: {data_dir}/NAME (data_dir); your own where FOLDER or FILE says, below {data_dir}",
            f"decoded images: {cache.dir} (cache.dir)",
            "--download: zetasweep run --download fetches it",
            *damaged,
        ],
    )


def _state(name: str, data_dir: Path) -> str:
    """Return one of `_STATES`, or what is wrong with the files that are there."""
    from orchestrator.data import DATASETS, check_dataset

    info = DATASETS[name]
    if info.embedded:
        return "embedded"
    if info.path_option is not None:
        return "your own"
    try:
        check_dataset(name, data_dir)
    except DataError as error:
        if (data_dir / name).exists():
            return str(error)
        return "--download" if info.download else "no"
    return "yes"
