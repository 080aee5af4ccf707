"""A small language for searches, and what it means in SQL.

``metrics.test_accuracy >= 0.95 and (tag = 'risk' or not stage = 'archived')``: comparisons of fields with numbers or
texts, joined by ``and``, ``or``, ``not`` and parentheses. Values reach the database as parameters only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import sqlalchemy as sa
from sqlalchemy import ColumnElement
from sqlalchemy.dialects.postgresql import JSONB

from dwcp_jupyter.exceptions import FilterError, did_you_mean
from dwcp_jupyter.store import schema

__all__ = ["Comparison", "Field", "json_number", "of_json", "of_list", "of_text", "parse_filter", "parse_order"]

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*")
  | (?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]))
  | (?P<operator><=|>=|!=|<>|==|=|<|>|\(|\))
  | (?P<word>[^\W\d][\w-]*(?:\.(?:`[^`]+`|[\w./-]*[\w/-]))?)
    )""",
    re.VERBOSE,
)
_OPERATORS: dict[str, Callable[[Any, Any], ColumnElement[bool]]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "like": lambda a, b: a.like(b, escape="\\"),
}
_ALSO = {"==": "=", "<>": "!="}
_DEEPEST = 50
_LONGEST_SHOWN = 500
_WIDEST = 500
"""Databases give up on a condition at about 1,000."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """``field.key operator value``; `key` is empty for a plain field."""

    field: str
    key: str
    operator: str
    value: str | float
    place: int

    def refuse(self, why: str) -> NoReturn:
        """Raise, saying where."""
        raise FilterError(f"At character {self.place + 1}, '{self.field}': {why}")

    def between(self, column: Any) -> ColumnElement[bool]:
        """Return the comparison of a column with the value."""
        return _OPERATORS[self.operator](column, self.value)


Field = Callable[[Comparison], ColumnElement[bool]]
"""What a comparison with a field means."""


def of_text(column: Any, *, fold: Callable[[str], str] = str) -> Field:
    """Return the field of a text column; `fold` brings a value into the column's form."""

    def compare(said: Comparison) -> ColumnElement[bool]:
        if said.key or not isinstance(said.value, str):
            said.refuse(f"compare it with a text in quotes, such as {said.field} = 'x'.")
        return _OPERATORS[said.operator](column, fold(said.value))

    return compare


def of_list(column: Any, *, dialect: str) -> Field:
    """Return the field of a column with a JSON list of texts: ``=`` asks whether the value is in it."""

    def compare(said: Comparison) -> ColumnElement[bool]:
        if said.key or not isinstance(said.value, str) or said.operator not in {"=", "!="}:
            said.refuse(f"write {said.field} = 'x' or {said.field} != 'x'.")
        is_in: ColumnElement[bool]
        if dialect == "duckdb":  # the text tells quickly where to look: all of it was written by `schema.dump`
            wanted = schema.dump(said.value)
            is_in = sa.func.contains(column, wanted) & sa.func.json_contains(column, wanted)
        elif dialect == "postgresql":
            is_in = sa.cast(column, JSONB).contains([said.value])
        else:
            items = sa.func.json_each(column).table_valued("value")
            is_in = sa.exists(sa.select(sa.literal(1)).select_from(items).where(items.c.value == said.value))
        return is_in if said.operator == "=" else sa.not_(is_in)

    return compare


def of_json(column: Any, *, dialect: str) -> Field:
    """Return the field of a column with a JSON object, whose values are named by keys.

    What is not there, or is of another kind than the value, is neither equal nor different: no comparison holds.
    """

    def compare(said: Comparison) -> ColumnElement[bool]:
        if not said.key:
            said.refuse(f"say of what, such as {said.field}.accuracy > 0.9.")
        if _is_unsearchable(said.key):
            said.refuse("a name with a quote or a backslash cannot be searched for.")
        if isinstance(said.value, str):
            return said.between(_json_text(column, said.key, dialect))
        if said.operator == "like":
            said.refuse("like compares with a text in quotes.")
        return said.between(json_number(column, said.key, dialect))

    return compare


