"""The workers of a slot: what each rank of its group does, from cell to cell.

`work` is the train function that the slot gives to Ray Train. It returns when the mailbox is closed; where it raises,
Ray Train ends the whole group and starts another, which is handed the same cell again: another attempt. An error that
all ranks meet at the same point is no reason for that: it is posted as the cell's failure, and the group stays.
"""

from __future__ import annotations

import gc
import importlib
import itertools
import os
import socket
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
import ray.train
import ray.train.torch
import torch
import torch.distributed as dist

from augment import backend_on
from orchestrator.amounts import bytes_text
from orchestrator.data import Dataset, Decoded, decode_dataset, split_dataset
from orchestrator.errors import CellError, LostError
from orchestrator.experiment import Cell
from orchestrator.records import CellFacts, EpochResult, Event, Failed, Started, Waiting
from orchestrator.shown_warnings import warnings_shown_by
from orchestrator.storage import DirectWork, Work
from orchestrator.sweep import preemption
from orchestrator.sweep.agreeing import Agreeing
from orchestrator.sweep.keeping import BEAT_EVERY_S, Keeping
from orchestrator.sweep.mailbox import Job, Member
from orchestrator.sweep.orphans import end_with_parent
from orchestrator.sweep.process_group import control_group
from orchestrator.sweep.reaching import Line
from orchestrator.sweep.settings import SlotSettings
from orchestrator.train import (
    Feed,
    Request,
    StoppedError,
    begins_with,
    claim_share,
    dataset_facts,
    held_by_others,
    make_feed,
    train_cell,
    weights_file,
)
from orchestrator.waiting import counting, hush, waiting_for

# More than a screen takes.
MUCH_HELD_BYTES = 2 * 2**30
REMEDY_OUT_OF_MEMORY = (
    "lower train.batch_size_per_worker, dataset.image_size or resources.resident_share, or raise a "
    "resources.gpus_per_worker below 1, which is a share of the memory, too; it is not tried again by itself"
)
# The first optimizer of a process imports it, which takes seconds: not while images per second are counted. What the
# first evaluation imports waits for it, so workers that replace others train at once.
IMPORTED_BY_OPTIMIZERS = "torch._dynamo"


def work(config: dict[str, Any]) -> None:
    """Take cells from the mailbox and train them until it is closed: the train function of every worker of a slot."""
    settings: SlotSettings = config["settings"]
    end_with_parent()
    torch.set_num_threads(max(1, int(settings.resources.cpus_per_worker)))
    # 250,000 objects that stay: looking for garbage among them would take a quarter of the time.
    gc.disable()
    importlib.import_module(IMPORTED_BY_OPTIMIZERS)
    gc.enable()
    mailbox = config["mailbox"]
    if dist.get_rank() != 0:
        hush()
    with warnings_shown_by(lambda text: mailbox.remark.remote(text)):
        worker = _Worker(mailbox, settings)
        while (job := worker.next_job()) is not None:
            worker.run(job)


class _AbandonedError(Exception):
    """The slot does not wait for this cell any more, all of which is saved; raised on all ranks at once."""


