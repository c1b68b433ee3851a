"""The data sets: a registry, and the functions that check, download, decode and split them.

Each image is decoded once per machine, into a cache that all processes map. To add a data set: a function that returns
a ``Source``, and one line in ``DATASETS``.
"""

from orchestrator.data.cache import Cache, default_cache_dir
from orchestrator.data.dataset import (
    LAYOUT_OPTIONS,
    ArraySamples,
    Dataset,
    DatasetInfo,
    Decoded,
    Samples,
    Shape,
    Source,
    Split,
)
from orchestrator.data.decode import OnProgress, check_memory, shape_of
from orchestrator.data.entry import Images
from orchestrator.data.fetched import DataDir, FetchedDir
from orchestrator.data.groups import NO_GROUPS, describe_groups, torn_groups
from orchestrator.data.image_files import IMAGE_ENDINGS, FileSamples, is_litter
from orchestrator.data.loading import (
    check_dataset,
    decode_dataset,
    download_dataset,
    load_dataset,
    num_classes_of,
    open_dataset,
    root_of,
    split_dataset,
)
from orchestrator.data.measurable import unmeasured
from orchestrator.data.partition import describe_splits, hash_of_parts, split_samples
from orchestrator.data.readable import without
from orchestrator.data.recognition import Recognised, recognise, some_sizes
from orchestrator.data.sets import DATASETS
from orchestrator.data.table import plain_name

__all__ = [
    "DATASETS",
    "IMAGE_ENDINGS",
    "LAYOUT_OPTIONS",
    "NO_GROUPS",
    "ArraySamples",
    "Cache",
    "DataDir",
    "Dataset",
    "DatasetInfo",
    "Decoded",
    "FetchedDir",
    "FileSamples",
    "Images",
    "OnProgress",
    "Recognised",
    "Samples",
    "Shape",
    "Source",
    "Split",
    "check_dataset",
    "check_memory",
    "decode_dataset",
    "default_cache_dir",
    "describe_groups",
    "describe_splits",
    "download_dataset",
    "hash_of_parts",
    "is_litter",
    "load_dataset",
    "num_classes_of",
    "open_dataset",
    "plain_name",
    "recognise",
    "root_of",
    "shape_of",
    "some_sizes",
    "split_dataset",
    "split_samples",
    "torn_groups",
    "unmeasured",
    "without",
]
