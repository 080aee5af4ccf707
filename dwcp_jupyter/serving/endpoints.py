"""Values of serving: what an endpoint is told, what it is, what is asked and answered.

`EndpointConfig` is what a user may set; `EndpointDescription` is what the gateways get in the state file, complete:
they never see the metadata. Requests and responses are those of the guide.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any, Self

from dwcp_jupyter.exceptions import SettingError, did_you_mean
from dwcp_jupyter.flavors import Signature
from dwcp_jupyter.rendering import Displayed, Table, View

__all__ = [
    "CompiledModel",
    "EndpointConfig",
    "EndpointDescription",
    "ExecutionMode",
    "PredictionRequest",
    "PredictionResponse",
]


class ExecutionMode(StrEnum):
    """Where an endpoint's model runs."""

    COMPILED = "compiled"
    """As ONNX, in the gateway processes."""
    NATIVE = "native"
    """In its own library, in replica processes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointConfig:
    """What a user may set for an endpoint.

    Attributes
    ----------
    min_replicas, max_replicas : int
        Processes that serve it, at least and at most.
    target_cpu : float
        Share of a core above which a replica counts as busy, between 0 and 1.
    target_latency_ms : float
        Latency that scaling aims at, milliseconds.
    max_queue : int
        Requests that may wait; one more is answered 429.
    timeout_s : float
        Longest time for an answer, seconds; then 504.
    max_body_bytes : int
        Largest request body; a larger one is answered 413.
    max_batch_rows : int
        Most rows that go through the model together.
    log_durability : str
        ``"buffered"`` or ``"sync"``, see `config.Dwcp`.
    log_predictions, access_log : bool
        Whether predictions are kept, and whether each request leaves a line in ``logs/access.log``.
    """

    min_replicas: int = 1
    max_replicas: int = 1
    target_cpu: float = 0.7
    target_latency_ms: float = 100.0
    max_queue: int = 1024
    timeout_s: float = 30.0
    max_body_bytes: int = 16 << 20
    max_batch_rows: int = 4096
    log_durability: str = "buffered"
    log_predictions: bool = True
    access_log: bool = True

    def __post_init__(self) -> None:
        for name, low in _LOWER_BOUNDS.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= low:
                raise SettingError(f"endpoint_config has {name}={value!r}. It must be a number, at least {low}.")
        for name in ("min_replicas", "max_replicas", "max_queue", "max_body_bytes", "max_batch_rows"):
            if not isinstance(getattr(self, name), int):
                raise SettingError(f"endpoint_config has {name}={getattr(self, name)!r}. It must be a whole number.")
        if self.target_cpu > 1:
            raise SettingError(f"endpoint_config has target_cpu={self.target_cpu}. It is a share: at most 1, e.g. 0.7.")
        if self.max_replicas < self.min_replicas:
            raise SettingError(
                f"endpoint_config has max_replicas={self.max_replicas} below min_replicas={self.min_replicas}. "
                "Raise the one or lower the other."
            )
        if self.log_durability not in ("buffered", "sync"):
            raise SettingError(
                f"endpoint_config has log_durability='{self.log_durability}'. It is 'buffered' or 'sync'."
            )

    @classmethod
    def of(cls, given: Mapping[str, Any] | EndpointConfig | None, **defaults: Any) -> EndpointConfig:
        """Return the configuration of the guide's dictionary.

        Parameters
        ----------
        defaults
            Values where `given` has none, e.g. from the workspace's settings.

        Raises
        ------
        SettingError
            For an unknown key, with the one that was probably meant, and for values that cannot be.
        """
        if isinstance(given, EndpointConfig):
            return given
        record = dict(given or {})
        known = [item.name for item in fields(cls)]
        for name in record:
            if name not in known:
                raise SettingError(
                    f"endpoint_config has no '{name}'.{did_you_mean(str(name), known)} It takes: {', '.join(known)}."
                )
        if "max_replicas" not in record:
            record["max_replicas"] = max(int(record.get("min_replicas", 1)), 1)
        return cls(**{**defaults, **record})


_LOWER_BOUNDS: dict[str, float] = {
    "min_replicas": 1,
    "max_replicas": 1,
    "target_cpu": 0.01,
    "target_latency_ms": 0.001,
    "max_queue": 1,
    "timeout_s": 0.001,
    "max_body_bytes": 1,
    "max_batch_rows": 1,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledModel:
    """The ONNX form of an endpoint's model.

    Attributes
    ----------
    sha256 : str
        Sum of the ONNX file among the artifacts.
    layout : str
        ``"matrix"`` (one float32 input of all columns) or ``"columns"`` (one input per column).
    max_difference : float or None
        Largest absolute difference from the native model on the sample that proved them equal.
    """

    sha256: str
    layout: str
    max_difference: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointDescription:
    """All that gateways know of an endpoint.

    Attributes
    ----------
    generation : int
        Grows with each deployment to the same name.
    sha256 : str
        Sum of the model's package among the artifacts.
    reason : str
        Why the model runs as `mode` says.
    replicas : str
        Key of the processes that hold the model; empty where the gateways do.
    n_replicas : int
        How many there should be.
    artifacts : str
        Folder or URL of the artifacts.
    """

    id: str
    name: str
    generation: int
    model_id: str
    model_name: str
    version: str
    version_id: str
    framework: str
    sha256: str
    signature: Signature
    classes: tuple[Any, ...] | None
    mode: ExecutionMode
    reason: str
    compiled: CompiledModel | None
    replicas: str
    n_replicas: int
    artifacts: str
    config: EndpointConfig = field(default_factory=EndpointConfig)
    example: tuple[Mapping[str, Any], ...] = ()
    """Rows of the version's input example, as JSON, to warm the model with."""

    @property
    def facts(self) -> dict[str, str]:
        """What every answer says of its origin."""
        return {"endpoint": self.name, "model_name": self.model_name, "model_version": self.version}

    def to_json(self) -> dict[str, Any]:
        """Return the JSON record."""
        record = {item.name: getattr(self, item.name) for item in fields(self)}
        record.update(
            signature=self.signature.to_json(),
            compiled=None if self.compiled is None else asdict(self.compiled),
            config=asdict(self.config),
            mode=str(self.mode),
            classes=None if self.classes is None else list(self.classes),
            example=[dict(row) for row in self.example],
        )
        return record

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """Return the description that `to_json` wrote."""
        compiled = record["compiled"]
        return cls(
            **{
                **record,
                "signature": Signature.from_json(record["signature"]),
                "compiled": None if compiled is None else CompiledModel(**compiled),
                "config": EndpointConfig(**record["config"]),
                "mode": ExecutionMode(record["mode"]),
                "classes": None if record["classes"] is None else tuple(record["classes"]),
                "example": tuple(record["example"]),
            }
        )


