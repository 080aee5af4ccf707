"""A PostgreSQL of the tests' own: a cluster in a temporary folder, reached by a socket there and by nothing else."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg

OWNER = "dwcp"


class Server:
    """A running cluster; `schema` gives each test an empty place in it.

    Its language orders text otherwise than by code points, as that of most clusters does.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="dwcp-pg-"))  # short: a socket's path has 107 bytes
        self._number = 0
        self._as: list[str] = []
        if os.getuid() == 0:  # which PostgreSQL refuses to run as
            shutil.chown(self.folder, "postgres", "postgres")
            self._as = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
        self._programs = _programs()
        order = ["--locale-provider=icu", "--icu-locale=en"] if _version(self._programs) >= 15 else []
        command = ["initdb", "--pgdata", str(self.folder / "data"), "--username", OWNER, "--auth", "trust"]
        self._call(*command, "--encoding=UTF8", "--locale=C", *order, "--no-sync")
        self.start()

    def _call(self, program: str, *arguments: str) -> None:
        command = [*self._as, str(self._programs / program), *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=120)
        if done.returncode:
            log = self.folder / "log"
            raise RuntimeError(f"{program}: {done.stderr or done.stdout}\n{log.read_text() if log.exists() else ''}")

    def start(self) -> None:
        """Start the cluster, and return when it takes connections."""
        options = (
            f"-c listen_addresses='' -c unix_socket_directories='{self.folder}' -c fsync=off -c max_connections=60"
        )
        control = ("--pgdata", str(self.folder / "data"), "--wait", "--log", str(self.folder / "log"))
        self._call("pg_ctl", "start", *control, "--options", options)

    def stop(self, mode: str = "fast") -> None:
        """Stop the cluster; connections end."""
        self._call("pg_ctl", "stop", "--pgdata", str(self.folder / "data"), "--wait", "--mode", mode)

    def close(self) -> None:
        """Stop the cluster and remove its files."""
        with contextlib.suppress(RuntimeError):  # it is stopped already
            self.stop("immediate")
        shutil.rmtree(self.folder)

    def connect(self) -> psycopg.Connection[tuple[object, ...]]:
        """Return a connection of the owner, which commits each statement."""
        return psycopg.connect(host=str(self.folder), user=OWNER, dbname="postgres", autocommit=True)

    @contextlib.contextmanager
    def schema(self) -> Iterator[str]:
        """Yield the URL of an empty schema, which is dropped afterwards."""
        self._number += 1
        name = f"w{self._number}"
        with self.connect() as connection:
            connection.execute(f"CREATE SCHEMA {name}")
        try:
            yield f"postgresql://{OWNER}@/postgres?host={quote(str(self.folder))}&options=-csearch_path%3D{name}"
        finally:
            with self.connect() as connection:
                connection.execute(f"DROP SCHEMA {name} CASCADE")


def _programs() -> Path:
    """Return the folder of the newest server's programs; Debian keeps them out of the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    program = found[-1] if found else shutil.which("initdb")
    if program is None:
        raise RuntimeError("No PostgreSQL server is installed: sudo apt-get install postgresql")
    return Path(program).parent


def _version(programs: Path) -> int:
    printed = subprocess.run([str(programs / "postgres"), "--version"], capture_output=True, text=True, check=True)
    return int(re.search(r"(\d+)", printed.stdout)[1])
