from __future__ import annotations

from pathlib import Path

import pytest

from dwcp_jupyter.server import typescript
from dwcp_jupyter.server.openapi import load_document

COMMITTED = Path(__file__).parents[2] / "labextension" / "src" / "api.ts"


def test_the_panel_is_compiled_against_the_types_of_this_document() -> None:
    assert COMMITTED.read_text() == typescript.render(load_document()), (
        "The OpenAPI document changed. Run: python -m dwcp_jupyter.server.typescript"
    )


def test_the_file_is_written_where_it_is_asked_for(tmp_path: Path) -> None:
    assert typescript.main([str(tmp_path / "api.ts")]) == 0
    assert (tmp_path / "api.ts").read_text() == COMMITTED.read_text()


@pytest.mark.parametrize("schema", [{"type": "date"}, {"anyOf": []}, {"type": "object"}])
def test_what_the_translator_does_not_know_is_refused(schema: dict[str, object]) -> None:
    document = {"components": {"schemas": {"A": {"type": "object", "required": [], "properties": {"x": schema}}}}}
    with pytest.raises(KeyError):
        typescript.render(document)
