"""The frameworks whose models can be kept and served."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Framework"]


class Framework(StrEnum):
    """What a model was made with."""

    SKLEARN = "sklearn"
    XGBOOST = "xgboost"
    ONNX = "onnx"
    PYTORCH = "pytorch"
    TENSORFLOW = "tensorflow"
    PYFUNC = "python_function"
