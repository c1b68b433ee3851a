"""A job server as Ray's answers, in this process: for what a real one does not do when it is wanted to."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

NAME = "small-12345678"


@dataclass
class Job:
    """What it says of its one job."""

    name: str = NAME
    status: str = "RUNNING"
    exit_code: int | None = None
    message: str = ""
    log: list[str] = field(default_factory=list)
    # How many pieces of the log come before the connection is cut; None if none is.
    cut_after: list[int] = field(default_factory=list)
    # How many pieces come before no more does, though the connection stays; and how many questions get no answer.
    stall_after: list[int] = field(default_factory=list)
    unanswered: int = 0
    # How many questions for the job are refused, once it was told to stop.
    refuses: int = 0
    # What it is when it is told to stop, or when the log has come to its end.
    becomes: str = "SUCCEEDED"
    becomes_when_stopped: str = "STOPPED"
    says_when_stopped: str = ""
    env_vars: dict[str, str] = field(default_factory=dict)
    submitted: dict[str, Any] = field(default_factory=dict)
    uploaded: bytes = b""

    def details(self) -> dict[str, Any]:
        """What Ray says of it, as JSON."""
        about = {
            "type": "SUBMISSION",
            "submission_id": self.name,
            "entrypoint": "python -m orchestrator run small.yaml",
        }
        state = {"status": self.status, "message": self.message, "driver_exit_code": self.exit_code}
        return about | state | {"runtime_env": {"env_vars": self.env_vars}, "start_time": 1_700_000_000_000}


@contextmanager
def job_server(job: Job, *, token: str | None = None) -> Iterator[str]:
    """Run one with this job; yield its address."""
    loop = asyncio.new_event_loop()
    ready, addresses = threading.Event(), []

    async def start() -> None:
        runner = web.AppRunner(_application(job, token))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        addresses.append(site.name if not runner.addresses else "http://{}:{}".format(*runner.addresses[0]))
        ready.set()

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(start())
        loop.run_forever()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield addresses[0]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


def _application(job: Job, token: str | None) -> web.Application:
    @web.middleware
    async def let_in(request: web.Request, handler: Any) -> web.StreamResponse:
        given = request.headers.get("Authorization")
        if token is not None and given is None:
            return web.Response(status=401, text="Unauthorized: Missing authentication token")
        if token is not None and given != f"Bearer {token}":
            return web.Response(status=403, text="Forbidden: Invalid authentication token")
        answer: web.StreamResponse = await handler(request)
        return answer

    async def version(_: web.Request) -> web.Response:
        return web.json_response({"version": "4", "ray_version": "2.60.0", "ray_commit": "x", "session_name": "s"})

    async def package(request: web.Request) -> web.Response:
        if request.method == "PUT":
            job.uploaded = await request.read()
        return web.Response(status=200 if job.uploaded else 404)

    async def all_jobs(request: web.Request) -> web.Response:
        if request.method == "POST":
            job.submitted = await request.json()
            job.name = job.submitted["submission_id"]
            return web.json_response({"job_id": job.name, "submission_id": job.name})
        driver = {"type": "DRIVER", "job_id": "01000000", "status": "RUNNING", "entrypoint": "x"}
        return web.json_response([job.details(), driver])

    async def one(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if job.unanswered:
            job.unanswered -= 1
            await asyncio.sleep(60)
        if job.refuses and job.status == job.becomes_when_stopped:
            job.refuses -= 1
            return web.Response(status=503, text="one moment")
        return web.json_response(job.details()) if name == job.name else web.Response(status=404, text=f"no job {name}")

    async def logs(_: web.Request) -> web.Response:
        return web.json_response({"logs": "".join(job.log)})

    async def stop(_: web.Request) -> web.Response:
        job.status = job.becomes_when_stopped
        job.log.append(job.says_when_stopped)
        return web.json_response({"stopped": True})

    async def tail(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        cut = job.cut_after.pop(0) if job.cut_after else None
        stall = job.stall_after.pop(0) if job.stall_after else None
        for text in job.log[: cut if stall is None else stall]:
            await socket.send_str(text)
        if stall is not None:
            await asyncio.sleep(60)
        if cut is not None:
            assert request.transport is not None
            request.transport.abort()
            return socket
        job.status = job.becomes
        await socket.close()
        return socket

    application = web.Application(middlewares=[let_in], client_max_size=100 * 2**20)
    application.router.add_get("/api/version", version)
    application.router.add_route("*", "/api/packages/{protocol}/{name}", package)
    application.router.add_route("*", "/api/jobs/", all_jobs)
    application.router.add_get("/api/jobs/{name}", one)
    application.router.add_get("/api/jobs/{name}/logs", logs)
    application.router.add_get("/api/jobs/{name}/logs/tail", tail)
    application.router.add_post("/api/jobs/{name}/stop", stop)
    return application
