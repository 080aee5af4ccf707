"""Serve a registered version until SIGTERM, as a user's script would: `deploy.py REFERENCE WORKSPACE READY COMPILE`.

Writes READY (JSON: URL, token, the supervisor's id, how the endpoint runs) once the endpoint answers.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

from dwcp_jupyter import supervisor
from dwcp_jupyter.serving import ModelServer


def main(reference: str, workspace: str, ready: str, compiled: str) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    endpoint = ModelServer(workspace).deploy(reference, name="bench", compile=compiled)
    told = {
        "url": endpoint.url,
        "token": endpoint.token,
        "supervisor": supervisor.find(endpoint.root),
        "execution": str(endpoint.execution),
        "reason": endpoint.reason,
    }
    temporary = Path(ready).with_suffix(".new")
    temporary.touch(mode=0o600)
    temporary.write_text(json.dumps(told), encoding="utf-8")
    temporary.rename(ready)
    signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
