"""What a cell occupies, and how it is computed there: the section ``resources`` of an experiment file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from augment import Backend
from orchestrator.experiment.arithmetic_spec import USUAL_TF32, ArithmeticSpec, Compile, Tf32, arithmetic_of
from orchestrator.experiment.field_types import Bool, Count, Frozen, Real, refuse

# What share of a device a cell has, and what else is at work on it; how its images and kernels get there.
LAYOUT = ("cpus_per_worker", "gpus_per_worker", "slots", "backend", "feed", "resident_share", "cuda_graphs")


class Resources(Frozen):
    """What one cell occupies, how many train at once, and how fast.

    Results change with `workers`, and their last bits with `deterministic`, `tf32` and `compile`, which are in the
    key; and, on a CPU, with `cpus_per_worker`, on a GPU with `backend`, which are not.
    """

    workers: Count = Field(
        title="processes that train a cell together; they mix inside their own batches",
        default=1,
        description="an integer, at least 1",
    )
    cpus_per_worker: Real = Field(
        title="cores of a worker, and the threads that it computes with",
        default=1.0,
        ge=0.01,
        description="an integer, at least 1; with one worker also a fraction of a CPU, at least 0.01",
    )
    gpus_per_worker: Real = Field(
        title="GPUs of a worker; 0 trains on the CPU",
        default=0.0,
        ge=0,
        description="an integer, at least 0; with one worker also a fraction of a GPU",
    )
    slots: Literal["auto"] | Count = Field(
        title="cells that train at a time; auto takes as many as fit, and follows a cluster; what does not fit of a "
        "number waits there for nodes",
        default="auto",
        description="auto, or an integer, at least 1",
    )
    max_slots: Count | None = Field(
        title="how many slots auto may grow to on a cluster that others use, too",
        default=None,
        description="an integer, at least 1, with slots: auto, or null for no limit",
    )
    backend: Backend = Field(
        title="what mixes the batches",
        default="auto",
        description="what mixes the batches: auto, torch, or triton, which needs GPUs",
    )
    deterministic: Bool = Field(
        title="whether a seed gives the same numbers again: else cuDNN tries its algorithms, and takes the fastest",
        default=True,
        description="true, or false for whatever is fastest at the moment",
    )
    tf32: Tf32 = Field(
        title="what of float32 a GPU rounds to TensorFloat-32, which has 10 bits: convolutions, as torch does by "
        "default, all, products of matrices too, with which PyTorch also mixes and resizes images, or none; with bf16 "
        "little is left in float32",
        default=USUAL_TF32,
        description="convolutions, all or none",
    )
    compile: Compile = Field(
        title="whether torch.compile makes kernels of the step, mixing included: once for each shape, kept from cell "
        "to cell; max-autotune tries more of them",
        default="off",
        description="off, default, or max-autotune, which needs deterministic: false",
    )
    cuda_graphs: Bool = Field(
        title="whether the compiled step is launched as one CUDA graph",
        default=False,
        description="true, with resources.compile and GPUs, or false",
    )
    feed: Literal["auto", "resident", "streaming"] = Field(
        title="how images get to the device",
        default="auto",
        description="auto, resident (all images on the device) or streaming (batch by batch)",
    )
    resident_share: Real = Field(
        title="how much of the device's free memory may hold images",
        default=0.5,
        gt=0,
        le=1,
        description="the share of the device's free memory for images, above 0, at most 1",
    )
    max_failures: Count = Field(
        title="deaths of workers over one cell until it is given up",
        default=3,
        description="an integer, at least 1: a cell is given up when its workers have died so often",
    )
    give_up_after_s: Real = Field(
        title="how long workers that were lost with their nodes may have trained a cell without finishing an epoch",
        default=86400.0,
        ge=60,
        description="seconds, at least 60: nodes that are lost count as no failures, until they have cost a cell so "
        "much training",
    )
    start_timeout_s: Real = Field(
        title="how long workers may take to start, not counting how long they wait for CPUs and GPUs",
        default=600.0,
        ge=5,
        description="seconds, at least 5: workers that have not started by then are ended and started anew",
    )
    stall_timeout_s: Real = Field(
        title="silence after which workers are started again",
        default=600.0,
        ge=5,
        description="seconds, at least 5: workers that give no sign of life so long are restarted",
    )
    checkpoint_every_s: Real = Field(
        title="how often a checkpoint is written within a long epoch",
        default=600.0,
        ge=0,
        description="seconds, at least 0: longer epochs are saved so often, too",
    )

    @field_validator("max_slots")
    @classmethod
    def _limits_auto(cls, max_slots: int | None, info: ValidationInfo) -> int | None:
        if max_slots is not None and info.data.get("slots", "auto") != "auto":
            raise refuse("null with a number of resources.slots, which is one already", "Leave one of them out.")
        return max_slots

    @field_validator("cpus_per_worker", "gpus_per_worker")
    @classmethod
    def _whole_or_one_share(cls, value: float, info: ValidationInfo) -> float:
        # Two NCCL ranks cannot share a GPU, and Ray places whole units only above 1.
        if value > 1 and not value.is_integer():
            raise refuse("an integer, or with one worker a fraction below 1", "Round it.")
        workers = info.data.get("workers", 1)
        if workers > 1 and not value.is_integer():
            raise refuse(
                f"an integer with resources.workers={workers}: workers cannot share one",
                "Give each worker a whole one or set resources.workers to 1.",
            )
        return value

    @field_validator("compile")
    @classmethod
    def _tuning_is_no_repetition(cls, compile: Compile, info: ValidationInfo) -> Compile:
        if compile == "max-autotune" and info.data.get("deterministic"):
            raise refuse(
                "off or default with resources.deterministic=true: max-autotune takes the kernels that were fastest",
                "Set resources.deterministic to false, or take default.",
            )
        return compile

    @field_validator("cuda_graphs")
    @classmethod
    def _graphs_are_compiled(cls, cuda_graphs: bool, info: ValidationInfo) -> bool:
        if cuda_graphs and info.data.get("compile") == "off":
            raise refuse("false with resources.compile=off", "Set resources.compile to default, or leave it out.")
        if cuda_graphs and info.data.get("gpus_per_worker") == 0:
            raise refuse("false with resources.gpus_per_worker=0", "Give the workers GPUs, or leave it out.")
        return cuda_graphs

    @field_validator("backend")
    @classmethod
    def _triton_has_gpus(cls, backend: Backend, info: ValidationInfo) -> Backend:
        if backend == "triton" and info.data.get("gpus_per_worker") == 0:
            raise refuse("auto or torch with resources.gpus_per_worker=0", "Give the workers GPUs, or remove it.")
        return backend

    @property
    def layout(self) -> dict[str, Any]:
        """How cells are placed and fed, by the keys of the file: how long they take, and what they cost, is by it."""
        return {name: getattr(self, name) for name in LAYOUT}

    def placed_as(self, layout: Mapping[str, Any] | None) -> Resources:
        """Return those of cells that ran in a layout; these ones where it is not known."""
        return self.model_copy(update={name: value for name, value in (layout or {}).items() if name in LAYOUT})

    @property
    def devices_of_cell(self) -> float:
        """What device hours count of a cell: its GPUs, or its share of one; where it has none its workers are one."""
        return self.workers * self.gpus_per_worker or 1.0

    @property
    def gpu_share(self) -> float:
        """What of a GPU a worker has: below 1 where cells share one."""
        return min(self.gpus_per_worker, 1.0) or 1.0

    @property
    def arithmetic(self) -> ArithmeticSpec | None:
        """What of the arithmetic is not as usual: part of the keys of the cells."""
        return arithmetic_of(
            on_gpu=self.gpus_per_worker > 0, compile=self.compile, deterministic=self.deterministic, tf32=self.tf32
        )
