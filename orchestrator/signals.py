"""Signals that ask a program to end: it ends like after Ctrl-C, with what it trains saved and its runs closed."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# SIGHUP: the terminal was closed. SIGUSR1 and SIGUSR2: what batch systems send some time before they end a job. Each
# may come several times at once, and to all processes of a job.
NOTICES = tuple(getattr(signal, name) for name in ("SIGHUP", "SIGUSR1", "SIGUSR2") if hasattr(signal, name))


def take_like_ctrl_c() -> None:
    """Take SIGTERM and notices as Ctrl-C is taken; what whoever started the program has it ignore stays ignored."""
    signal.signal(signal.SIGTERM, _like_ctrl_c)
    for number in NOTICES:
        # nohup, for example, has a program ignore SIGHUP.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _like_ctrl_c)


@contextmanager
def unheard_by_children() -> Iterator[None]:
    """Have processes that are started while it lasts not get notices: they live until this one has closed them.

    Here a notice that comes meanwhile is taken when it is over.
    """
    # The processes inherit the mask.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, NOTICES)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_noticed: set[int] = set()


def _like_ctrl_c(number: int, frame: FrameType | None) -> None:
    if number in NOTICES and _noticed:
        return  # it is being followed
    _noticed.update({number} & set(NOTICES))
    on_ctrl_c = signal.getsignal(signal.SIGINT)
    if not callable(on_ctrl_c):  # ignored, as a shell has it for what it starts in the background
        raise KeyboardInterrupt
    on_ctrl_c(number, frame)
