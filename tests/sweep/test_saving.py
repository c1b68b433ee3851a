"""What an interrupted sweep waits for, and what it says of cells that could not be saved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from mailboxes import CELL, EPOCH, RESULT, handed_out, joined, run
from ray.exceptions import RayActorError
from tracked import FACTS

from orchestrator.experiment import Resources
from orchestrator.jobs import last_word
from orchestrator.records import Started
from orchestrator.sweep import saving
from orchestrator.sweep.mailbox import Mailbox
from orchestrator.sweep.saving import last_words, save


@dataclass(frozen=True)
class Slot:
    """Stands in for a slot's handle: what it answers, or raises; None if it does not."""

    answer: bool | Exception | None

    @property
    def leave(self) -> Any:
        """What Ray calls."""
        return SimpleNamespace(remote=lambda: self)


def _wait(slots: list[Slot], **_: float) -> tuple[list[Slot], list[Slot]]:
    return [slot for slot in slots if slot.answer is not None][:1], []


def _get(slot: Slot) -> bool:
    if isinstance(slot.answer, Exception):
        raise slot.answer
    assert slot.answer is not None
    return slot.answer


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[list[str], list[str]]]:
    """What could not be saved of slots that answer so, and what is said."""
    monkeypatch.setattr(saving, "SAVED_WITHIN_S", 0.3)
    monkeypatch.setattr(saving.ray, "wait", _wait)
    monkeypatch.setattr(saving.ray, "get", _get)

    def ask(**answers: bool | Exception | None) -> tuple[list[str], list[str]]:
        said: list[str] = []
        return save([(Slot(answer), label) for label, answer in answers.items()], said.append), said[1:]

    return ask


def test_what_was_saved_is_not_said(saved: Callable[..., tuple[list[str], list[str]]]) -> None:
    assert saved(one=True) == ([], [])
    assert saved() == ([], [])


def test_what_could_not_be_saved_is_named(saved: Callable[..., tuple[list[str], list[str]]]) -> None:
    unsaved, said = saved(full=False, slow=None, gone=RayActorError())
    assert sorted(unsaved) == ["full", "gone", "slow"]
    assert [line.split(": ")[1] for line in said] == ["full", "gone", "slow"]
    assert all(line.startswith("not saved: ") for line in said)
    assert "is not written after 0.005 minutes, and is given up" in said[-1]


def test_the_last_words_prove_that_all_is_saved_only_if_it_is() -> None:
    assert last_word(last_words("1 of 2 cells done", [])) == "interrupted: 1 of 2 cells done; the same command goes on"
    assert "1 cell not saved" in last_words("1 of 2 cells done", ["erm"])
    assert last_word(last_words("1 of 2 cells done", ["erm"])) is None


@pytest.mark.parametrize(
    ("how", "known"),
    [
        ("nothing is trained yet", True),
        ("it is trained", None),
        ("it is laid down", True),
        ("its workers die", False),
        ("it had ended", True),
    ],
)
def test_a_mailbox_knows_whether_all_that_was_trained_is_saved(how: str, known: bool | None) -> None:
    async def steps() -> bool | None:
        mailbox = Mailbox(Resources(workers=1))
        await mailbox.submit(CELL)
        job = await handed_out(mailbox)
        if how != "nothing is trained yet":
            await mailbox.post(job, Started(FACTS))
            await mailbox.post(job, EPOCH)
        if how == "it had ended":
            await mailbox.post(job, RESULT)
        await mailbox.close()
        assert not await mailbox.post(job, EPOCH)
        if how == "it is laid down":
            await mailbox.lay_down(job)
            # Its workers leave.
            await mailbox.ending()
        if how == "its workers die":
            await mailbox.ending()
            assert await mailbox.next_job(await joined(mailbox, 2)) is None
        return await mailbox.is_saved()

    assert run(steps()) is known
