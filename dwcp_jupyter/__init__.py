"""The whole machine-learning life cycle inside Jupyter.

Importing this package loads the standard library only. Each domain (``registry``, ``pipeline``, ``serving`` …)
is a sub-package that is loaded when it is first touched; `load_ipython_extension` brings the magics.
"""

from __future__ import annotations

from dwcp_jupyter._version import __version__

__all__ = ["__version__"]
