"""Joins the cluster that ``RAY_ADDRESS`` names, or says why that cannot be: a remedy for each cause, in bounded time.

What Ray itself would say after minutes, or by ending the process, is looked at beforehand.
"""

from __future__ import annotations

import ipaddress
import re

import psutil

from orchestrator.environment import RAY_AUTH_MODE, has_ray_token, ray_address_is_found
from orchestrator.errors import UserError
from orchestrator.plugins import carried
from orchestrator.ray_here import running_ray, speaks_grpc
from orchestrator.sweep.cluster_token import TOKEN_MODES, auth_mode, token_is_needed, token_is_taken
from orchestrator.sweep.import_path import product_alone
from orchestrator.sweep.ray_token import is_about_token
from orchestrator.waiting import waiting_for

ANSWER_TIMEOUT_S = 10.0
DEFAULT_PORT = 6379
KINDS = "or auto for the one on this machine, or ray://HOST:PORT"
# What `Node` of Ray calls the process without which no driver can be on a machine.
RAYLET = "raylet"
NO_TOKEN = "the cluster asks for no token: whoever reaches it can run code in it (docs/security.md)"
FOUND = (
    "RAY_ADDRESS is not set, and a Ray that you have started runs on this machine: it is joined, at {address}; "
    "RAY_ADDRESS=local starts one of its own"
)
LOCALLY = "set RAY_ADDRESS=local to run on this machine"
JOB = "submit the sweep: zetasweep submit EXPERIMENT --address {dashboard} -o storage=/SHARED"
TOKEN_REMEDY = "put the cluster's token into ~/.ray/auth_token or RAY_AUTH_TOKEN"


def join(address: str) -> list[str]:
    """Join a cluster; return what is to be said about it.

    Args:
        address: ``host:port``, ``auto``, or ``ray://host:port``.

    Raises:
        UserError: It cannot be joined.
    """
    import ray  # seconds, which whoever joins no cluster need not pay

    notes = [FOUND.format(address=address)] if ray_address_is_found() else []
    with waiting_for(f"the Ray cluster at {address} to be joined"):
        direct = _direct(address)
        needed = _checked(address, direct)
        try:
            with product_alone() as job_config:
                # What Ray brings to all machines; one that is started here has no other.
                brought = {"py_modules": modules} if (modules := carried().py_modules) else None
                ray.init(address=direct, log_to_driver=False, job_config=job_config, runtime_env=brought)
        except Exception as error:
            raise not_joined(address, error) from error
    return [*notes, NO_TOKEN] if needed is False else notes


def _checked(address: str, direct: str) -> bool | None:
    """Return whether a cluster asks for a token, None if it does not say; raise UserError if it cannot be joined."""
    if direct == "auto":
        return None  # none was found, as Ray will say
    check_address(direct, named=address)
    needed = token_is_needed(direct)
    _check_token(address, direct, needed=needed)
    _check_node(address, direct)
    return needed


def check_address(address: str, *, named: str | None = None) -> None:
    """Raise UserError if no cluster listens at ``host:port``: Ray would try for minutes, and then end the process.

    Args:
        address: Where.
        named: What the user has written, if that is another.
    """
    named = named or address
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise refused(named, "that is no address", f"write HOST:PORT, as ray start --head says it, {KINDS}")
    host = host.strip("[]")
    try:
        _check_answer(named, host, int(port))
    except (OSError, UnicodeError) as error:
        raise refused(named, str(error), _remedy_for(error)) from error
    if not _is_loopback(host):
        return
    import ray.util

    # Ray replaces it by this.
    reachable = ray.util.get_node_ip_address()
    try:
        _check_answer(named, reachable, int(port))
    except OSError as error:
        raise refused(
            named,
            f"it listens on {host} alone, and Ray joins clusters at {reachable}",
            "a cluster that zetasweep run started is its own alone; start one to be shared by ray start --head",
        ) from error


def not_joined(address: str, error: BaseException) -> UserError:
    """Return what is to be said of a cluster that answers and is not joined: all that Ray says, and a remedy."""
    said = "\n".join(dict.fromkeys(filter(None, _causes(error)))) or type(error).__name__
    if is_about_token(said):
        remedy = TOKEN_REMEDY
    elif "version mismatch" in said.lower():
        remedy = "install the same Ray and Python here as there"
    elif "failed to merge" in said.lower():
        remedy = "submit the job without py_modules of its own: --plugin has Ray bring what it needs"
    elif "could not find any running ray" in said.lower():
        remedy = "start one on this machine, ray start --head, or write HOST:PORT of another"
    elif "no node info found" in said.lower():
        remedy = f"the Ray on this machine is another cluster's: ray stop, and ray start --address={address}"
    else:
        remedy = "look whether it runs, with ray status; its logs are in /tmp/ray/session_latest/logs on its head"
    return refused(address, said, remedy)


