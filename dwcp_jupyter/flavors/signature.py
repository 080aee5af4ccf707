"""What a model takes and gives: columns by name, with types.

The signature is inferred from data once, kept with the model, and checked at every predict: columns are matched by
their names and never by their order, all faults are reported at once, and only conversions that lose nothing are made.
Values here are plain; pandas is loaded when data are looked at.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

from dwcp_jupyter.exceptions import SignatureError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Column", "ColumnType", "Signature"]


class ColumnType(StrEnum):
    """Kinds of column."""

    BOOL = "bool"
    INT = "int"
    FLOAT = "float"
    STRING = "string"
    TIMESTAMP = "timestamp"
    ARRAY = "array"
    OBJECT = "object"


_DTYPES = {
    ColumnType.INT: re.compile(r"u?int(8|16|32|64)"),
    ColumnType.FLOAT: re.compile(r"float(16|32|64)"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column.

    Attributes
    ----------
    dtype : str
        The NumPy type of the data that it was inferred from, such as ``"float64"``; of a value's elements for arrays.
        Text is ``"string"`` and truth values ``"bool"``, or both ``"object"`` where what is missing was None and not
        NaN. Times are ``"timestamp"``, or
        the pandas type such as ``"datetime64[us, UTC]"``.
    nullable : bool
        Whether a value may be missing.
    shape : tuple of int
        Shape of one value; empty for a scalar. -1 stands for any length.
    categories : tuple or None
        The values of a categorical column in their order, which some models compute with.
    """

    name: str
    type: ColumnType
    dtype: str
    nullable: bool = False
    shape: tuple[int, ...] = ()
    categories: tuple[Any, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "type", ColumnType(self.type))
        if not isinstance(self.name, str) or not isinstance(self.dtype, str):
            raise SignatureError(f"A column's name and dtype are text, not {self.name!r} and {self.dtype!r}.")
        known = _DTYPES.get(self.type)
        if known is not None and not known.fullmatch(self.dtype):
            raise SignatureError(
                f"Column '{self.name}' of type {self.type} cannot have dtype '{self.dtype}'. Use '{self.type}64'.",
                columns=(self.name,),
            )

    @property
    def is_numeric(self) -> bool:
        """Whether its values are scalar numbers or booleans, and no categories."""
        is_number = self.type in {ColumnType.BOOL, ColumnType.INT, ColumnType.FLOAT}
        return is_number and not self.shape and self.categories is None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        record = {
            "name": self.name,
            "type": str(self.type),
            "dtype": self.dtype,
            "nullable": self.nullable,
            "shape": list(self.shape),
        }
        return record if self.categories is None else {**record, "categories": list(self.categories)}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """Return the column that `to_json` wrote."""
        categories = record.get("categories")
        return cls(
            name=record["name"],
            type=ColumnType(record["type"]),
            dtype=record["dtype"],
            nullable=bool(record["nullable"]),
            shape=tuple(map(int, record.get("shape", ()))),
            categories=None if categories is None else tuple(categories),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """Inputs and outputs of a model.

    Examples
    --------
    >>> import pandas as pd
    >>> signature = Signature.infer(pd.DataFrame({"age": [31, 42], "city": ["Rome", None]}))
    >>> [(c.name, str(c.type), c.nullable) for c in signature.inputs]
    [('age', 'int', False), ('city', 'string', True)]
    """

    inputs: tuple[Column, ...]
    outputs: tuple[Column, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", tuple(self.inputs))
        object.__setattr__(self, "outputs", tuple(self.outputs))
        _refuse_repeated(column.name for column in self.inputs)

    @property
    def names(self) -> tuple[str, ...]:
        """The input columns' names, in the order that the model takes."""
        return tuple(column.name for column in self.inputs)

    @classmethod
    def infer(cls, inputs: Any, outputs: Any = None) -> Self:
        """Return the signature of data.

        Parameters
        ----------
        inputs : DataFrame, Arrow table, mapping, list of mappings, or array
            Shape (n_samples, n_features). Columns of an array without names are called ``x0``, ``x1``, …; an array of
            more dimensions is one column of arrays, ``x0``; a list of texts is one column, ``text``.
        outputs : DataFrame, Series or array, optional
            What the model gives for them; a Series or one-dimensional array without a name is called ``prediction``.

        Raises
        ------
        SignatureError
            For repeated names, or data that are no table.
        """
        from dwcp_jupyter.flavors import tables

        columns = tables.infer_columns(tables.to_frame(inputs))
        found = () if outputs is None else tables.infer_columns(tables.to_outputs(outputs))
        return cls(inputs=columns, outputs=found)

    def conform(self, data: Any, *, allow_missing: bool = False) -> pd.DataFrame:
        """Return `data` with exactly the input columns, in their order and types.

        Parameters
        ----------
        data : DataFrame, Arrow table, mapping of values or lists, list of mappings, or array
            An array is taken only where the signature was inferred from one.
        allow_missing : bool
            Whether absent nullable columns are filled with missing values.

        Returns
        -------
        pandas.DataFrame
            Shape (n_samples, n_inputs).

        Raises
        ------
        SignatureError
            It names every column that is missing, unknown, of another type, or has missing values it may not have.
        """
        from dwcp_jupyter.flavors import conforming

        return conforming.conform(self.inputs, data, allow_missing=allow_missing)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "inputs": [column.to_json() for column in self.inputs],
            "outputs": [column.to_json() for column in self.outputs],
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Sequence[Mapping[str, Any]]]) -> Self:
        """Return the signature that `to_json` wrote."""
        return cls(
            inputs=tuple(Column.from_json(column) for column in record["inputs"]),
            outputs=tuple(Column.from_json(column) for column in record.get("outputs", ())),
        )


def _refuse_repeated(names: Iterable[str]) -> None:
    counts = Counter(names)
    repeated = tuple(name for name, count in counts.items() if count > 1)
    if repeated:
        raise SignatureError(f"Columns repeat: {', '.join(map(repr, repeated))}. Rename them first.", columns=repeated)
