"""What runs inside the Jupyter server.

A server extension that holds the supervisor of the workspace while Jupyter runs, answers kernels on a private socket,
offers reading under ``/dwcp/api`` and forwards predictions to the workspace's gateway under Jupyter's own
authentication. Nothing here computes: models run in processes of their own, and reading the stores happens in threads.
"""

from __future__ import annotations
