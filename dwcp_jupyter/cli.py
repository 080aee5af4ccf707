"""``dwcp``: the workspace from a shell.

``dwcp serve`` runs a workspace's endpoints in the foreground, which is what a service manager or a container wants; the
other commands are those of ``%dwcp``.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence

from dwcp_jupyter._version import __version__
from dwcp_jupyter.exceptions import DwcpError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status: 0, 1 if it failed, 2 if it was called wrongly."""
    args = _parser().parse_args(arguments)
    try:
        return _serve(args.path) if args.command == "serve" else _report(args)
    except DwcpError as exc:
        print(f"dwcp: {exc}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dwcp", description="Look at a workspace, or serve its endpoints.")
    parser.add_argument("--version", action="version", version=f"dwcp_jupyter {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    texts = {
        "serve": "run the workspace's endpoints until interrupted",
        "status": "show what the workspace holds",
        "doctor": "check the installation and the workspace",
        "init": "create the workspace",
        "trash": "list the deleted versions that can come back",
        "gc": "empty the trash of what was deleted over thirty days ago, and remove files that nothing needs",
        "stop": "end everything that runs for the workspace",
    }
    for name, text in texts.items():
        command = commands.add_parser(name, help=text, description=text.capitalize() + ".")
        command.add_argument("--path", default=None, help="the workspace or project folder; found upward without it")
        if name == "gc":
            command.add_argument("--dry-run", action="store_true", help="say what would be freed, and remove nothing")
            gone = "another database that kept files in the same artifact store and is there no more"
            command.add_argument("--gone", metavar="ID", action="append", default=[], help=gone)
    return parser


def _report(args: argparse.Namespace) -> int:
    from dwcp_jupyter.workspace import find

    options = {"dry_run": args.dry_run, "gone": args.gone} if args.command == "gc" else {}
    report = getattr(find(args.path), args.command)(**options)
    print(report._view().to_text())
    return 0 if args.command != "doctor" or report else 1


def _serve(path: str | None) -> int:
    from dwcp_jupyter import supervisor
    from dwcp_jupyter.workspace import find

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    workspace = find(path)
    with supervisor.hold(workspace.stores, kind="server") as hold:
        applied = hold.apply(wait=[endpoint.name for endpoint in workspace.serving.list_endpoints()], timeout_s=120)
        for endpoint in applied.endpoints:
            print(f"{endpoint.name}: {endpoint.status}" + (f" ({endpoint.reason})" if endpoint.reason else ""))
        if applied.gateway is not None:
            print(
                f"serving {workspace.stores.root} at http://{applied.gateway.host}:{applied.gateway.port}", flush=True
            )
        else:
            print(f"serving {workspace.stores.root}: no endpoint yet; deploy one with %deploy", flush=True)
        while not stop.wait(3600):
            pass
    return 0
