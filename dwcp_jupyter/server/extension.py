"""The Jupyter server extension.

At load it mounts the routes, opens the socket for kernels and puts both its root folder and that socket into the
environment, which kernels inherit; so a deploy in a notebook outlives the kernel. Then it holds again what it held
before, in a thread, so that Jupyter starts no slower. A part that fails leaves Jupyter working: without the socket,
notebooks deploy as scripts do.
"""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from jupyter_core.paths import jupyter_data_dir
from jupyter_server.extension.application import ExtensionApp
from jupyter_server.serverapp import ServerApp
from jupyter_server.utils import url_path_join
from traitlets import List, Unicode

from dwcp_jupyter import config
from dwcp_jupyter._version import __version__
from dwcp_jupyter.exceptions import DwcpError
from dwcp_jupyter.server.forwarding import Forwarder
from dwcp_jupyter.server.handlers import Context
from dwcp_jupyter.server.identities import JUPYTERHUB, STOCK
from dwcp_jupyter.server.kernel_socket import KernelSocket
from dwcp_jupyter.server.memory import Memory
from dwcp_jupyter.server.routes import handlers
from dwcp_jupyter.server.statuses import RequestError
from dwcp_jupyter.server.workspaces import Workspaces
from dwcp_jupyter.supervisor import runtime_dir

__all__ = ["DwcpExtension"]

_ROOT, _SOCKET = "DWCP_SERVER_ROOT", "DWCP_SERVER_SOCKET"
_THREADS = 8
_RESTORE_S = 10.0
"""How long the end of the server waits for the thread that takes workspaces up again."""


class DwcpExtension(ExtensionApp):
    """Control plane, forwarding and holds of dwcp_jupyter."""

    name = "dwcp_jupyter"
    classes = [config.Dwcp]  # noqa: RUF012 - what traitlets wants
    trusted_identity_providers = List(
        Unicode(),
        default_value=[JUPYTERHUB],
        help="Identity providers, as module.Class, whose users count as authenticated: each must prove who a person "
        "is. A subclass is named by itself; Jupyter's own providers, which share one token, cannot be named.",
    ).tag(config=True)

    def initialize_handlers(self) -> None:
        """Mount everything."""
        settings = config.load(config=self.config)
        root = Path(self._server.root_dir).resolve()
        memory = Memory(Path(jupyter_data_dir()) / "dwcp_jupyter" / "held.json")
        self.workspaces = Workspaces(root, settings=settings, memory=memory, warn=self.log.warning)
        self.executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="dwcp-server")
        self.forwarder = Forwarder()
        context = Context(
            workspaces=self.workspaces,
            executor=self.executor,
            max_body_bytes=settings.max_body_bytes,
            trusted_identity_providers=self._trusted(),
        )
        self.handlers.extend(handlers(context, self.forwarder))
        self.kernel_socket = self._open_socket(root)
        self._former_environment = self._change_environment(root, settings)
        self._restoring = threading.Thread(target=self._restore, name="dwcp-restore", daemon=True)
        self._restoring.start()
        self.log.info("dwcp_jupyter %s: the workspace of this server is that of %s", __version__, root)

    async def stop_extension(self) -> None:
        """Let go of everything."""
        for name, value in self._former_environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        self.forwarder.close()
        await asyncio.get_running_loop().run_in_executor(None, self._close)

    def answer_kernel(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to what a kernel asks on the socket.

        Raises
        ------
        DwcpError
            If it cannot be done.
        """
        if request.get("op") != "hold" or not isinstance(request.get("root"), str):
            raise RequestError(f"""A request is {{"op": "hold", "root": "FOLDER"}}, not {request!r}.""")
        entry = self.workspaces.hold(request["root"])
        path = "/dwcp/" if entry is self.workspaces.default() else f"/dwcp/w/{entry.id}/"
        return {
            "workspace": entry.id,
            "base_url": path,
            "url": url_path_join(self._server.connection_url, path),
        }

    @property
    def _server(self) -> ServerApp:
        if self.serverapp is None:
            raise RuntimeError("The extension is linked to no Jupyter server.")
        return self.serverapp

    def _trusted(self) -> frozenset[str]:
        named = frozenset(self.trusted_identity_providers)
        for name in sorted(named & set(STOCK)):
            self.log.warning(
                "dwcp_jupyter: '%s' in c.DwcpExtension.trusted_identity_providers counts for nothing: everybody has "
                "its one token or password. Set c.ServerApp.identity_provider_class to one that knows people.",
                name,
            )
        return named - set(STOCK)

    def _open_socket(self, root: Path) -> KernelSocket | None:
        base = runtime_dir(root).parent
        try:
            return KernelSocket(base, self.answer_kernel)
        except OSError as exc:
            self.log.warning(
                "dwcp_jupyter: no socket for kernels can be made in '%s': %s. Endpoints will end with the notebooks "
                "that deploy them. Set XDG_RUNTIME_DIR to a private folder with a short path, and restart Jupyter.",
                base,
                exc,
            )
            return None

    def _change_environment(self, root: Path, settings: config.Dwcp) -> dict[str, str | None]:
        changes: dict[str, str | None] = {**config.export(settings), _ROOT: str(root), _SOCKET: None}
        if self.kernel_socket is not None:
            changes[_SOCKET] = str(self.kernel_socket.path)
        former = {name: os.environ.get(name) for name in changes}
        for name, value in changes.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        return former

    def _restore(self) -> None:
        try:
            self.workspaces.restore()
        except DwcpError as exc:
            self.log.warning("dwcp_jupyter: %s", exc)

    def _close(self) -> None:
        if self.kernel_socket is not None:
            self.kernel_socket.close()
        self.workspaces.close()
        self._restoring.join(timeout=_RESTORE_S)  # a thread that is in a database when the process ends can hang it
        self.executor.shutdown(wait=True, cancel_futures=True)
