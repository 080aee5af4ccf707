"""``python -m dwcp_jupyter.supervisor --root PATH``: run the supervisor of a workspace.

Started by a hold it leaves its starter (a fork, so that nobody has to wait for it) and says over ``--ready-fd``
what became of it; without that option it runs in the foreground. Whoever finds the lock taken ends at once: the
lock decides, nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from dwcp_jupyter.exceptions import DwcpError
from dwcp_jupyter.supervisor.lock import take
from dwcp_jupyter.supervisor.runtime import Layout


def main(arguments: list[str]) -> int:
    """Supervise until there is no reason to; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dwcp_jupyter.supervisor", description="Supervise a workspace.")
    parser.add_argument("--root", type=Path, required=True, help="the workspace folder")
    parser.add_argument(
        "--ready-fd", type=int, default=None, help="descriptor to answer on, once it is clear who supervises"
    )
    options = parser.parse_args(arguments)
    if options.ready_fd is not None and os.fork() != 0:
        os._exit(0)
    try:
        layout = Layout.of(options.root)
        layout.create()
        if take(layout.lock) is None:
            _answer(options.ready_fd, {"taken": True})
            return 0
        layout.remove_runtime()  # what a killed supervisor and its processes left
        layout.create()
        _supervise(layout, options.ready_fd)
    except (DwcpError, OSError) as exc:
        _answer(options.ready_fd, {"error": str(exc)})
        return 1
    return 0


def _supervise(layout: Layout, ready_fd: int | None) -> None:
    import asyncio
    import logging

    from dwcp_jupyter import config
    from dwcp_jupyter.supervisor.daemon import Supervisor

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")

    async def run() -> None:
        supervisor = Supervisor(layout, settings=config.load())
        await supervisor.run(lambda: _answer(ready_fd, {"ready": True}))

    asyncio.run(run())


def _answer(ready_fd: int | None, message: dict[str, object]) -> None:
    if ready_fd is None:
        if "ready" not in message:
            sys.stderr.write(f"{message.get('error', 'This workspace has a supervisor already.')}\n")
        return
    try:
        os.write(ready_fd, json.dumps(message).encode() + b"\n")
        os.close(ready_fd)
    except OSError:  # whoever started us is gone, or was answered
        return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