class _Worker:
    """One rank of a slot's worker group."""

    def __init__(self, mailbox: Any, settings: SlotSettings) -> None:
        self._mailbox, self._settings = mailbox, settings
        self._rank = dist.get_rank()
        self._ask = Line(mailbox, f"rank {self._rank} on {socket.gethostname()}").ask
        self._device = ray.train.torch.get_device()
        claim_share(self._device, settings.resources.gpu_share)
        # What the ranks agree on travels over gloo, also where NCCL carries the gradients: no GPU is involved.
        self._control = control_group()
        self._data: tuple[tuple[object, ...], Decoded, Feed] | None = None
        self._noticed_in: int | None = None
        self._beaten_at = 0.0
        # Taken by two threads where checkpoints are put beside the training.
        self._event_numbers = itertools.count(1)
        context = ray.get_runtime_context()
        self._member = Member(context.get_node_id(), os.getpid())
        self._ask("join", self._rank, self._member)
        # Signals are the main thread's, and this function runs in another: the actor runs it there.
        ray.get(context.current_actor.execute.remote(preemption.watch))

    def next_job(self) -> Job | None:
        """Wait for the next cell; the same on every rank."""
        job: Job | None = self._from_rank_0(lambda: self._ask("next_job", self._member))
        if job is not None:
            self._beat(job)
            # If a rank died while it waited, this raises, and the cell is not to blame.
            dist.barrier(group=self._control)
            self._from_rank_0(lambda: self._ask("accept", job))
        return job

    def run(self, job: Job) -> None:
        """Train one cell and post its events; an error that the group survives is posted as the cell's failure."""
        try:
            with preemption.busy():
                self._train(job)
        except _AbandonedError:
            self._lay_down(job)
        except StoppedError as stopped:
            if stopped.is_saved:
                self._lay_down(job)
            if stopped.request is Request.LEAVE:
                self._ask("excuse", job)
                raise
        except CellError as error:
            self._post(job, Failed(error.in_full, is_lost=isinstance(error, LostError)))
        except torch.OutOfMemoryError as error:
            # The other ranks may wait for this one, so the group ends.
            reason = f"out of memory on rank {self._rank}: {error}"
            others = held_by_others(self._device)
            if self._settings.resources.gpu_share == 1 and others > MUCH_HELD_BYTES:
                # They may end; and the cell is as good as any other.
                reason += f"\nother programs hold about {bytes_text(others)} of this GPU: end them, or wait for them"
                self._ask("note_error", job, f"{reason}\n{traceback.format_exc()}")
            else:
                # It would come again: the cell has failed.
                self._ask("post", job, Failed(f"{reason}\n{REMEDY_OUT_OF_MEMORY}\n{traceback.format_exc()}"))
            raise
        except Exception as error:
            # The other ranks may wait for this one in a collective: it must exit, and Ray Train restarts the whole
            # group.
            reason = f"{type(error).__name__} on rank {self._rank}: {error}\n{traceback.format_exc()}"
            self._ask("note_error", job, reason)
            raise
        finally:
            if self._device.type == "cuda":
                torch.cuda.empty_cache()

    def _train(self, job: Job) -> None:
        def wait(reason: str) -> None:
            if self._rank == 0:
                self._tell(job, Waiting(reason))

        agree = Agreeing(self._of_all, poll=lambda: self._poll(job), on_wait=wait).on
        # The cell is read with them: what a data set's options may be is in the registry.
        cell = agree(lambda: self._own_code_and_cell(job))
        dataset, feed = agree(lambda: self._load(cell, on_sign_of_life=lambda: self._beat(job)))
        try:
            backend = backend_on(self._device, self._settings.resources.backend)
        except ValueError as error:
            raise CellError(str(error)) from error
        weights, line = agree(lambda: self._weights(cell, dataset))
        work = agree(lambda: self._work_on(job, cell))
        keeping = Keeping(
            work,
            self._settings.storage.shown(),
            from_rank_0=self._from_rank_0,
            on_wait=lambda: self._wait_for_uploads(job),
        )
        self._post(job, Started(self._facts(cell, backend, feed, dataset, line)))

        def report(result: EpochResult) -> None:
            if self._settings.storage.is_copied:
                # From the thread that uploads: the training goes on.
                keeping.then(lambda: self._tell(job, result))
            elif not self._post(job, result):
                raise _AbandonedError

        def keep() -> None:
            if self._settings.storage.is_copied:
                keeping.wait()

        try:
            result = train_cell(
                cell,
                dataset,
                checkpoint_dir=work.path,
                address=self._settings.storage.cell(cell.key).address,
                device=self._device,
                report=report,
                feed=feed,
                backend=self._settings.resources.backend,
                poll=lambda: self._poll(job),
                on_full_disk=wait,
                checkpoint_every_s=self._settings.resources.checkpoint_every_s,
                weights=weights,
                until_epoch=job.until,
                cuda_graphs=self._settings.resources.cuda_graphs,
            )
            keep()
        except (CellError, StoppedError) as ended:
            try:
                keep()
            except CellError:
                if isinstance(ended, StoppedError):
                    ended.is_saved = False
            raise
        finally:
            work.close()
        if not self._post(job, result):
            raise _AbandonedError

    def _own_code_and_cell(self, job: Job) -> Cell:
        """Return the job's cell, with the plug-ins of the driver in use here, too.

        Raises:
            UserError: They are not here, or this machine has other code.
        """
        self._settings.plugins.use()
        return Cell.model_validate(job.cell)

    def _work_on(self, job: Job, cell: Cell) -> Work:
        """Return where the training writes; rank 0 alone does."""
        storage = self._settings.storage
        if self._rank > 0:
            return DirectWork(storage.cell(cell.key).path)
        return storage.work_on(
            cell.key,
            patience_s=self._settings.resources.stall_timeout_s,
            on_sign_of_life=lambda: self._beat(job),
        )

    def _poll(self, job: Job) -> Request:
        """Give a heartbeat and return what is asked of this rank."""
        request = Request.GO_ON
        preempted = self._is_preempted()
        # Once for each cell: the group goes on until its node is gone.
        if preempted and self._noticed_in != job.number:
            self._noticed_in = job.number
            self._ask("excuse", job)
            request = Request.SAVE
        if self._rank > 0:
            self._beat(job)
        elif not self._ask("beat", job):
            request = Request.STOP
        return Request.LEAVE if preemption.noticed() else request

    def _is_preempted(self) -> bool:
        """Return whether a node of the group is about to go; all ranks ask, or none: the answer is agreed on."""
        return self._settings.preemptible and ray.train.get_preemption_info() is not None

    def _wait_for_uploads(self, job: Job) -> None:
        """Give a sign of life, and have the attempt excused if it will be cut off; wait for no answer."""
        self._beat(job)
        if self._is_preempted() or preemption.noticed():
            self._mailbox.excuse.remote(job)

    def _lay_down(self, job: Job) -> None:
        """Have it known that all that was trained of the cell is saved."""
        if self._rank == 0:
            self._ask("lay_down", job)

    def _beat(self, job: Job) -> None:
        """Give a sign of life, if the last one is old, and wait for no answer: the mailbox may be gone."""
        now = time.monotonic()
        if now - self._beaten_at >= BEAT_EVERY_S:
            self._beaten_at = now
            self._mailbox.beat.remote(job, self._rank)

    def _load(self, cell: Cell, *, on_sign_of_life: Callable[[], None]) -> tuple[Dataset, Feed]:
        """Return the cell's data. Images, also those on a GPU, are kept for the next cell: neighbours share them."""
        spec, settings = cell.dataset, self._settings
        if self._data is None or self._data[0] != spec.images_id:
            self._data = None
            if self._device.type == "cuda":
                # Given back to the driver: what is free decides how the next images are fed.
                torch.cuda.empty_cache()
            with counting(f"decoding {spec.name}") as show:
                decoded = decode_dataset(
                    spec.name,
                    settings.data_dir,
                    **spec.decode_options(),
                    cache=settings.cache,
                    on_progress=show,
                    on_sign_of_life=on_sign_of_life,
                )
            feed = make_feed(
                decoded.images,
                self._device,
                mode=settings.resources.feed,
                resident_share=settings.resources.resident_share,
                gpu_share=settings.resources.gpu_share,
            )
            self._data = (spec.images_id, decoded, feed)
        _, decoded, feed = self._data
        return split_dataset(spec.name, decoded, **spec.split_options()), feed

    def _weights(self, cell: Cell, dataset: Dataset) -> tuple[Path | None, str]:
        """Return the file of the weights that the cell begins with, and in a line what it takes of them."""
        file = weights_file(cell.model, self._settings.storage)
        return file, begins_with(cell, dataset, file)

    def _facts(self, cell: Cell, backend: str, feed: Feed, dataset: Dataset, weights: str) -> CellFacts:
        return CellFacts(
            device=torch.cuda.get_device_name(self._device) if self._device.type == "cuda" else "cpu",
            world_size=dist.get_world_size(),
            backend=backend,
            feed=feed.mode,
            dataset=dataset_facts(cell, dataset),
            weights=weights,
            host=socket.gethostname(),
            layout=self._settings.resources.layout,
        )

    def _post(self, job: Job, event: Event) -> bool:
        """Post from rank 0; return on every rank whether the slot still wants this cell."""
        wanted: bool = self._from_rank_0(lambda: self._tell(job, event))
        return wanted

    def _tell(self, job: Job, event: Event) -> bool:
        """Post an event of this rank, once; return whether the slot still wants this cell."""
        wanted: bool = self._ask("post", job, event, next(self._event_numbers))
        return wanted

    def _from_rank_0(self, ask: Callable[[], Any]) -> Any:
        answer = [ask() if self._rank == 0 else None]
        dist.broadcast_object_list(answer, src=0, group=self._control)
        return answer[0]

    def _of_all(self, value: Any) -> list[Any]:
        values: list[Any] = [None] * dist.get_world_size()
        with waiting_for("the other workers to load code and images"):
            dist.all_gather_object(values, value, group=self._control)
        return values
