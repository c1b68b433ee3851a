"""Whether a cluster asks for a token, and takes the one that is here: asked before Ray joins it, in bounded time."""

from __future__ import annotations

import os
from pathlib import Path

from orchestrator.environment import RAY_AUTH_MODE, RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH
from orchestrator.ray_here import uses_tls
from orchestrator.sweep.ray_token import home_token

ANSWER_TIMEOUT_S = 10.0
# In which something is sent that says who asks: Kubernetes has a token of its own.
TOKEN_MODES = ("token", "k8s")


def auth_mode() -> str:
    """Return how Ray is told to say who it is."""
    return os.environ.get(RAY_AUTH_MODE, "").lower() or "disabled"


def token_is_needed(address: str) -> bool | None:
    """Return whether the cluster at ``host:port`` answers those alone that have a token; None if it does not say."""
    return _is_turned_away(address, None)


def token_is_taken(address: str) -> bool:
    """Return whether it takes the token that is here, where Ray would look for it."""
    token = os.environ.get(RAY_AUTH_TOKEN, "").strip()
    try:
        path = os.environ.get(RAY_AUTH_TOKEN_PATH) or home_token()
        token = token or Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return False
    return not _is_turned_away(address, token)


def _is_turned_away(address: str, token: str | None) -> bool | None:
    if uses_tls():
        return None  # it takes more than an address to ask
    import grpc  # Ray's own, as its messages are
    from ray.core.generated import gcs_service_pb2, gcs_service_pb2_grpc

    said = (("authorization", f"Bearer {token}"),) if token else ()
    try:
        # As Ray itself: a proxy that the environment names is not asked.
        with grpc.insecure_channel(address, options=(("grpc.enable_http_proxy", 0),)) as channel:
            stub = gcs_service_pb2_grpc.NodeInfoGcsServiceStub(channel)
            stub.CheckAlive(gcs_service_pb2.CheckAliveRequest(), timeout=ANSWER_TIMEOUT_S, metadata=said)
    except grpc.RpcError as error:
        # A proxy of somebody's own may say something else: Ray finds out.
        return True if error.code() is grpc.StatusCode.UNAUTHENTICATED else None
    return False
