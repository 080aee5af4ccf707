"""Data to compare with, from whatever a notebook holds."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa

from dwcp_jupyter.flavors import tables
from dwcp_jupyter.flavors.signature import Signature

__all__ = ["to_reference"]


def to_reference(data: Any, signature: Signature | None) -> pd.DataFrame | pa.Table:
    """Return `data` as a data frame, an Arrow table as it is.

    Columns without names, as those of an array, take the names of the model's inputs by their order.

    Raises
    ------
    SignatureError
        For what is no table, and for another number of columns without names than the model has inputs.
    """
    if isinstance(data, (pd.DataFrame, pa.Table)):
        return data
    return tables.to_named_frame(data, None if signature is None else signature.names)
