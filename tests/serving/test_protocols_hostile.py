"""Requests that are small to send and dear to read are refused at once."""

from __future__ import annotations

import pandas as pd
import pytest

from dwcp_jupyter.exceptions import DwcpError
from dwcp_jupyter.flavors import Signature
from dwcp_jupyter.serving.encoding import codec_for
from dwcp_jupyter.serving.protocols import frames, invocations, v2

SIGNATURE = Signature.infer(pd.DataFrame({"age": [1.0, 2.0], "income": [1.0, 2.0]}))


@pytest.mark.parametrize("body", [b"age,income\n41,52000,7\n", b"age,income\n1,52,000\n2,61,500\n"])
def test_csv_rows_with_more_cells_than_the_header_are_refused(body):
    with pytest.raises(DwcpError, match="cells, more than its header"):
        frames.csv_frame(body, SIGNATURE)


def test_many_names_are_compared_once():
    names = [f"c{position}" for position in range(200_000)]
    with pytest.raises(DwcpError):
        frames.rows_frame([[1]], SIGNATURE, names)
    with pytest.raises(DwcpError, match="'c5' is named twice"):
        frames.rows_frame([[1]], SIGNATURE, [*names, "c5"])


HUGE = "1" + "0" * 400
DEEP = "[" * 100_000 + "]" * 100_000


def schema(**columns):
    return Signature.infer(pd.DataFrame(columns))


@pytest.mark.parametrize(
    ("signature", "value"),
    [
        (schema(x=[1.5, 2.5]), HUGE),
        (schema(x=[1, 2]), HUGE),
        (schema(x=[True, False]), HUGE),
        (schema(x=["a", "b"]), HUGE),
        (schema(x=[[1.0, 2.0], [1.0, 2.0]]), f"[{HUGE}, 1]"),
        (schema(x=[[1, 2], [1, 2]]), f"[{2**70}, 1]"),
        (schema(x=pd.to_datetime(["2024-01-01", "2024-01-02"]).astype("datetime64[ns]")), '"9999-12-31T00:00:00"'),
        (schema(x=[1.5, 2.5]), DEEP),
        (schema(x=["a", "b"]), '"\\ud800"'),
    ],
    ids=["float", "int", "bool", "text", "array", "int array", "time", "deep", "half a pair"],
)
def test_what_no_column_can_hold_is_the_senders_fault_in_every_form(signature, value):
    codec = codec_for(signature)
    forms = [
        f'{{"x": {value}}}',
        f'[{{"x": {value}}}, {{"x": null}}]',
        f'{{"dataframe_split": {{"columns": ["x"], "data": [[{value}]]}}}}',
        f'{{"inputs": {{"x": [{value}, {value}]}}}}',
    ]
    for form in forms:
        with pytest.raises(DwcpError):
            invocations.parse(form.encode(), content_type="", codec=codec, signature=signature)
    for datatype in ("FP64", "INT64", "BYTES"):
        tensor = f'{{"inputs": [{{"name": "x", "shape": [1], "datatype": "{datatype}", "data": [{value}]}}]}}'
        with pytest.raises(DwcpError):
            v2.parse(tensor.encode(), content_type="", codec=codec, signature=signature)


@pytest.mark.parametrize("body", [b'{"x": "\xff"}', b"\xff\xfe", b'{"inputs": [{"name": "\xff"}]}'])
def test_bytes_that_are_no_text_are_the_senders_fault(body):
    signature = schema(x=["a", "b"])
    codec = codec_for(signature)
    for parse in (invocations.parse, v2.parse):
        with pytest.raises(DwcpError):
            parse(body, content_type="", codec=codec, signature=signature)


def test_an_integer_beside_a_missing_one_keeps_every_digit_or_is_refused():
    signature = schema(x=pd.array([1, None], dtype="Int64"))
    codec = codec_for(signature)
    body = b'[{"x": 9007199254740993}, {"x": null}]'
    with pytest.raises(DwcpError, match="beyond 2\\*\\*53"):
        invocations.parse(body, content_type="", codec=codec, signature=signature)
