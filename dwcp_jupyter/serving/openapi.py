"""The OpenAPI document of the data plane, with the real columns of the endpoints that run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dwcp_jupyter._version import __version__
from dwcp_jupyter.flavors import Column, ColumnType
from dwcp_jupyter.serving.endpoints import EndpointDescription
from dwcp_jupyter.serving.protocols import invocations

__all__ = ["document"]

_TYPES: dict[ColumnType, dict[str, Any]] = {
    ColumnType.BOOL: {"type": "boolean"},
    ColumnType.INT: {"type": "integer"},
    ColumnType.FLOAT: {"type": "number"},
    ColumnType.STRING: {"type": "string"},
    ColumnType.TIMESTAMP: {"type": "string", "format": "date-time"},
    ColumnType.ARRAY: {"type": "array", "items": {}},
    ColumnType.OBJECT: {},
}
_FAILURES = {
    "400": "The body is malformed, or does not fit the model's columns",
    "401": "No valid token",
    "404": "No such endpoint",
    "413": "The body is too large",
    "415": "The content type is not served",
    "429": "Too many requests wait; Retry-After says when to come back",
    "500": "The model failed",
    "503": "No replica runs now",
    "504": "No answer in time",
}


def document(descriptions: Sequence[EndpointDescription]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document for these endpoints."""
    paths: dict[str, Any] = {
        "/v2/health/live": _get("Whether the gateway answers", is_open=True),
        "/v2/health/ready": _get("Whether the gateway has its endpoints", is_open=True),
        "/v2": _get("Name and version of the server"),
        "/v2/models": _get("Names of all endpoints"),
        "/dwcp/metrics": _get("Figures of all endpoints", content="text/plain"),
    }
    for item in descriptions:
        paths.update(_endpoint_paths(item))
    return {
        "openapi": "3.1.0",
        "info": {"title": "dwcp_jupyter model serving", "version": __version__},
        "paths": paths,
        "security": [{"token": []}],
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Error": _ERROR, "InferRequest": _INFER_REQUEST, "InferResponse": _INFER_RESPONSE},
        },
    }


def _endpoint_paths(item: EndpointDescription) -> dict[str, Any]:
    features = _features(item)
    model = f"/v2/models/{item.name}"
    return {
        model: _get(f"Metadata of '{item.name}'"),
        f"{model}/ready": _get(f"Whether '{item.name}' takes requests"),
        f"{model}/versions/{item.version}": _get(f"Metadata of version {item.version}"),
        f"{model}/versions/{item.version}/ready": _get(f"Whether version {item.version} takes requests"),
        f"/dwcp/metrics/{item.name}": _get(f"Figures of '{item.name}'"),
        f"{model}/infer": _post(
            f"Predict with '{item.name}' (Open Inference Protocol v2)", _ref("InferRequest"), _ref("InferResponse")
        ),
        f"{model}/versions/{item.version}/infer": _post(
            f"Predict with version {item.version}", _ref("InferRequest"), _ref("InferResponse")
        ),
        f"/invocations/{item.name}": _post(
            f"Predict with '{item.name}' (features, a list of them, or MLflow's formats)",
            {
                "oneOf": [
                    features,
                    {"type": "array", "items": features, "minItems": 1},
                    *({"type": "object", "required": [key], "properties": {key: {}}} for key in invocations.FORMATS),
                ]
            },
            _PREDICTIONS,
            csv=True,
        ),
    }


def _features(item: EndpointDescription) -> dict[str, Any]:
    return {
        "type": "object",
        "required": [column.name for column in item.signature.inputs],
        "properties": {column.name: _column(column) for column in item.signature.inputs},
        "additionalProperties": False,
    }


def _column(column: Column) -> dict[str, Any]:
    schema = _TYPES[column.type]
    return {"anyOf": [schema, {"type": "null"}]} if column.nullable else schema


def _get(summary: str, *, is_open: bool = False, content: str = "application/json") -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": summary,
        "responses": {"200": {"description": summary, "content": {content: {}}}},
    }
    if is_open:
        operation["security"] = []
    else:
        operation["responses"]["401"] = _failure("401")
    return {"get": operation}


def _post(summary: str, request: dict[str, Any], response: dict[str, Any], *, csv: bool = False) -> dict[str, Any]:
    content: dict[str, Any] = {"application/json": {"schema": request}}
    if csv:
        content["text/csv"] = {"schema": {"type": "string"}}
    answers: dict[str, Any] = {
        "200": {"description": "The predictions", "content": {"application/json": {"schema": response}}}
    }
    answers.update({status: _failure(status) for status in _FAILURES})
    return {"post": {"summary": summary, "requestBody": {"required": True, "content": content}, "responses": answers}}


def _failure(status: str) -> dict[str, Any]:
    return {"description": _FAILURES[status], "content": {"application/json": {"schema": _ref("Error")}}}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


_TEXT, _LIST = {"type": "string"}, {"type": "array"}
_ERROR = {
    "type": "object",
    "required": ["error", "code", "request_id"],
    "properties": {"error": _TEXT, "code": _TEXT, "request_id": _TEXT, "columns": {"type": "array", "items": _TEXT}},
}
_TENSOR = {
    "type": "object",
    "required": ["name", "shape", "datatype", "data"],
    "properties": {
        "name": _TEXT,
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
        "datatype": _TEXT,
        "data": _LIST,
    },
}
_INFER_REQUEST = {
    "type": "object",
    "required": ["inputs"],
    "properties": {"id": _TEXT, "inputs": {"type": "array", "items": _TENSOR}, "outputs": _LIST},
}
_INFER_RESPONSE = {
    "type": "object",
    "required": ["model_name", "outputs"],
    "properties": {
        "id": _TEXT,
        "model_name": _TEXT,
        "model_version": _TEXT,
        "outputs": {"type": "array", "items": _TENSOR},
    },
}
_PREDICTIONS = {
    "type": "object",
    "required": ["predictions", "request_id", "latency_ms"],
    "properties": {
        "predictions": _LIST,
        "probabilities": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
        "endpoint": _TEXT,
        "model_name": _TEXT,
        "model_version": _TEXT,
        "request_id": _TEXT,
        "latency_ms": {"type": "number"},
    },
}
