"""A commented experiment for the images that lie somewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from orchestrator.amounts import counted
from orchestrator.data import DATASETS, Recognised, recognise
from orchestrator.experiment import General
from orchestrator.guide.advice import Advice, Images, advise

# Where comments begin.
_COLUMN = 38
_PLAIN = re.compile(r"[A-Za-z_][\w./-]*")
# YAML takes these for something else than texts.
_WORDS = {"true", "false", "yes", "no", "on", "off", "y", "n", "null"}


def experiment_for(path: Path, file: Path, *, on_gpu: bool) -> str:
    """Return the text of an experiment file.

    Args:
        path: Of the images: a folder, or a file in MedMNIST's format.
        file: Where the text will lie.
        on_gpu: Whether this machine has a GPU.

    Raises:
        DataError: No data set lies there.
    """
    found = recognise(path)
    images = Images.of(found.source)
    advice = advise(images, on_gpu=on_gpu)
    name = name_for(path)
    return "\n".join([*_head(found, path, file), *_dataset(found, name, images, advice), *_rest(advice)]) + "\n"


def name_for(path: Path) -> str:
    """Return what an experiment with these images may be called."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", path.absolute().name.removesuffix(".npz")).strip("-._")
    return stem[:100] or "experiment"


def _head(found: Recognised, path: Path, file: Path) -> Iterator[str]:
    total = counted(sum(len(samples.labels) for samples in found.source.parts.values()), "image")
    classes = f"{len(found.source.class_names)} classes"
    yield f"# Question: which augmentation is best for the {total} of {classes} in {_on_a_line(path)}?"
    yield f"# Run:      zetasweep plan {file}        (what it would do, and cost); then zetasweep run {file}"
    yield "#"
    yield "# Written by zetasweep init for what lay there. Every value is a first choice, with its reason."
    yield f"name: {_scalar(name_for(path))}"
    if found.data_dir != General(name="any").data_dir:
        yield f"data_dir: {_scalar(str(found.data_dir))}"


def _dataset(found: Recognised, name: str, images: Images, advice: Advice) -> Iterator[str]:
    source = found.source
    yield "dataset:"
    sizes = ", ".join(f"{split} {len(samples.labels):,}" for split, samples in source.parts.items())
    without_val = "" if source.val is not None else "; a tenth of train is for validation"
    yield _line(f"  {found.name}:", f"{sizes} images{without_val}")
    for option, value in found.options.items():
        written = _mapping(value) if isinstance(value, Mapping) else _scalar(str(value))
        yield f"    {option}: {written}"
    if found.options and name not in DATASETS:
        yield _line(f"    name: {_scalar(name)}", "in tables, in place of all these options")
    yield from _classes(images)
    if source.test_is:
        yield f"    # test: {source.test_is}. Few images: folds: 5 tests on each once."
    yield f"    # groups: {source.grouped_by or 'nothing says which images show the same thing; csv could'}"
    if advice.image_size is None:
        yield f"    # image_size: {advice.why_size}"
    else:
        yield _line(f"    image_size: {advice.image_size}", advice.why_size)
    if advice.cache_size is not None:
        yield _line(f"    cache_size: {advice.cache_size}", "decoded once to this size; crops are taken from it")
        yield "    random_resized_crop: {scale: [0.4, 1.0]}"
    hflip = DATASETS[found.name].hflip
    why = "false where left and right differ, as in letters" if hflip else "true where left and right are alike"
    yield _line(f"    hflip: {str(hflip).lower()}", why)


def _classes(images: Images) -> Iterator[str]:
    counts = sorted(images.per_class.items(), key=lambda each: each[1])
    (rare, fewest), (frequent, most) = counts[0], counts[-1]
    yield f"    # classes: from {_on_a_line(rare)} with {fewest:,} to {_on_a_line(frequent)} with {most:,} in train"


def _rest(advice: Advice) -> Iterator[str]:
    yield _line(f"model: {advice.model}", advice.why_model)
    yield _line("augment:", "alternatives; a list inside one is swept")
    yield _line("  - erm", "no mixing: what the others are compared with")
    yield "  - mixup: {alpha: 1.0}"
    yield "  - cutmix: {alpha: 1.0}"
    yield _line("  - zeta_mixup: {gamma: 2.8, num_mixed: batch}", "batch: all of the worker's batch, as in the paper")
    yield _line("seed: [0, 1, 2]", "more seeds tell smaller differences apart; they can be added later")
    yield "train:"
    yield _line(f"  epochs: {advice.epochs}", advice.why_epochs)
    yield _line(f"  batch_size_per_worker: {advice.batch_size}", advice.why_batch)
    yield from (f"  {setting}" for setting in advice.train)
    yield "  schedule: cosine"
    yield "  warmup_epochs: 1"
    if advice.is_uneven:
        yield _line("  class_weights: balanced", "a frequent class counts no more than a rare one")
        yield _line("  best_by: balanced_accuracy", "the error would be that of the frequent classes")
    gpus = 1 if advice.on_gpu else 0
    yield _line(
        f"resources: {{workers: 1, cpus_per_worker: 1, gpus_per_worker: {gpus}, slots: auto}}",
        "of one cell; as many at a time as fit",
    )
    if advice.is_uneven:
        yield _line("compare: {metric: test/balanced_accuracy}", "what decides; the other metrics are kept, too")
    yield _line("storage: runs", "checkpoints and results, below the folder of the command")


def _line(text: str, comment: str) -> str:
    return f"{text:<{_COLUMN - 2}}  # {comment}"


def _mapping(values: Mapping[str, object]) -> str:
    return "{" + ", ".join(f"{key}: {_scalar(str(value))}" for key, value in values.items()) + "}"


def _scalar(text: str) -> str:
    """Return a text as YAML has it: in quotes, which are JSON's, unless it can only be a text."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return json.dumps(text, ensure_ascii=False)


def _on_a_line(text: object) -> str:
    """Return a name that may have anything in it as it can stand in a comment."""
    return " ".join(str(text).split())
