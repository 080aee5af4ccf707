"""The frameworks whose models can be kept and served."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Framework"]


class Framework(StrEnum):
    """What a model was made with; found by its other names too, such as ``"torch"`` or ``"scikit-learn"``."""

    SKLEARN = "sklearn"
    XGBOOST = "xgboost"
    ONNX = "onnx"
    PYTORCH = "pytorch"
    TENSORFLOW = "tensorflow"
    PYFUNC = "python_function"

    @classmethod
    def _missing_(cls, value: object) -> Framework | None:
        return cls(_OTHER_NAMES[value]) if isinstance(value, str) and value in _OTHER_NAMES else None


_OTHER_NAMES = {
    "scikit-learn": "sklearn",
    "torch": "pytorch",
    "keras": "tensorflow",
    "pyfunc": "python_function",
    "python": "python_function",
}
