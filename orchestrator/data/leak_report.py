"""What was found when every image of a data set was looked at, and how it is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from orchestrator.amounts import counted
from orchestrator.data.duplicates import SIDE_PX, Fingerprints

Kind = Literal["same pixels", "same picture", "mirrored"]
"""How what stands twice is the same: bit by bit; encoded, recoloured or cropped otherwise; so, and left for right."""


@dataclass(frozen=True, order=True)
class Place:
    """Where an image stands.

    Attributes:
        split: ``train``, ``val`` or ``test``; after the name of its data set where there are two.
        id: See ``Samples``.
        label: The name of its class.
    """

    split: str
    id: str
    label: str

    def __str__(self) -> str:
        return f"{self.split} {self.id} ({self.label})"


@dataclass(frozen=True)
class Duplicate:
    """A picture that stands in two or more places.

    Attributes:
        places: Where; two unless they have the same pixels.
        kind: See ``Kind``.
        distance: 0 for the same pixels, at most ``duplicates.MAX_DISTANCE`` for near duplicates.
    """

    places: tuple[Place, ...]
    kind: Kind = "same pixels"
    distance: float = 0.0

    @property
    def splits(self) -> frozenset[str]:
        """Which splits it stands in."""
        return frozenset(place.split for place in self.places)

    @property
    def labels_differ(self) -> bool:
        """Whether it is of one class here and of another there."""
        return len({place.label for place in self.places}) > 1

    def __str__(self) -> str:
        distance = "" if self.kind == "same pixels" else f"{self.distance:.3f}  "
        return distance + " = ".join(map(str, self.places)) + ("  labels differ" if self.labels_differ else "")


@dataclass(frozen=True)
class TornGroup:
    """Images that belong together and stand in two or more splits."""

    group: str
    places: tuple[Place, ...]

    def __str__(self) -> str:
        return f"{self.group}: {', '.join(map(str, self.places))}"


@dataclass(frozen=True)
class FingerprintTable:
    """The images of a data set that can be read.

    Attributes:
        name: The data set's.
        places: Where each stands.
        prints: Their fingerprints, in the same order.
    """

    name: str
    places: tuple[Place, ...]
    prints: Fingerprints

    def of_split(self, split: str) -> FingerprintTable:
        """Those of one split."""
        rows = [row for row, place in enumerate(self.places) if place.split == split]
        return replace(self, places=tuple(self.places[row] for row in rows), prints=self.prints.part(rows))


@dataclass(frozen=True)
class SplitReport:
    """What was found in a data set.

    Attributes:
        name: The data set's.
        class_names: In the order of the labels.
        counts: The number of images of each class in each split, those included that cannot be read
            and are not left out.
        unreadable: A message for each image that cannot be read.
        exact_across: Pictures with the same pixels in two splits.
        near_across: Pictures in two splits that are nearly the same, mirrored ones among them; the nearest first.
        exact_within: Pictures with the same pixels, in one split only; for information.
        torn_groups: Groups that stand in two splits.
        groups: In a line, which images are known to belong together.
        table: The fingerprints, to compare with those of another data set.
    """

    name: str
    class_names: tuple[str, ...]
    counts: Mapping[str, tuple[int, ...]]
    unreadable: tuple[str, ...]
    exact_across: tuple[Duplicate, ...]
    near_across: tuple[Duplicate, ...]
    exact_within: tuple[Duplicate, ...]
    torn_groups: tuple[TornGroup, ...]
    groups: str
    table: FingerprintTable = field(repr=False)

    @property
    def missing_classes(self) -> tuple[tuple[str, str], ...]:
        """Each split and class of which it has no image."""
        return tuple(
            (split, name)
            for split, counts in self.counts.items()
            for name, count in zip(self.class_names, counts, strict=True)
            if count == 0
        )

    @property
    def leaks(self) -> bool:
        """Whether something that is trained on, or selected by, is also tested on."""
        return bool(self.exact_across or self.near_across or self.torn_groups)

    @property
    def ok(self) -> bool:
        """Whether there is nothing to mend; duplicates within one split are not counted."""
        return not (self.leaks or self.unreadable or self.missing_classes)


def lines(report: SplitReport) -> list[str]:
    """The report as text for a terminal: the table of counts, then every finding."""
    num_small = int(report.table.prints.too_small.sum())
    sections = {
        "cannot be read": report.unreadable,
        "a class without an image": [f"{split} has none of {name}" for split, name in report.missing_classes],
        "the same pixels in two splits": report.exact_across,
        "nearly the same picture in two splits, by distance": _of_kind("same picture", report.near_across),
        "the same picture mirrored, in two splits, by distance": _of_kind("mirrored", report.near_across),
        "a group in two splits": report.torn_groups,
        "the same pixels within one split (no leak)": report.exact_within,
    }
    text = [
        f"{report.name}: {counted(sum(map(sum, report.counts.values())), 'image')}",
        *_count_lines(report),
        f"groups: {report.groups}",
    ]
    for title, findings in sections.items():
        if findings:
            text += ["", f"{title}: {len(findings):,}", *(f"  {finding}" for finding in findings)]
    if num_small:
        text += [
            "",
            f"{counted(num_small, 'image')} smaller than {SIDE_PX} px: only the same pixels were looked for.",
        ]
    verdict = "leaks between the splits" if report.leaks else "no leak between the splits was found"
    if report.unreadable:
        verdict += " among the images that can be read"
    return [*text, "", verdict]


def _of_kind(kind: Kind, duplicates: tuple[Duplicate, ...]) -> tuple[Duplicate, ...]:
    return tuple(duplicate for duplicate in duplicates if duplicate.kind == kind)


def _count_lines(report: SplitReport) -> list[str]:
    rows = [["", *report.counts]]
    for label, name in enumerate(report.class_names):
        rows.append([name, *(f"{counts[label]:,}" for counts in report.counts.values())])
    rows.append(["all", *(f"{sum(counts):,}" for counts in report.counts.values())])
    first, *others = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  "
        + "  ".join([row[0].ljust(first), *(cell.rjust(width) for cell, width in zip(row[1:], others, strict=True))])
        for row in rows
    ]
