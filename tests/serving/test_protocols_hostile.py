"""Requests that are small to send and dear to read are refused at once."""

from __future__ import annotations

import pandas as pd
import pytest

from dwcp_jupyter.exceptions import DwcpError
from dwcp_jupyter.flavors import Signature
from dwcp_jupyter.serving.protocols import frames

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
