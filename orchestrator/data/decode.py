"""Decodes the images of a data set into one array, with as many processes as there are cores."""

from __future__ import annotations

import math
import multiprocessing
import sys
import tempfile
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent import futures
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from orchestrator.amounts import bytes_text
from orchestrator.data.dataset import ArraySamples, Decoded, PackedSamples, Samples, Shape, Source
from orchestrator.data.image_files import CANNOT_BE_USED, FileSamples, UnreadableError
from orchestrator.errors import DataError
from orchestrator.machine import free_memory_bytes, num_cores
from orchestrator.side_process import live_with_parent

OnProgress = Callable[[int, int], None]
"""Is told how many images have been decoded so far, and of how many."""

CHUNK = 32
# Handed out ahead, so that none waits for the next.
CHUNKS_PER_PROCESS = 3
# Starting the processes takes 3 to 5 s, most of it for importing PyTorch: not worth it for less than this.
PARALLEL_FROM_S = 10.0


def shape_of(source: Source, image_size: int | None) -> tuple[int, Shape]:
    """Return the number of images of all parts, and the shape of one.

    Raises:
        DataError: The images have no common shape.
    """
    shapes = {samples.shape(image_size) for samples in source.parts.values()}
    if len(shapes) > 1:
        raise DataError(
            f"the images of its splits differ in shape: {sorted(shapes)}.", remedy="Set dataset.image_size."
        )
    return sum(len(samples.labels) for samples in source.parts.values()), shapes.pop()


@dataclass(frozen=True)
class Decoding:
    """What is known of images once they are decoded.

    Attributes:
        pixel_sums: int64 [N, C, 2]: the sum of the pixels of each channel and that of their squares.
        unreadable: The rows of the files that cannot be used, and why; what is in the array there means nothing.
    """

    pixel_sums: NDArray[np.int64]
    unreadable: Mapping[int, DataError]


def decode_into(
    path: Path,
    source: Source,
    image_size: int | None,
    *,
    skip_unreadable: bool = False,
    on_progress: OnProgress | None = None,
    processes: int | None = None,
) -> Decoding:
    """Decode every image of `source` into the array file at `path`.

    Args:
        path: A ``.npy`` file, uint8 [N, C, S, S], in the order of ``source.parts``.
        source: What to decode.
        image_size: What to resize to; None keeps the size.
        skip_unreadable: Whether files that cannot be read are no error; other ones that cannot be used are.
        on_progress: See `OnProgress`.
        processes: How many; None: one until it shows that it would take long, then all cores.

    Raises:
        DataError: Images cannot be used; all are decoded, and it names all that cannot.
        OSError: There is no room beside `path` to unpack an archive.
    """
    with tempfile.TemporaryDirectory(dir=path.parent, prefix="unpacked-") as folder:
        parts = [
            samples.unpacked(Path(folder)) if isinstance(samples, PackedSamples) else samples
            for samples in source.parts.values()
        ]
        decoding = _decode_parts(path, parts, image_size, on_progress=on_progress, processes=processes)
    errors = [error for _, error in sorted(decoding.unreadable.items())]
    if refused := [error for error in errors if not (skip_unreadable and isinstance(error, UnreadableError))]:
        raise DataError.all_in_one(refused, what=CANNOT_BE_USED)
    return decoding


def _decode_parts(
    path: Path,
    parts: Sequence[Samples],
    image_size: int | None,
    *,
    on_progress: OnProgress | None,
    processes: int | None,
) -> Decoding:
    images = np.lib.format.open_memmap(path, mode="r+")
    sums = np.empty((*images.shape[:2], 2), dtype=np.int64)
    tell = on_progress or (lambda *_: None)
    started, done = time.perf_counter(), 0
    chunks = deque(_chunks(parts))
    unreadable: dict[int, DataError] = {}
    while chunks and processes in (None, 1):
        part, rows, indices = chunks.popleft()
        sums[rows], errors = _decode_chunk(images[rows], parts[part], indices, image_size)
        unreadable |= {rows.start + place: error for place, error in errors.items()}
        done += len(indices)
        tell(done, len(images))
        left_s = (time.perf_counter() - started) / done * (len(images) - done)
        if processes is None and left_s > PARALLEL_FROM_S and _main_can_be_imported():
            processes = num_cores()
    if chunks:
        assert processes is not None
        for rows, (of_rows, errors) in _decoded_by_processes(path, parts, image_size, chunks, processes):
            sums[rows] = of_rows
            unreadable |= {rows.start + place: error for place, error in errors.items()}
            done += rows.stop - rows.start
            tell(done, len(images))
    images.flush()
    return Decoding(sums, unreadable)


def check_memory(source: Source, image_size: int | None) -> None:
    """Raise DataError if the images of a source do not fit into the memory that is free, at this size."""
    count, shape = shape_of(source, image_size)
    needed, free = count * math.prod(shape), free_memory_bytes()
    if needed > free:
        raise DataError(
            f"its images take {bytes_text(needed)} of memory at dataset.image_size={image_size}, and "
            f"{bytes_text(free)} are free.",
            remedy="Lower dataset.image_size.",
        )


