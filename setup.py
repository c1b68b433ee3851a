"""What pyproject.toml cannot say: the wheel has the files of ``experiments/`` inside of the package that reads them."""

from __future__ import annotations

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["augment*", "orchestrator*", "zetasweep*"]), "orchestrator.guide.experiments"],
    package_dir={"orchestrator.guide.experiments": "experiments"},
)
