"""Where the workers import zetasweep from: where the driver has it, whatever the folder holds where the user stands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import chdir, contextmanager
from typing import TYPE_CHECKING

from orchestrator.shadows import PRODUCT

if TYPE_CHECKING:
    from ray.job_config import JobConfig


@contextmanager
def product_alone() -> Iterator[JobConfig]:
    """Yield what `ray.init` is to be given, and be in the folder of the packages while it runs.

    Ray puts the folder that it is called in, and that of the script, first on the path of all workers, before Python's
    own modules: an ``augment`` or a ``random.py`` there would be taken for the right one. In a submitted job it takes
    the job's own folder for that, so the packages' folder is named, too.
    """
    from ray.job_config import JobConfig

    with chdir(PRODUCT):
        yield JobConfig(_py_driver_sys_path=[str(PRODUCT)])