def decode_in_memory(source: Source, image_size: int | None) -> Decoded:
    """Decode a source that is small and embedded, so that a cache of it would save nothing.

    Raises:
        DataError: As `check_memory`.
    """
    check_memory(source, image_size)
    samples = [ArraySamples(part.ids, part.labels, part.read(np.arange(len(part.labels)), image_size), part.groups)
               for part in source.parts.values()]  # fmt: skip
    images = torch.cat([part.images for part in samples])
    decoded = source.with_parts(dict(zip(source.parts, samples, strict=True)))
    return Decoded(
        source=decoded,
        images=images,
        pixel_sums=_pixel_sums(images.numpy()),
        pixel_hash=f"{zlib.crc32(images.contiguous().numpy().data):08x}",
    )


def _main_can_be_imported() -> bool:
    """Whether processes can be started: they import the program that this one runs, which stdin and a notebook lack."""
    file = getattr(sys.modules["__main__"], "__file__", None)
    return file is None or Path(file).is_file()


_Chunk = tuple[int, slice, NDArray[np.int64]]
"""Number of the part, its rows in the array, and the indices of its samples."""

_OfChunk = tuple[NDArray[np.int64], Mapping[int, DataError]]
"""The sums of its pixels, int64 [n, C, 2], and which of its images cannot be read, and why."""


def _chunks(parts: Sequence[Samples]) -> Iterator[_Chunk]:
    first = 0
    for number, samples in enumerate(parts):
        for start in range(0, len(samples.labels), CHUNK):
            indices = np.arange(start, min(start + CHUNK, len(samples.labels)))
            yield number, slice(first + start, first + start + len(indices)), indices
        first += len(samples.labels)


def _decode_chunk(
    rows: NDArray[np.uint8], samples: Samples, indices: NDArray[np.int64], image_size: int | None
) -> _OfChunk:
    """Fill `rows`; those of images that cannot be read with 0."""
    try:
        rows[:] = samples.read(indices, image_size).numpy()
    except DataError:
        if not isinstance(samples, FileSamples):
            raise
        errors = {}
        for place in range(len(indices)):
            try:
                rows[place] = samples.read(indices[place : place + 1], image_size).numpy()[0]
            except DataError as error:
                rows[place], errors[place] = 0, error
        return _pixel_sums(rows), errors
    return _pixel_sums(rows), {}


def _pixel_sums(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    pixels = images.reshape(*images.shape[:2], -1)
    squares = np.square(pixels, dtype=np.uint32)
    return np.stack([pixels.sum(2, dtype=np.int64), squares.sum(2, dtype=np.int64)], axis=2)


def _decoded_by_processes(
    path: Path, parts: Sequence[Samples], image_size: int | None, chunks: deque[_Chunk], processes: int
) -> Iterator[tuple[slice, _OfChunk]]:
    """Yield the rows of each chunk as soon as they are filled."""
    # Not forked from here: a worker of Ray, and PyTorch's own threads, do not survive that.
    context = multiprocessing.get_context("forkserver")
    # PyTorch is imported once, and not by each process.
    context.set_forkserver_preload([__name__])
    pool = ProcessPoolExecutor(
        processes,
        mp_context=context,
        initializer=_begin,
        initargs=(path, parts, image_size),
    )
    images = np.lib.format.open_memmap(path, mode="r+")
    waiting: dict[Future[_OfChunk], slice] = {}
    are_up = False
    try:
        while chunks or waiting:
            while chunks and len(waiting) < CHUNKS_PER_PROCESS * processes:
                chunk = chunks.popleft()
                waiting[pool.submit(_decode_here, *chunk)] = chunk[1]
            if chunks and not are_up:
                # They take seconds to start, in which this process decodes itself.
                part, rows, indices = chunks.pop()
                yield rows, _decode_chunk(images[rows], parts[part], indices, image_size)
            finished, _ = futures.wait(
                waiting, timeout=None if are_up or not chunks else 0, return_when=FIRST_COMPLETED
            )
            are_up = are_up or bool(finished)
            for future in finished:
                yield waiting.pop(future), future.result()
    except BrokenProcessPool as error:
        raise DataError(
            "a process that decodes images was killed, probably for want of memory.", remedy="Free some and try again."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


_target: tuple[NDArray[np.uint8], Sequence[Samples], int | None]


def _begin(path: Path, parts: Sequence[Samples], image_size: int | None) -> None:
    """Prepare a process that decodes: what it needs once, and that it ends when the one that started it does."""
    global _target
    live_with_parent()
    _target = np.lib.format.open_memmap(path, mode="r+"), parts, image_size


def _decode_here(part: int, rows: slice, indices: NDArray[np.int64]) -> _OfChunk:
    images, parts, image_size = _target
    return _decode_chunk(images[rows], parts[part], indices, image_size)
