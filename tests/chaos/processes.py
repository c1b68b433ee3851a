"""The processes of a sweep, found by parentage and title."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from contextlib import suppress

import psutil


class Family:
    """Everything that descends from given processes, also after the parents in between died.

    What dies passes its children on to another parent: each look starts from all members that were ever seen.
    """

    def __init__(self) -> None:
        self._seen: set[psutil.Process] = set()

    def add(self, pid: int) -> None:
        """Count the process `pid`, and what it starts."""
        self._seen.add(psutil.Process(pid))

    def alive(self) -> list[psutil.Process]:
        """Return its living members."""
        found = psutil.process_iter(["ppid", "status"])
        running = {process for process in found if process.info["status"] != psutil.STATUS_ZOMBIE}
        children: dict[int, list[psutil.Process]] = {}
        for process in running:
            children.setdefault(process.info["ppid"], []).append(process)
        waiting = [process for process in self._seen if process in running]
        members = set(waiting)
        while waiting:
            new = [child for child in children.get(waiting.pop().pid, []) if child not in members]
            members.update(new)
            waiting += new
        self._seen |= members
        return sorted(members, key=lambda process: process.pid)

    def titled(self, *titles: str) -> list[psutil.Process]:
        """Return the living members whose title holds one of `titles`."""
        return [process for process in self.alive() if any(title in title_of(process) for title in titles)]

    def kill(self) -> None:
        """End all of it, at once."""
        while members := self.alive():
            send(members, signal.SIGKILL)
            psutil.wait_procs(members, timeout=1)


def title_of(process: psutil.Process) -> str:
    """Return its command line, or what it calls itself; nothing if it is gone."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def is_alive(process: psutil.Process) -> bool:
    """Return whether it is there, and no zombie."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def send(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    """Send a signal to those that are still there."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
