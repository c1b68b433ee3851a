"""All pages of the reference, by the names of their files."""

from __future__ import annotations

from tools.reference.commands import commands_page
from tools.reference.names import environment_page, exit_codes_page, metrics_page, mlflow_page
from tools.reference.schema import schema_text
from tools.reference.yaml_keys import yaml_page

INDEX = """\
# Reference

Made from the code by `make reference`; a test compares.

- [YAML](yaml.md): every key of an experiment file
- [Commands](commands.md) and their flags
- [Metrics](metrics.md)
- [MLflow](mlflow.md): tags, params, metrics and artifacts
- [Exit codes](exit-codes.md)
- [Environment variables](environment.md)
- [experiment.schema.json](experiment.schema.json): the JSON schema of an experiment file, for editors
"""


def make_pages() -> dict[str, str]:
    """Return the text of each file of ``docs/reference/``."""
    return {
        "README.md": INDEX,
        "yaml.md": yaml_page(),
        "commands.md": commands_page(),
        "metrics.md": metrics_page(),
        "mlflow.md": mlflow_page(),
        "exit-codes.md": exit_codes_page(),
        "environment.md": environment_page(),
        "experiment.schema.json": schema_text(),
    }