def _new_request_id() -> str:
    return secrets.token_hex(12)


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionRequest:
    """One row to predict.

    Attributes
    ----------
    features : mapping
        Column name to value.
    request_id : str
        Kept in the prediction log and in the answer; made up where it is not given.
    entity_key : str, optional
        Whom the row is about; kept as a pseudonym only.
    """

    endpoint_id: str
    features: Mapping[str, Any]
    request_id: str = field(default_factory=_new_request_id)
    entity_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionResponse(Displayed):
    """What the model said.

    Attributes
    ----------
    predictions : list
        One per row.
    probabilities : list of list of float, or None
        One list per row with one number per class, where the model has them.
    latency_ms : float
        From the request's arrival at the gateway to the answer, milliseconds.
    """

    predictions: list[Any]
    probabilities: list[list[float]] | None
    latency_ms: float
    request_id: str
    endpoint_id: str
    model_version: str

    def _view(self) -> View:
        rows: list[tuple[Any, ...]]
        if self.probabilities is None:
            columns: tuple[str, ...] = ("Row", "Prediction")
            rows = list(enumerate(self.predictions))
        else:
            columns = ("Row", "Prediction", "Highest probability")
            answers = zip(self.predictions, self.probabilities, strict=True)
            rows = [(number, said, max(shares)) for number, (said, shares) in enumerate(answers)]
        subtitle = f"version {self.model_version}, answered in {self.latency_ms:.2f} ms, request {self.request_id}"
        return View(f"Prediction of {self.endpoint_id}", [Table(columns, rows, limit=10)], subtitle)
