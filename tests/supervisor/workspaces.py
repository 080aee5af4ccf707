"""What the tests do to a workspace and its processes from outside."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import sqlalchemy as sa

from dwcp_jupyter import clock, store, supervisor
from dwcp_jupyter.store import schema

WORKER = str(Path(__file__).with_name("worker.py"))


def eventually(condition: Callable[[], Any], *, timeout_s: float = 30.0) -> Any:
    """Return what `condition` returns once it is true; fail if it does not become so in time."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not so within {timeout_s} s"
        time.sleep(0.02)
    return found


class Workspace:
    """A workspace, and what tests do to it from outside."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.root = root
        self.stores = store.open(root)
        self.marks = root.parent / f"{root.name}-marks"
        self.marks.mkdir(exist_ok=True)

    def process(self, key: str, *argv: str, **fields: Any) -> dict[str, Any]:
        return {"key": key, "argv": [sys.executable, WORKER, *argv], "env": {}, "count": 1, "listens": False, **fields}

    def gateway(self, **fields: Any) -> dict[str, Any]:
        return self.process("gateway", "gateway", listens=True, **fields)

    def spec(self, name: str, *, generation: int = 1, count: int = 1, **fields: Any) -> dict[str, Any]:
        """A gateway, and replicas of the endpoint."""
        key = f"replica/{name}/{generation}"
        replica = self.process(key, "replica", str(self.marks), count=count)
        return {"endpoint": {"name": name, "replicas": key, **fields}, "processes": [self.gateway(), replica]}

    def deploy(
        self,
        name: str,
        spec: dict[str, Any] | None = None,
        *,
        hold: supervisor.Hold | None = None,
        lifetime: str = "caller",
    ) -> None:
        """Write the endpoint's row, as serving does."""
        now = clock.to_text(clock.utc_now())
        table = schema.endpoints
        values = {
            "lifetime": lifetime,
            "owner": hold.id if hold else None,
            "owner_pid": os.getpid() if hold else None,
            "status": "starting",
            "spec": schema.dump(spec or self.spec(name)),
            "updated_at": now,
        }
        with self.stores.metadata.transaction() as transaction:
            if transaction.execute(sa.select(table.c.id).where(table.c.name == name)).first():
                transaction.execute(sa.update(table).where(table.c.name == name).values(values))
            else:
                row = {"id": uuid.uuid4().hex, "name": name, "model_id": "m", "version_id": "v", "created_at": now}
                transaction.execute(sa.insert(table).values(**row, **values))
            transaction.record("endpoint.deployed", f"endpoint:{name}", lifetime=lifetime)

    def own(self, name: str, *, hold_id: str, pid: int) -> None:
        """Say that somebody else deployed the endpoint."""
        table = schema.endpoints
        with self.stores.metadata.transaction() as transaction:
            values = {"owner": hold_id, "owner_pid": pid}
            transaction.execute(sa.update(table).where(table.c.name == name).values(values))

    def undeploy(self, name: str) -> None:
        with self.stores.metadata.transaction() as transaction:
            transaction.execute(sa.delete(schema.endpoints).where(schema.endpoints.c.name == name))

    def rows(self) -> dict[str, str]:
        """Endpoint name → noted status."""
        with self.stores.metadata.read() as connection:
            return {row.name: row.status for row in connection.execute(sa.select(schema.endpoints))}

    def pids(self, key: str, status: str = "ready") -> list[int]:
        state = json.loads((self.root / "run" / "state.json").read_text())
        return [item["pid"] for item in state["processes"] if item["key"] == key and item["status"] == status]

    def port(self) -> int:
        port: int = json.loads((self.root / "run" / "state.json").read_text())["gateway"]["port"]
        return port

    def call(self, request: str, *, port: int | None = None, timeout_s: float = 20.0) -> dict[str, Any]:
        """Send one request to the gateway."""
        with socket.create_connection(("127.0.0.1", port or self.port()), timeout=timeout_s) as connection:
            connection.sendall(request.encode() + b"\n")
            with connection.makefile() as lines:
                answer: dict[str, Any] = json.loads(lines.readline())
                return answer

    def supervisor_pid(self) -> int | None:
        return supervisor.find(self.root)

    def processes(self) -> list[psutil.Process]:
        """Every process of this workspace: children, and supervisors, known by their command line or environment."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.status() == psutil.STATUS_ZOMBIE:
                    continue
                line = process.cmdline()
                is_supervisor = "dwcp_jupyter.supervisor" in line and str(self.root) in line
                if is_supervisor or process.environ().get("DWCP_STATE_FILE") == str(self.root / "run" / "state.json"):
                    found.append(process)
        return found

    def is_clean(self) -> bool:
        """Whether nothing is left: no process, no socket, no record of a supervisor."""
        is_gone = (
            not supervisor.runtime_dir(self.root).exists() and not (self.root / "run" / "supervisor.json").exists()
        )
        return is_gone and not list(self.root.glob("run/scratch/*")) and not self.processes()


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    os.kill(pid, number)


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
