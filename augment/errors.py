"""The error of a value that an augmentation, or a model, cannot take."""

from __future__ import annotations


class ParameterError(ValueError):
    """A value that is not allowed.

    Args:
        name: Of the parameter, as an experiment spells it.
        value: What was given.
        allowed: What would be right, e.g. ``a finite number above 0``.
        remedy: What to change, as a sentence; empty if it is to change the value.
    """

    def __init__(self, name: str, value: object, allowed: str, remedy: str = "") -> None:
        # All of them, so that it survives being sent to another process.
        super().__init__(name, value, allowed, remedy)
        self.name, self.value, self.allowed, self.remedy = name, value, allowed, remedy

    def __str__(self) -> str:
        return f"{self.name}={self.value!r} is not allowed: {self.allowed} is. {self.remedy}".rstrip()