def json_number(column: Any, key: str, dialect: str) -> ColumnElement[Any]:
    """Return the number that a JSON object holds under a key; null for anything else."""
    path = _path(key, dialect)
    if dialect == "duckdb":  # a text keeps its quotes, and is no number with them
        return sa.try_cast(sa.cast(sa.func.json_extract(column, path), sa.Text), sa.Double)
    if dialect == "postgresql":
        found = sa.cast(column, JSONB)[key]
        return sa.case((sa.func.jsonb_typeof(found) == "number", sa.cast(found.astext, sa.Double)))
    is_number = sa.func.json_type(column, path).in_(("integer", "real"))
    return sa.case((is_number, sa.func.json_extract(column, path)))


def _json_text(column: Any, key: str, dialect: str) -> ColumnElement[Any]:
    path = _path(key, dialect)
    if dialect == "duckdb":
        is_text = sa.func.json_type(column, path) == "VARCHAR"
        return sa.case((is_text, sa.func.json_extract_string(column, path)))
    if dialect == "postgresql":
        found = sa.cast(column, JSONB)[key]
        return sa.case((sa.func.jsonb_typeof(found) == "string", found.astext))
    return sa.case((sa.func.json_type(column, path) == "text", sa.func.json_extract(column, path)))


def _path(key: str, dialect: str) -> str:
    """Return where a key's value is; of DuckDB's paths the pointer, in which ``*`` is a name as any other."""
    if dialect == "duckdb":
        return "/" + key.replace("~", "~0").replace("/", "~1")
    return f'$."{key}"'


def _is_unsearchable(key: str) -> bool:
    return any(sign in key for sign in '"\\')


def parse_filter(text: str, fields: Mapping[str, Field]) -> ColumnElement[bool]:
    """Return the condition that `text` says.

    Raises
    ------
    FilterError
        If it is none; it says at which character, and which fields there are.

    Examples
    --------
    >>> str(parse_filter("name = 'churn' or name > 'x'", {"name": of_text(schema.models.c.name)}))
    'models.name = :name_1 OR models.name > :name_2'
    """
    return _Parser(text, fields).whole()


def parse_order(text: str, columns: Mapping[str, Any], *, metrics: Any, dialect: str) -> ColumnElement[Any]:
    """Return the order that ``metrics.auc desc`` or a column's name says; rows without a value come last.

    Raises
    ------
    FilterError
        If it is none.
    """
    _check_characters(text)
    field, _, direction = text.strip().partition(" ")
    kind, _, key = field.partition(".")
    direction = direction.strip().lower() or "asc"
    is_metric = kind == "metrics" and bool(key)
    if direction not in {"asc", "desc"} or not (is_metric or field in columns):
        raise FilterError(f"'{text}' is no order. Write {', '.join(columns)} or metrics.NAME, then asc or desc.")
    if is_metric and _is_unsearchable(key):
        raise FilterError(f"'{text}' is no order: by a name with a quote or a backslash nothing can be put in order.")
    column = json_number(metrics, key, dialect) if is_metric else columns[field]
    ordered: ColumnElement[Any] = column.desc() if direction == "desc" else column.asc()
    return ordered.nulls_last()


def _check_characters(text: str) -> None:
    """Raise for characters that no database takes."""
    strange = next((place for place, sign in enumerate(text) if sign == "\0" or "\ud800" <= sign <= "\udfff"), None)
    if strange is not None:
        raise FilterError(
            f"Character {strange + 1} of {text[:_LONGEST_SHOWN]!r} is no character that can be searched for: a NUL, or "
            "half of a surrogate pair. Leave it out."
        )


