"""cluster.yaml against Ray's own schema and against what this project needs. Nothing here talks to AWS."""

import copy
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

ROOT = Path(__file__).resolve().parents[2]
CONFIG: dict[str, Any] = yaml.safe_load((ROOT / "cluster.yaml").read_text())
COMMAND_LISTS = [
    "initialization_commands",
    "setup_commands",
    "head_setup_commands",
    "head_start_ray_commands",
    "worker_start_ray_commands",
]
COMMANDS = [command for name in COMMAND_LISTS for command in CONFIG[name]]


def test_passes_rays_own_validation() -> None:
    prepared = prepare_config(
        copy.deepcopy(CONFIG)
    )  # what `ray up` does before it talks to AWS: fill in defaults, then validate
    validate_config(prepared)
    assert prepared["available_node_types"].keys() == {"head", "gpu"}


@pytest.mark.parametrize(
    ("section", "key", "value", "error"),
    [
        ("", "max_wokers", 4, jsonschema.ValidationError),
        ("gpu", "min_workers", 5, ValueError),  # more than max_workers
        ("", "head_node_type", "brain", ValueError),
        ("gpu", "spot", True, jsonschema.ValidationError),
    ],
)
def test_rays_validation_would_notice_a_mistake(section: str, key: str, value: object, error: type[Exception]) -> None:
    broken = copy.deepcopy(CONFIG)
    (broken["available_node_types"][section] if section else broken)[key] = value
    with pytest.raises(error):
        validate_config(prepare_config(broken))


def test_the_head_trains_nothing_and_the_workers_are_gpu_instances() -> None:
    head, gpu = (CONFIG["available_node_types"][name] for name in ("head", "gpu"))
    assert CONFIG["head_node_type"] == "head"
    assert head["resources"] == {"CPU": 0}
    assert not re.match(r"[gp]\d", head["node_config"]["InstanceType"])
    assert re.match(r"[gp]\d", gpu["node_config"]["InstanceType"])
    assert 0 <= gpu["min_workers"] <= gpu["max_workers"] <= CONFIG["max_workers"]
    assert gpu["node_config"]["InstanceMarketOptions"]["MarketType"] == "spot"


def test_every_node_has_the_token_and_starts_with_it() -> None:
    home = f"/home/{CONFIG['auth']['ssh_user']}"
    assert CONFIG["file_mounts"][f"{home}/.ray/auth_token"] == "~/.ray/auth_token"
    starts = [command for command in COMMANDS if "ray start" in command]
    assert len(starts) == 2
    assert all("RAY_AUTH_MODE=token ray start" in command for command in starts)
    assert any(
        command.endswith("'export RAY_AUTH_MODE=token' >> ~/.bashrc") for command in CONFIG["initialization_commands"]
    )


def test_the_locked_versions_are_mounted_and_installed() -> None:
    home = f"/home/{CONFIG['auth']['ssh_user']}"
    (target,) = (target for target, source in CONFIG["file_mounts"].items() if source == "requirements.lock")
    assert (ROOT / "requirements.lock").is_file()
    install = [command for command in CONFIG["setup_commands"] if "pip install" in command]
    assert len(install) == 1
    assert install[0].endswith(f"--require-hashes --requirement {target.replace(home, '~')}")


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_valid_shell(command: str) -> None:
    # Ray joins a command behind others with &&, in one line.
    checked = subprocess.run(["bash", "-n", "-c", f"true && {command}"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert "\n" not in command


def test_what_must_be_changed_fails_loudly() -> None:
    """A placeholder that AWS or mount accepts would start something that the user did not choose."""
    placeholders = re.findall(r"\S*CHANGE_ME\S*", yaml.safe_dump(CONFIG))
    assert len(placeholders) == 3
    assert all(re.match(r"(ami|fs)-CHANGE_ME", placeholder) for placeholder in placeholders)
