"""How models are named where other libraries have them: timm's begin with ``timm/``."""

from __future__ import annotations

from importlib.util import find_spec

TIMM = "timm/"


def is_timm(model: str) -> bool:
    """Whether a model's name is one of timm's, known or not."""
    return model.startswith(TIMM)


def is_installed() -> bool:
    """Whether the package timm can be imported here."""
    return find_spec("timm") is not None


def split_tag(model: str) -> tuple[str, str | None]:
    """Return the network and the weights of ``timm/convnext_atto.d2_in1k``, as timm writes them in one name."""
    if not is_timm(model):
        return model, None
    name, _, tag = model.partition(".")
    return name, tag or None
