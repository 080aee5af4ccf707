"""MLflow's ``/invocations`` formats and the guide's feature dictionaries.

The body is one of: a dictionary of features (one row), a list of them, or an object with one of the keys
``dataframe_split``, ``dataframe_records``, ``instances``, ``inputs`` as MLflow's scoring server takes them; or CSV text
with a header. An object that has exactly the signature's columns is a row, whatever its columns are called.

References
----------
https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pandas as pd

from dwcp_jupyter.exceptions import did_you_mean
from dwcp_jupyter.flavors import Signature
from dwcp_jupyter.serving.encoding import RowCodec
from dwcp_jupyter.serving.protocols import Answer, ParsedRequest
from dwcp_jupyter.serving.protocols.errors import MalformedRequestError, UnsupportedMediaTypeError
from dwcp_jupyter.serving.protocols.frames import columns_frame, csv_frame, decode_json, records_frame, rows_frame

__all__ = ["FORMATS", "answer", "parse"]

FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")
_BESIDE = ("params", "signature_name")
_ENCODER = msgspec.json.Encoder()


def parse(body: bytes, *, content_type: str, codec: RowCodec, signature: Signature) -> ParsedRequest:
    """Return the body's rows.

    Raises
    ------
    MalformedRequestError, SignatureError, UnsupportedMediaTypeError
        Each naming what is wrong and what to send instead.
    """
    if not content_type or content_type.startswith("application/json"):
        payload = codec.decode_record(body)
        return ParsedRequest(payload, 1) if payload is not None else _parse_json(body, codec, signature)
    kind = content_type.partition(";")[0].strip().lower()
    if kind.endswith("+json") or kind == "application/json":
        return _parse_json(body, codec, signature)
    if kind in ("text/csv", "application/csv"):
        return _rows(csv_frame(body, signature), codec)
    raise UnsupportedMediaTypeError(f"Content type '{kind}' is not served here. Send application/json or text/csv.")


def _parse_json(body: bytes, codec: RowCodec, signature: Signature) -> ParsedRequest:
    content = decode_json(body)
    if isinstance(content, list):
        return _records(content, codec, signature)
    if not isinstance(content, dict):
        raise MalformedRequestError(
            f"The request's body is {type(content).__name__}, not an object or a list. {_REMEDY}"
        )
    names = {column.name for column in signature.inputs}
    given = [key for key in FORMATS if key in content and not (key in names and names <= set(content))]
    if not given:
        return _records([content], codec, signature)
    if len(given) > 1:
        raise MalformedRequestError(f"The request holds '{given[0]}' and '{given[1]}'. Send one of them.")
    _check_beside(content, given[0])
    return _PARSERS[given[0]](content[given[0]], codec, signature)


def _check_beside(content: Mapping[str, Any], key: str) -> None:
    for other in content:
        if other == key:
            continue
        if other not in _BESIDE:
            raise MalformedRequestError(
                f"The request holds '{other}' beside '{key}'.{did_you_mean(other, _BESIDE)} Send '{key}' alone."
            )
    if content.get("params"):
        raise MalformedRequestError("This model takes no 'params'. Leave them out.")


def _split(content: Any, codec: RowCodec, signature: Signature) -> ParsedRequest:
    if not isinstance(content, dict) or not isinstance(content.get("data"), list):
        raise MalformedRequestError(
            "'dataframe_split' must hold 'columns', a list of names, and 'data', a list of rows, as pandas' "
            "to_dict(orient='split') makes it."
        )
    names = content.get("columns")
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise MalformedRequestError("'dataframe_split' must name its 'columns' as a list of texts.")
    data = content["data"]
    if len(data) == 1 and (names is None or tuple(names) == codec.names):
        payload = codec.convert_row(data[0])
        if payload is not None:
            return ParsedRequest(payload, 1)
    return _rows(rows_frame(data, signature, names), codec)


def _records(content: Any, codec: RowCodec, signature: Signature) -> ParsedRequest:
    if not isinstance(content, list):
        raise MalformedRequestError("'dataframe_records' must be a list of objects, one per row.")
    if len(content) == 1:
        payload = codec.convert_record(content[0])
        if payload is not None:
            return ParsedRequest(payload, 1)
    if content and not isinstance(content[0], dict):
        return _rows(rows_frame(content, signature), codec)
    return _rows(records_frame(content, signature), codec)


def _instances(content: Any, codec: RowCodec, signature: Signature) -> ParsedRequest:
    if not isinstance(content, list):
        raise MalformedRequestError(
            "'instances' must be a list with one entry per row: an object, or a list of values."
        )
    if len(content) == 1 and isinstance(content[0], list):
        payload = codec.convert_row(content[0])
        if payload is not None:
            return ParsedRequest(payload, 1)
    return _records(content, codec, signature)


def _inputs(content: Any, codec: RowCodec, signature: Signature) -> ParsedRequest:
    if isinstance(content, dict):
        return _rows(columns_frame(content, signature), codec)
    if not isinstance(content, list):
        raise MalformedRequestError("'inputs' must be an object of columns, or a list with one entry per row.")
    return _instances(content, codec, signature)


_PARSERS = {"dataframe_split": _split, "dataframe_records": _records, "instances": _instances, "inputs": _inputs}
_REMEDY = "Send a dictionary of features, a list of them, or one of " + ", ".join(f"'{name}'" for name in FORMATS) + "."


def _rows(frame: pd.DataFrame, codec: RowCodec) -> ParsedRequest:
    return ParsedRequest(codec.from_frame(frame), len(frame))


def answer(result: Answer, *, facts: Mapping[str, Any], request_id: str, latency_ms: float) -> bytes:
    """Return the JSON answer: MLflow's ``predictions``, and beside it what else is known.

    Parameters
    ----------
    facts : mapping
        What every answer of the endpoint holds: its name and version.
    """
    content: dict[str, Any] = {"predictions": result.predictions}
    if result.probabilities is not None:
        content["probabilities"] = result.probabilities
    content.update(facts)
    content["request_id"] = request_id
    content["latency_ms"] = latency_ms
    return _ENCODER.encode(content)
