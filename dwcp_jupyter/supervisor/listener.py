"""The TCP socket on which a workspace's gateways listen.

The supervisor binds it and passes it on, so it survives a gateway's death: connections wait in its queue until the
replacement accepts them. The port is recorded in the state file and asked for again later, so that an endpoint
keeps its address when the supervisor, or the machine, starts anew.
"""

from __future__ import annotations

import logging
import socket

from dwcp_jupyter.supervisor.state import Gateway

__all__ = ["HOST", "bind"]

HOST = "127.0.0.1"
"""Endpoints are reached through the Jupyter server or a proxy, never from outside."""
_QUEUE = 2048
_log = logging.getLogger(__name__)


def bind(former: Gateway | None) -> socket.socket:
    """Return a listening socket on loopback, at the `former` port if it can be had."""
    if former is not None:
        try:
            return _listen(former.port)
        except OSError as exc:
            _log.warning("Port %d cannot be had again (%s); another one is taken.", former.port, exc)
    return _listen(0)


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(_QUEUE)
    except OSError:
        listener.close()
        raise
    return listener
