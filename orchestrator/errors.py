"""Errors that a user can mend; the command line prints them without a traceback."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# Of many things that are wrong, so many stand in a message.
NAMED = 20
# By these a disk, or a quota, says that it is full; and a folder on another machine that it is away.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
AWAY = (errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ETIMEDOUT)


class ExplainedError(Exception):
    """What went wrong, and on lines of their own what is allowed and how to mend it.

    Args:
        message: What is wrong and where.
        allowed: What would be right; empty if the message says it.
        remedy: What to do about this cause; empty if there is nothing to say. Further ways stand on lines of their own.
    """

    def __init__(self, message: str, *, allowed: str = "", remedy: str = "") -> None:
        super().__init__(message)
        self.allowed, self.remedy = allowed, remedy

    def __str__(self) -> str:
        return explained(super().__str__(), allowed=self.allowed, remedy=self.remedy)

    @property
    def in_one_line(self) -> str:
        """The first line of the message, and behind it what is allowed and the remedy: for where a line is shown."""
        told = (first_line(super().__str__()).rstrip(".:"), self.allowed, self.remedy.replace("\n", "; "))
        return ": ".join(filter(None, told))

    @property
    def in_full(self) -> str:
        """All of it, the first line of which says enough where no other is shown."""
        return f"{self.in_one_line}\n{self}" if self.allowed or self.remedy else str(self)


class UserError(ExplainedError):
    """A mistake in what the user gave; nothing was started."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with an experiment file.

    Attributes:
        file: The experiment file, or ``-o`` for an override.
        key: The dotted key, e.g. ``augment[2].zeta_mixup.gamma``; empty for the file as a whole.
        value: The value given, as the user would write it; empty if there is none.
        allowed: What is allowed there.
        remedy: What to change.
    """

    file: str
    key: str
    value: str
    allowed: str
    remedy: str

    def __str__(self) -> str:
        given = f" = {self.value}" if self.value else ""
        where = f"{self.file}: {self.key}{given}" if self.key else f"{self.file}{given}"
        return explained(where, allowed=self.allowed, remedy=self.remedy)


class ConfigError(UserError):
    """An experiment file that cannot be run; carries every problem found in it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class DataError(UserError):
    """A data set that is missing, or a file of it that cannot be read; names the path.

    Attributes:
        details: All that is wrong, where the message names the first only: e.g. each image without a label.
        can_pass: Whether the same may succeed later, without anybody's doing.
    """

    def __init__(
        self,
        message: str,
        *,
        allowed: str = "",
        remedy: str = "",
        details: Sequence[str] = (),
        can_pass: bool = False,
    ) -> None:
        super().__init__(message, allowed=allowed, remedy=remedy)
        self.details, self.can_pass = tuple(details), can_pass
        self._parts: tuple[DataError, ...] = ()

    @property
    def parts(self) -> tuple[DataError, ...]:
        """The errors that this one names, see `all_in_one`; itself, if it is about one thing."""
        return self._parts or (self,)

    @classmethod
    def all_in_one(cls, errors: Iterable[DataError], *, what: str) -> DataError:
        """Return an error that names everything that is wrong, each on a line; the only one as it is.

        Args:
            errors: One at least.
            what: Is wrong, as in ``7 images cannot be read``.
        """
        parts = tuple({part.args[0]: part for error in errors for part in error.parts}.values())
        if len(parts) == 1:
            return parts[0]
        # The first where one line is shown, too.
        lines = [f"{len(parts):,} {what}: {parts[0].args[0]}", *(f"  {part.args[0]}" for part in parts[1:NAMED])]
        if len(parts) > NAMED:
            lines.append(f"  and {len(parts) - NAMED:,} more: zetasweep data check names all")
        remedies = dict.fromkeys(part.remedy for part in parts if part.remedy)
        found = cls("\n".join(lines), remedy="\n".join(remedies))
        found._parts = parts
        return found


class SweepError(ExplainedError):
    """What ends a sweep that is under way, e.g. a storage that was taken over: something was started."""


class TrackingError(ExplainedError):
    """MLflow refused something, or does not answer any more; names the store."""


class ClusterError(ExplainedError):
    """A Ray cluster refused something, or does not answer any more; names its address."""


class CellError(ExplainedError):
    """A training that failed on every rank at the same point, e.g. with a loss of NaN: the workers stay usable."""


class LostError(CellError):
    """A cell was not trained for want of what it needs, e.g. its data: the training itself is not to blame."""


def explained(message: str, *, allowed: str = "", remedy: str = "") -> str:
    """Return `message` with a line for what is allowed and one for the remedy, where there is something to say."""
    lines = [message]
    lines += [f"  allowed: {allowed}"] if allowed else []
    lines += ["  remedy:  " + remedy.replace("\n", "\n           ")] if remedy else []
    return "\n".join(lines)


def first_line(error: BaseException | str, *, at_most: int | None = None) -> str:
    """Return the first line of what an error says, cut to so many characters; its kind if it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0][:at_most] if lines else type(error).__name__


def nearest(word: str, known: Sequence[str], *, cutoff: float = 0.6) -> str | None:
    """Return the one of `known` that a user may have meant by `word`, whatever the case of its letters.

    Args:
        word: What was written.
        known: What could be meant.
        cutoff: How much the two must have in common, from 0 to 1.
    """
    written = {name.lower(): name for name in known}
    # A beginning says more than letters in common: acc is no auroc.
    begun = [name for name in written if word and name.startswith(word.lower())]
    found = begun[:1] or difflib.get_close_matches(word.lower(), written, n=1, cutoff=cutoff)
    return written[found[0]] if found else None
