"""What there is to be done about a table that lacks something: of a sweep one thing, of a confirmation another."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Remedies:
    """What is said to whoever looks at a table, where it is not the same for all tables.

    Attributes:
        trains: The command that trains what is missing, and delivers it.
        explains: The command that says why a cell has failed.
        more_seeds: What to do about too few seeds.
        more_rows: What to do about a table of one row.
        other_rows: What to do about a row that will never have its value.
        baseline: What to do about a table without a baseline.
    """

    trains: str
    explains: str
    more_seeds: str
    more_rows: str
    other_rows: str
    baseline: str

    @property
    def delivers(self) -> str:
        """What delivers results that are in storage, a clause."""
        return f"{self.trains} delivers them, without training"

    @property
    def trains_missing(self) -> str:
        """What trains the cells that are missing, a clause."""
        return f"{self.trains} trains what is missing"

    def more(self, what: str) -> str:
        """Return what to do about too few seeds, or folds, which make another data set: that is in the file."""
        return self.more_seeds if what == "seeds" else f"add {what} to the file, and zetasweep run trains them"


OF_SWEEP = Remedies(
    trains="zetasweep run",
    explains="zetasweep status",
    more_seeds="add seeds to the file, and zetasweep run trains them",
    more_rows="add another to augment",
    other_rows="take the row out of the file",
    baseline="name a row with compare.baseline in the file",
)
# Its rows and seeds are chosen once, whatever the file says by now.
OF_CONFIRMATION = Remedies(
    trains="zetasweep confirm",
    explains="zetasweep status --confirmed",
    more_seeds="add seeds by zetasweep confirm --seeds N",
    more_rows="zetasweep confirm --again --top N chooses more",
    other_rows="zetasweep confirm --again chooses anew",
    baseline="zetasweep confirm --again --against ROW chooses one",
)
