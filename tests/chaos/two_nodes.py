"""A Ray cluster with a head without CPUs and other nodes, all on this machine, for as long as its input is open.

Its argument is the port of the dashboard: another Ray on the machine may have the usual one.

Each line on its input is answered with a line of JSON: ``address``; ``add`` starts a node with two CPUs; ``lose`` ends
the raylet of that node with SIGKILL; ``groups`` gives the number of placement groups that hold anything.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import ray
from ray.cluster_utils import Cluster
from ray.util.placement_group import placement_group_table

NODE: dict[str, Any] = {"object_store_memory": 100 * 1024**2}


def main() -> None:
    """Serve the input."""
    dashboard = {"include_dashboard": True, "dashboard_port": int(sys.argv[1])}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **dashboard, **NODE})
    answers: dict[str, Callable[[Cluster], Any]] = {"address": address, "add": add, "lose": lose, "groups": groups}
    try:
        for line in sys.stdin:
            sys.stdout.write(json.dumps(answers[line.strip()](cluster)) + "\n")
            sys.stdout.flush()
    finally:
        cluster.shutdown()


def address(cluster: Cluster) -> str:
    """Return what a driver joins it by."""
    return str(cluster.address)


def add(cluster: Cluster) -> None:
    """Start a node."""
    cluster.add_node(num_cpus=2, **NODE)


def lose(cluster: Cluster) -> None:
    """Kill the node, and wait for its raylet: while it is a zombie, its workers live on."""
    (node,) = cluster.worker_nodes
    cluster.remove_node(node, allow_graceful=False)


def groups(cluster: Cluster) -> int:
    """Return how many placement groups are there that were not removed."""
    ray.init(address=cluster.address, log_to_driver=False)
    try:
        return sum(group["state"] != "REMOVED" for group in placement_group_table().values())
    finally:
        ray.shutdown()


if __name__ == "__main__":
    main()