def refused(address: str, said: str, remedy: str) -> UserError:
    """Return what is to be said of a cluster that is not joined."""
    return UserError(
        f"RAY_ADDRESS = {address}: the cluster cannot be joined: {said}",
        remedy=f"{remedy}\nor {LOCALLY}",
    )


def _causes(error: BaseException | None) -> list[str]:
    """Return what an error says, and those that it comes from: Ray's own first one says little."""
    return [] if error is None else [str(error).strip(), *_causes(error.__cause__)]


def _direct(address: str) -> str:
    """Return the ``host:port`` of a cluster that may be named otherwise; what Ray knows more of as it is."""
    scheme, mark, rest = address.partition("://")
    if address == "auto":
        here = running_ray()
        return here.address if here is not None else address
    if not mark:
        return address
    if scheme == "ray":
        return _behind_client(address)
    host = re.split("[:/]", rest.rpartition("@")[2])[0] or "HOST"
    raise refused(
        address,
        "that is how jobs are submitted to it",
        f"write HOST:PORT of its head, RAY_ADDRESS={host}:{DEFAULT_PORT} unless told otherwise, on one of its nodes\n"
        "or " + JOB.format(dashboard=f"{scheme}://{rest}"),
    )


def _behind_client(address: str) -> str:
    """Return the address of the cluster that a server of Ray Client belongs to: a sweep's driver has to be inside."""
    import ray

    host, _, port = address.removeprefix("ray://").rpartition(":")
    check_address(f"{host}:{port}", named=address)
    try:
        ray.init(address=address, log_to_driver=False)
        return str(ray.get_runtime_context().gcs_address)
    except Exception as error:
        raise not_joined(address, error) from error
    finally:
        ray.shutdown()


def _check_token(address: str, direct: str, *, needed: bool | None) -> None:
    """Raise UserError if the cluster asks for a token that it is not given: Ray would end the process."""
    mode = auth_mode()
    if mode == "token" and not has_ray_token():
        remedies = {
            True: TOKEN_REMEDY,
            False: f"unset {RAY_AUTH_MODE}: it asks for none",
            None: f"{TOKEN_REMEDY}\nor unset {RAY_AUTH_MODE}, if it asks for none",
        }
        raise refused(address, f"{RAY_AUTH_MODE} = token, and there is none here", remedies[needed])
    if not needed:
        return
    if mode not in TOKEN_MODES:
        if has_ray_token():
            said = f"it asks for a token, and {RAY_AUTH_MODE} = {mode} has it not be sent"
            raise refused(address, said, f"unset {RAY_AUTH_MODE}")
        raise refused(address, "it asks for a token, and there is none here", TOKEN_REMEDY)
    if mode == "token" and not token_is_taken(direct):
        raise refused(address, "it asks for a token, and does not take the one that is here", TOKEN_REMEDY)


def _check_node(address: str, direct: str) -> None:
    """Raise UserError if no node of any cluster is on this machine: Ray would look for it for a minute."""
    if not any(process.info["name"] == RAYLET for process in psutil.process_iter(["name"])):
        raise refused(
            address,
            "this machine is none of its nodes, and a sweep is driven from one",
            f"make it one: ray start --address={direct} --num-cpus=0, or without that to train on it, too\n"
            "or " + JOB.format(dashboard="http://HOST:8265"),
        )


def _check_answer(named: str, host: str, port: int) -> None:
    if not speaks_grpc(host, port, timeout_s=ANSWER_TIMEOUT_S):
        raise refused(
            named,
            "something listens there that is no Ray cluster",
            f"mend the port: it is the one that ray start --head says, {DEFAULT_PORT} unless told otherwise",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _remedy_for(error: OSError | UnicodeError) -> str:
    # A label that is empty, or longer than 63 letters, is no name to ask for.
    if isinstance(error, UnicodeError) or type(error).__name__ == "gaierror":
        return "mend the name of the host"
    if isinstance(error, ConnectionRefusedError):
        return "start the cluster, or mend the port"
    return "see whether that machine is up, and whether a firewall lets the port through"
