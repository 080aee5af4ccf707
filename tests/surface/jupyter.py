"""A real JupyterLab in a process of its own, in an environment of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import psutil

import dwcp_jupyter
from tests.supervisor.workspaces import eventually

TOKEN = "tested"
BASE_URL = "/user/ada/"


def labextension_folder() -> Path:
    """Return where the prebuilt panel lies: built beside the package, or installed with it."""
    built = Path(dwcp_jupyter.__file__).parent / "labextension"
    installed = Path(sys.prefix) / "share" / "jupyter" / "labextensions" / "dwcp_jupyter"
    found = next((folder for folder in (built, installed) if (folder / "package.json").exists()), None)
    assert found is not None, "The panel is not built. Run: cd labextension && jlpm install && jlpm build"
    return found


class Jupyter:
    """A Jupyter server that shows `root`; `stop` ends it and returns its log.

    Parameters
    ----------
    home : Path
        A folder for its configuration and data.
    """

    def __init__(
        self,
        root: Path,
        home: Path,
        *,
        command: str = "lab",
        has_server_part: bool = True,
        environ: dict[str, str] | None = None,
    ) -> None:
        self.root = root
        self.home = home
        self.command = command
        self.has_server_part = has_server_part
        self.port = _free_port()
        home.mkdir(parents=True, exist_ok=True)
        self.log_path = home / "jupyter.log"
        self._environ = environ or {}
        self._prepare()
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{BASE_URL}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jupyter", self.command, *self._options()],
                cwd=self.root,
                env=self._environment(),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        eventually(self._answers, timeout_s=60)

    def get(self, path: str) -> Any:
        """Return the JSON at `path`."""
        return json.loads(self.fetch(path))

    def fetch(self, path: str, data: bytes | None = None, *, token: str = TOKEN) -> bytes:
        """Return the answer's body; raises `urllib.error.HTTPError`."""
        headers = {"Authorization": f"token {token}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data=data, headers=headers)
        with urllib.request.urlopen(request, timeout=60) as response:
            body: bytes = response.read()
            return body

    def stop(self, number: int = signal.SIGTERM) -> str:
        """End it, and return its log.

        Jupyter's handler of a signal logs it first, which fails while a line is being logged: that signal is lost.
        """
        if self.process.poll() is None and not (self._ends_by(number, within_s=60) or self._lost_a_signal(number)):
            self.process.send_signal(signal.SIGABRT)  # its fault handler writes where every thread is
            self.process.wait(10)
            raise AssertionError(self.log_path.read_text()[-20_000:])
        return self.log_path.read_text()

    def _ends_by(self, number: int, *, within_s: float) -> bool:
        self.process.send_signal(number)
        try:
            self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _lost_a_signal(self, number: int) -> bool:
        """Return whether it ends by a second signal after it had lost the first."""
        return "reentrant call inside" in self.log_path.read_text() and self._ends_by(number, within_s=30)

    def kernel_environment(self) -> dict[str, str]:
        """Return the environment that a kernel of this server has."""
        sockets = {item.laddr for item in psutil.Process(self.process.pid).net_connections("unix")}
        path = next((path for path in sockets if path.endswith("kernels.sock")), None)
        assert path is not None, self.log_path.read_text()
        return {**self._environment(), "DWCP_SERVER_ROOT": str(self.root), "DWCP_SERVER_SOCKET": path}

    def _prepare(self) -> None:
        labextensions = self.home / "share" / "labextensions"
        labextensions.mkdir(parents=True)
        (labextensions / "dwcp_jupyter").symlink_to(labextension_folder())
        (self.home / "config").mkdir()
        settings = self.home / "config" / "labconfig"
        settings.mkdir()
        (settings / "default_setting_overrides.json").write_text(
            json.dumps({"@jupyterlab/apputils-extension:notification": {"fetchNews": "false"}})
        )

    def _options(self) -> list[str]:
        return [
            "--no-browser",
            "--allow-root",
            f"--port={self.port}",
            "--port-retries=0",
            f"--IdentityProvider.token={TOKEN}",
            f"--ServerApp.base_url={BASE_URL}",
            f"--ServerApp.root_dir={self.root}",
            f"--ServerApp.jpserver_extensions={{'dwcp_jupyter': {self.has_server_part}}}",
            "--LabApp.expose_app_in_browser=True",
            "--LabApp.news_url=None",
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        ][: None if self.command == "lab" else -3]

    def _environment(self) -> dict[str, str]:
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("DWCP_", "JUPYTER_"))}
        return {
            **environ,
            "HOME": str(self.home),
            "JUPYTER_CONFIG_DIR": str(self.home / "config"),
            "JUPYTER_DATA_DIR": str(self.home / "data"),
            "JUPYTER_RUNTIME_DIR": str(self.home / "runtime"),
            "JUPYTER_PATH": str(self.home / "share"),
            "JUPYTER_PREFER_ENV_PATH": "0",
            "JUPYTER_PLATFORM_DIRS": "1",
            "PYTHONFAULTHANDLER": "1",
            **self._environ,
        }

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log_path.read_text()
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            self.fetch("api/status")
            return True
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
