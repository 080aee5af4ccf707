"""Models as endpoints that answer HTTP.

`ModelServer` deploys a version; the supervisor runs the processes: gateways answer, batch and log, replicas hold models
that are not compiled. Everything is loaded when first touched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dwcp_jupyter.flavors import Framework as ModelFramework
    from dwcp_jupyter.serving.endpoint import Endpoint, EndpointList
    from dwcp_jupyter.serving.endpoints import EndpointConfig, ExecutionMode, PredictionRequest, PredictionResponse
    from dwcp_jupyter.serving.metrics import EndpointMetrics
    from dwcp_jupyter.serving.model_server import ModelServer
    from dwcp_jupyter.serving.prediction_log import PredictionLog
    from dwcp_jupyter.serving.preparing import Compile
    from dwcp_jupyter.supervisor import Lifetime

__all__ = [
    "Compile",
    "Endpoint",
    "EndpointConfig",
    "EndpointList",
    "EndpointMetrics",
    "ExecutionMode",
    "Lifetime",
    "ModelFramework",
    "ModelServer",
    "PredictionLog",
    "PredictionRequest",
    "PredictionResponse",
]

_HOME = {
    "Compile": "dwcp_jupyter.serving.preparing",
    "Endpoint": "dwcp_jupyter.serving.endpoint",
    "EndpointConfig": "dwcp_jupyter.serving.endpoints",
    "EndpointList": "dwcp_jupyter.serving.endpoint",
    "EndpointMetrics": "dwcp_jupyter.serving.metrics",
    "ExecutionMode": "dwcp_jupyter.serving.endpoints",
    "Lifetime": "dwcp_jupyter.supervisor",
    "ModelServer": "dwcp_jupyter.serving.model_server",
    "PredictionLog": "dwcp_jupyter.serving.prediction_log",
    "PredictionRequest": "dwcp_jupyter.serving.endpoints",
    "PredictionResponse": "dwcp_jupyter.serving.endpoints",
}


def __getattr__(name: str) -> Any:
    import importlib

    if name == "ModelFramework":  # one enum under two names
        return importlib.import_module("dwcp_jupyter.flavors").Framework
    if name not in _HOME:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOME[name]), name)
