"""A cluster that an autoscaler grows from nothing and shrinks to nothing, by Ray's own provider of pretended nodes."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest
from bed import Plan
from commands import until
from ray_hosts import MakeHosts, RayHosts

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]
CELLS = """
name: cells
dataset: digits
model: convnet
augment: [erm, mixup]
seed: [0, 1, 2, 3, 4, 5]
train: {epochs: 20, batch_size_per_worker: 16}
resources: {slots: 3}
tracking: {models: none}
"""
IDLE_S, MOST_NODES = 30, 3
UNUSED = {"head_node": {}, "worker_nodes": {}, "auth": {}, "file_mounts": {}, "cluster_synced_files": []} | {
    f"{of}_commands": []
    for of in ("initialization", "setup", "head_setup", "worker_setup", "head_start_ray", "worker_start_ray")
}
CLUSTER = UNUSED | {
    "cluster_name": "pretended",
    "max_workers": MOST_NODES,
    "upscaling_speed": 10,
    "idle_timeout_minutes": IDLE_S / 60,
    "provider": {
        "type": "fake_multinode",
        "use_node_id_as_ip": True,
        "disable_node_updaters": True,
        "disable_launch_config_check": True,
    },
    "available_node_types": {
        "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
        "one_cpu": {
            "resources": {"CPU": 1, "object_store_memory": 10**8},
            "node_config": {},
            "min_workers": 0,
            "max_workers": MOST_NODES,
        },
    },
    "head_node_type": "ray.head.default",
    "file_mounts_sync_continuously": False,
    "rsync_exclude": [],
    "rsync_filter": [],
}
COUNT = "import ray; ray.init('auto', log_to_driver=False); print('alive', sum(n['Alive'] for n in ray.nodes()))"


def num_workers(hosts: RayHosts) -> int:
    answer = hosts.hosts["head"].run([sys.executable, "-c", COUNT], hosts.environment)
    assert answer.returncode == 0, answer.stderr
    return int(answer.stdout.partition("alive ")[2]) - 1


def test_from_nothing_to_three_nodes_and_back(make_hosts: MakeHosts, tmp_path: Path) -> None:
    (tmp_path / "cluster.json").write_text(json.dumps(CLUSTER))
    file = tmp_path / "cells.yaml"
    file.write_text(CELLS)
    with make_hosts(head=Plan()) as hosts:
        scaled = {"RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1"}
        hosts.start("head", f"--autoscaling-config={tmp_path / 'cluster.json'}", cpus=0, **scaled)
        assert num_workers(hosts) == 0
        run = hosts.begin("head", "run", file, "-o", f"storage={tmp_path / 'runs'}")
        run.until_says("there is room now for 0 of 3 slots")
        run.until_says("validation error")
        most = 0
        while run.program.poll() is None:
            most = max(most, num_workers(hosts))
            time.sleep(2)
        assert run.wait() == 0, run.output
        ended_at = time.monotonic()
        assert "[12/12 cells" in run.output
        assert "failure" not in run.output
        assert most == MOST_NODES
        until(lambda: num_workers(hosts) == 0, timeout_s=IDLE_S + 30)
        print(f"no node {time.monotonic() - ended_at:.0f} s after the end")  # noqa: T201 - with -s
