"""TypeScript types of the control plane, derived from its OpenAPI document.

The panel in ``labextension/`` compiles against what this prints, so that a field which the server renames is an error
at build time. ``python -m dwcp_jupyter.server.typescript`` rewrites the file after the document changed; a test
compares both. It knows the parts of JSON Schema that the document uses and refuses all others.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dwcp_jupyter.server.openapi import load_document

__all__ = ["main", "render"]

_HEAD = (
    "// Made from dwcp_jupyter/server/openapi.yaml by `python -m dwcp_jupyter.server.typescript`; not to be edited.\n"
)
_SCALARS = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}


def render(document: Mapping[str, Any]) -> str:
    """Return the TypeScript module of all schemas in `document`, ordered by name."""
    schemas = document["components"]["schemas"]
    return _HEAD + "".join(f"\n{_declaration(name, schemas[name])}" for name in sorted(schemas))


def _declaration(name: str, schema: Mapping[str, Any]) -> str:
    comment = _comment(schema, indent="")
    if schema.get("type") != "object":
        return f"{comment}export type {name} = {_expression(schema)};\n"
    required = set(schema["required"])
    lines = []
    for field, content in schema["properties"].items():
        mark = "" if field in required else "?"
        lines.append(f"{_comment(content, indent='  ')}  readonly {field}{mark}: {_expression(content)};\n")
    return f"{comment}export interface {name} {{\n{''.join(lines)}}}\n"


def _comment(schema: Mapping[str, Any], *, indent: str) -> str:
    return f"{indent}/** {schema['description']} */\n" if "description" in schema else ""


def _expression(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "oneOf" in schema:
        return " | ".join(_expression(choice) for choice in schema["oneOf"])
    if "enum" in schema:
        return " | ".join(f"'{value}'" for value in schema["enum"])
    kind = schema["type"]
    if kind == "array":
        return f"readonly {_expression(schema['items'])}[]"
    return _record(schema) if kind == "object" else _scalar(kind)


def _record(schema: Mapping[str, Any]) -> str:
    values = schema["additionalProperties"]
    return f"Readonly<Record<string, {'unknown' if values is True else _expression(values)}>>"


def _scalar(kind: str | list[str]) -> str:
    return " | ".join(_SCALARS[choice] for choice in ([kind] if isinstance(kind, str) else kind))


def main(arguments: list[str]) -> int:
    """Write the types to the file named, by default the one of the labextension."""
    default = Path(__file__).parents[2] / "labextension" / "src" / "api.ts"
    target = Path(arguments[0]) if arguments else default
    target.write_text(render(load_document()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
