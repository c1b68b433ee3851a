"""Tables that come with images: what each image shows, by the name of the image.

Tables are published with commas, semicolons or tabs, with and without a byte order mark, and name an image by its file,
without the ending, or in other letters than the file. They are read here, once for all data sets, and what does not
match is never filled in.
"""

from __future__ import annotations

import csv
import unicodedata
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.data.image_files import IMAGE_ENDINGS, is_litter, refuse_dangling
from orchestrator.errors import DataError

TABLE_ENDINGS = (".csv", ".tsv", ".tab", ".txt", "")
_DELIMITERS = ",;\t"
_MISSING = {"", "-", "?", "#n/a", "<na>", "missing", "n/a", "na", "nan", "nat", "none", "null", "unknown"}
# A class may be called none, NA or unknown.
_NO_LABEL = {"", "nan"}
_HEADER_BYTES = 65_536


@dataclass(frozen=True)
class Table:
    """A table with a header.

    Attributes:
        path: Its file.
        columns: What the header says, as written there.
        rows: The values below it, as written, and the number of the line that they end on.
    """

    path: Path
    columns: tuple[str, ...]
    rows: Sequence[tuple[int, list[str]]]

    def has(self, column: str) -> bool:
        """Return whether there is such a column, whatever its letters: ``Lesion ID`` is ``lesion_id``."""
        return _plain(column) in map(_plain, self.columns)

    def first_of(self, columns: Sequence[str]) -> str:
        """Return the first of these columns that there is.

        Raises:
            DataError: There is none.
        """
        for column in columns:
            if self.has(column):
                return column
        raise DataError(
            f"{self.path} has no column {' or '.join(map(repr, columns))}: its columns are {', '.join(self.columns)}.",
            remedy="Download the table again; mend it if it is your own.",
        )

    def values(self, *columns: str) -> Iterator[list[str]]:
        """Yield the values of these columns, without spaces around them, row by row.

        Raises:
            DataError: A column is missing or there twice, or a row has more or fewer values than there are columns.
        """
        names = [_plain(column) for column in self.columns]
        for column in columns:
            if names.count(_plain(column)) > 1:
                twice = [name for name in self.columns if _plain(name) == _plain(column)]
                raise DataError(
                    f"{self.path} has the column {column} {len(twice)} times: {', '.join(twice)}.",
                    remedy="Give all but the one that is meant another name.",
                )
        places = [names.index(_plain(self.first_of([column]))) for column in columns]
        for number, row in self.rows:
            if len(row) != len(names):
                raise DataError(
                    f"{self.path}:{number} has {len(row)} values in {len(names)} columns.",
                    remedy="Download it again; mend it if it is your own.",
                )
            yield [row[place].strip() for place in places]


def read_table(path: Path) -> Table:
    """Read a table whose first line is its header.

    Raises:
        DataError: It cannot be read, or is empty.
    """
    (_, header), *rows = read_rows(path)
    return Table(path, tuple(name.strip() for name in header), rows)


def read_rows(path: Path) -> list[tuple[int, list[str]]]:
    """Return the number of each line of a table, from 1, and the values in it; empty lines are passed over.

    Raises:
        DataError: It cannot be read, or is empty.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = next((line for line in file if line.strip()), "")
            reader = csv.reader(file, delimiter=_delimiter(header))
            file.seek(0)
            rows = [(reader.line_num, row) for row in reader if any(value.strip() for value in row)]
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}. It comes with the images; put it there; docs/data-sets.md shows "
            "the layout."
        ) from error
    except UnicodeDecodeError as error:
        encoding = "UTF-16" if error.object.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "CP1252"
        raise DataError(
            f"{path} cannot be read: it is not in UTF-8, but e.g. in {encoding}.",
            remedy=f"Save it as UTF-8, e.g. by iconv -f {encoding} -t UTF-8 {path.name} > new.csv.",
        ) from error
    except csv.Error as error:
        raise DataError(
            f"{path} cannot be read: {error}.", remedy="Download it again; mend it if it is your own."
        ) from error
    if not rows:
        raise DataError(f"{path} is empty. Download it again.")
    return rows


def tables_with(column: str, folder: Path) -> list[Table]:
    """Return the tables in `folder`, not below it, that have such a column, by name; other files are not read.

    Raises:
        DataError: One of them cannot be read.
    """
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in TABLE_ENDINGS)
    except OSError:
        return []  # what is missing there is said by whoever looks for the images
    return [read_table(path) for path in files if not is_litter(path.name) and _names(path, column)]


def image_key(name: str) -> str:
    """Return what two names of the same image have in common: no folder, no ending of an image, small letters."""
    base = unicodedata.normalize("NFC", name.strip()).replace("\\", "/").rpartition("/")[2].casefold()
    stem, dot, ending = base.rpartition(".")
    return stem if f"{dot}{ending}" in IMAGE_ENDINGS else base


def plain_name(name: str) -> str:
    """Return what names have in common that mean the same: capitals and forms of accents do not count."""
    return unicodedata.normalize("NFC", name).casefold()


def is_table(name: str) -> bool:
    """Return whether a file of this name is a table; one without an ending may be anything."""
    return name.lower().endswith(tuple(filter(None, TABLE_ENDINGS)))


def is_missing(value: str) -> bool:
    """Return whether a table says with this value that it does not know."""
    return value.strip().casefold() in _MISSING


def is_no_label(value: str) -> bool:
    """Return whether a table does not say the class with this value."""
    return value.strip().casefold() in _NO_LABEL


def _names(path: Path, column: str) -> bool:
    """Return whether the first line of a file, which may be anything, names a column.

    Raises:
        DataError: Nobody can say, since the file cannot be read.
    """
    if path.is_dir():
        return False
    refuse_dangling(path)
    try:
        with path.open("rb") as file:
            beginning = file.read(_HEADER_BYTES)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.", remedy="Mend it, or move it away.") from error
    # Such a table is found, so that it is refused.
    encoding = "utf-16" if beginning.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig"
    lines = beginning.decode(encoding, errors="replace").splitlines()
    names = next((line for line in lines if line.strip()), "")
    return _plain(column) in (_plain(name.strip("\"'")) for name in names.split(_delimiter(names)))


def _delimiter(header: str) -> str:
    """Return what separates the columns: of the possible ones that which the header has most of."""
    return max(_DELIMITERS, key=header.count)


def _plain(column: str) -> str:
    return column.strip().casefold().replace(" ", "_").replace("-", "_")