class _Parser:
    def __init__(self, text: str, fields: Mapping[str, Field]) -> None:
        _check_characters(text)
        self._text, self._fields = text, fields
        self._compared = 0
        self._tokens = self._read()
        self._next = 0
        self._depth = 0

    def _read(self) -> list[tuple[str, str, int]]:
        found, place = [], 0
        end = len(self._text.rstrip())
        while place < end:
            match = _TOKEN.match(self._text, place)
            if match is None:
                rest = self._text[place:].lstrip()
                self._refuse(len(self._text) - len(rest), f"'{rest[:20].rstrip()}' cannot be read")
            kind = str(match.lastgroup)
            found.append((kind, match[kind], match.start(kind)))
            place = match.end()
        return found

    def whole(self) -> ColumnElement[bool]:
        if not self._tokens:
            self._refuse(0, "nothing is asked for")
        condition = self._any()
        if self._next < len(self._tokens):
            self._refuse(
                self._tokens[self._next][2], f"'{self._tokens[self._next][1]}' does not continue the condition"
            )
        return condition

    def _any(self) -> ColumnElement[bool]:
        conditions = [self._all()]
        while self._takes("or"):
            conditions.append(self._all())
        return sa.or_(*conditions) if len(conditions) > 1 else conditions[0]

    def _all(self) -> ColumnElement[bool]:
        conditions = [self._one()]
        while self._takes("and"):
            conditions.append(self._one())
        return sa.and_(*conditions) if len(conditions) > 1 else conditions[0]

    def _one(self) -> ColumnElement[bool]:
        self._depth += 1
        if self._depth > _DEEPEST:
            self._refuse(self._place(), f"nested deeper than {_DEEPEST}")
        if self._takes("not"):
            condition: ColumnElement[bool] = sa.not_(self._one())
        elif self._takes("("):
            condition = self._any()
            if not self._takes(")"):
                self._refuse(self._place(), "a ')' is missing")
        else:
            condition = self._comparison()
        self._depth -= 1
        return condition

    def _comparison(self) -> ColumnElement[bool]:
        kind, word, place = self._take("a field is missing")
        name, _, key = word.partition(".")
        if kind != "word" or name.lower() not in self._fields:
            known = ", ".join(sorted(self._fields))
            self._refuse(place, f"no field '{word}'.{did_you_mean(name.lower(), self._fields)} Fields: {known}")
        kind, sign, at = self._take("an operator is missing")
        operator = _ALSO.get(sign, sign.lower())
        if operator not in _OPERATORS:
            self._refuse(at, f"'{sign}' is no operator. Operators: {', '.join(_OPERATORS)}")
        kind, value, at = self._take("a value is missing")
        if kind not in {"text", "number"}:
            self._refuse(at, f"'{value}' is no value. Put texts in quotes: '{value}'")
        if operator == "like" and (len(value[1:-1]) - len(value[1:-1].rstrip("\\"))) % 2:
            self._refuse(at, f"{value} ends with a backslash that nothing follows. Write two for one")
        self._compared += 1
        if self._compared > _WIDEST:
            self._refuse(place, f"more than {_WIDEST:,} comparisons. Ask for a part of it, several times")
        said = Comparison(
            field=name.lower(),
            key=key.strip("`"),
            operator=operator,
            value=float(value) if kind == "number" else value[1:-1].replace(value[0] * 2, value[0]),
            place=place,
        )
        return self._fields[said.field](said)

    def _place(self) -> int:
        return self._tokens[self._next][2] if self._next < len(self._tokens) else len(self._text)

    def _take(self, otherwise: str) -> tuple[str, str, int]:
        if self._next >= len(self._tokens):
            self._refuse(len(self._text), otherwise)
        self._next += 1
        return self._tokens[self._next - 1]

    def _takes(self, word: str) -> bool:
        if self._next < len(self._tokens):
            kind, found, _ = self._tokens[self._next]
            if kind in {"word", "operator"} and found.lower() == word:
                self._next += 1
                return True
        return False

    def _refuse(self, place: int, why: str) -> NoReturn:
        shown = self._text if len(self._text) <= _LONGEST_SHOWN else f"{self._text[:_LONGEST_SHOWN]}…"
        raise FilterError(
            f"The filter '{shown}' cannot be understood at character {place + 1}: {why}. Write, for example: "
            "metrics.accuracy >= 0.9 and tag = 'risk'"
        )
