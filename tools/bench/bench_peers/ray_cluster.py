"""A Ray cluster of one node or several on this machine, with Serve's gRPC proxy."""

import contextlib
import os
import socket
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
FOLDERS = ("deploy/ray", "tests/peers", "tools/bench")  # what the cluster's processes import from
ADD_SERVICES = "tensorhop_ray.proxy.add_services"
# A machine that others use may start a process only after minutes; Ray gives up after 30 s.
PATIENCE = {
    "RAY_raylet_start_wait_time_s": "300",
    "RAY_agent_register_timeout_ms": "300000",
    "RAY_worker_register_timeout_seconds": "300",
    "RAY_health_check_initial_delay_ms": "120000",
    "RAY_health_check_timeout_ms": "20000",
    "RAY_enable_worker_prestart": "0",  # fewer processes
    "RAY_USAGE_STATS_ENABLED": "0",
}


@contextlib.contextmanager
def cluster(nodes: int, *add: str, **variables: str) -> Iterator[tuple[str, dict[str, Callable[[], None]]]]:
    """A cluster with Serve; the address of its gRPC proxy, and what kills a node beside the head, by the node's id.

    Each node has 8 CPUs for Ray to count, and one `place`.

    Args:
        add: paths of functions that register further services with the proxy.
        variables: of the environment of all its processes.
    """
    folders = [str(ROOT / folder) for folder in FOLDERS]
    sys.path[:0] = folders
    os.environ |= PATIENCE | {"PYTHONPATH": os.pathsep.join(folders)} | variables  # Ray's processes inherit them
    import ray
    from ray import serve
    from ray.cluster_utils import Cluster
    from ray.serve.config import gRPCOptions

    about: dict[str, Any] = {"num_cpus": 8, "resources": {"place": 1}, "object_store_memory": 300_000_000}
    made = Cluster(initialize_head=True, head_node_args={**about, "include_dashboard": False})
    try:
        others = [made.add_node(**about) for _ in range(nodes - 1)]
        kill: dict[str, Callable[[], None]] = {
            one.node_id: partial(made.remove_node, one, allow_graceful=False) for one in others
        }
        ray.init(address=made.address, log_to_driver=False)
        port = free_port()
        options = gRPCOptions(port=port, grpc_servicer_functions=[ADD_SERVICES, *add])
        serve.start(proxy_location="HeadOnly", grpc_options=options, http_options={"port": free_port()})
        yield f"127.0.0.1:{port}", kill
        serve.shutdown()
    finally:
        ray.shutdown()
        made.shutdown()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])
