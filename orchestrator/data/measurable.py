"""What can be measured with the images of a split, and what cannot: said before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from orchestrator.amounts import counted, some
from orchestrator.data.partition import Parts


def groups_of_test(parts: Parts) -> Tensor | None:
    """Return the group of each test image, int64 [n], numbered from 0; None if they are not known, or a group has more
    than one label.

    Args:
        parts: The samples of each split, and which of them belong to it.
    """
    names = _names_of_groups(parts)
    if names is None or _of_several_labels(parts, names):
        return None
    return torch.from_numpy(np.unique(np.array(names), return_inverse=True)[1].astype(np.int64))


def unmeasured(parts: Parts, class_names: Sequence[str]) -> tuple[str, ...]:
    """Return which metrics of validation and test do not exist, and why, a line each.

    Args:
        parts: See `groups_of_test`.
        class_names: In the order of the labels.
    """
    lines = []
    for part, kind in (("val", "validation"), ("test", "test")):
        samples, indices = parts[part]
        present = set(np.unique(samples.labels[indices]).tolist())
        absent = [name for label, name in enumerate(class_names) if label not in present]
        if len(present) == 1:
            lines.append(
                f"all {kind} images are of {class_names[present.pop()]}: no metric of the others, and no auroc, "
                "average_precision, sensitivity or specificity"
            )
        elif absent:
            lines.append(
                f"no {kind} image of {some(absent)}: no metric of these classes, and means are over the others"
            )
    names = _names_of_groups(parts)
    if names is not None and (several := _of_several_labels(parts, names)):
        lines.append(
            f"{counted(len(several), 'group')} of test images with more than one label ({some(several)}): no metrics "
            "over groups"
        )
    return tuple(lines)


def _names_of_groups(parts: Parts) -> list[str] | None:
    samples, indices = parts["test"]
    return [samples.groups[index] for index in indices] if samples.groups is not None else None


def _of_several_labels(parts: Parts, names: Sequence[str]) -> list[str]:
    samples, indices = parts["test"]
    labels: dict[str, set[int]] = {}
    for name, label in zip(names, samples.labels[indices].tolist(), strict=True):
        labels.setdefault(name, set()).add(label)
    return sorted(name for name, found in labels.items() if len(found) > 1)
