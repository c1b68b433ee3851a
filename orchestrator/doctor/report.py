"""What ``zetasweep doctor`` prints, while it looks; and mending, finding by finding."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from rich.console import Console

from orchestrator.doctor.finding import Finding, Line
from orchestrator.errors import TrackingError, UserError
from orchestrator.terminal import print_lines

STYLES = {"error": "red", "note": "yellow"}


class Report:
    """Prints lines as they come, mends what can be mended if asked to, and counts.

    Args:
        console: Where to.
        fix: Whether to mend.

    Attributes:
        left: How many faults are not mended.
        mendable: How many of these could be.
        mended: How many were.
    """

    def __init__(self, console: Console, *, fix: bool) -> None:
        self._console, self._fix = console, fix
        self.left = self.mendable = self.mended = 0

    def take(self, lines: Iterable[Line]) -> None:
        """Print `lines`, the findings of a kind under one heading; an error while looking is a finding, too."""
        for _, group in groupby(self._looked_at(lines), key=self._heading):
            together = list(group)
            first = together[0]
            if isinstance(first, str):
                for line in together:
                    self._print(str(line))
                continue
            self._print(f"{first.severity}: {first.what}", STYLES[first.severity])
            for finding in together:
                assert isinstance(finding, Finding)
                self._print(f"  {finding.where}{self._outcome(finding)}")
            if first.remedy:
                self._print("  remedy:  " + first.remedy.replace("\n", "\n" + " " * 11))

    def _outcome(self, finding: Finding) -> str:
        """Mend a finding, if it is asked for and possible; count it and return what is to be said of that."""
        if self._fix and finding.mend is not None:
            try:
                finding.mend()
            except (TrackingError, UserError, OSError) as error:
                self.left += finding.severity == "error"
                return f": not mended: {error}"
            self.mended += 1
            return ": mended"
        if finding.severity == "error":
            self.left += 1
            self.mendable += finding.mend is not None
        return ""

    def close(self) -> None:
        """Print the sum."""
        if not self.left + self.mended:
            self._print("nothing is wrong", "green")
        elif self._fix:
            self._print(f"{self.mended} mended, {self.left} left", "red" if self.left else "green")
        else:
            self._print(f"{self.left} wrong; --fix mends {self.mendable}", "red")

    def _looked_at(self, lines: Iterable[Line]) -> Iterator[Line]:
        try:
            yield from lines
        except (TrackingError, UserError, OSError) as error:
            yield Finding("it cannot be looked at", str(error), "")

    @staticmethod
    def _heading(line: Line) -> tuple[str, str, str] | None:
        return None if isinstance(line, str) else (line.severity, line.what, line.remedy)

    def _print(self, text: str, style: str = "") -> None:
        print_lines(self._console, [text], style=style)
