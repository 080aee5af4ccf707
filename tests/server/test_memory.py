from __future__ import annotations

from pathlib import Path

import pytest

from dwcp_jupyter.server.memory import Memory

ROOT, OTHER = Path("/srv/one"), Path("/srv/two")


def test_paths_are_remembered_per_server_root(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "held.json"
    Memory(path).add(ROOT, ROOT / "b" / ".dwcp")
    Memory(path).add(ROOT, ROOT / "a" / ".dwcp")
    Memory(path).add(OTHER, OTHER / ".dwcp")
    assert Memory(path).roots(ROOT) == [ROOT / "a" / ".dwcp", ROOT / "b" / ".dwcp"]
    assert Memory(path).roots(OTHER) == [OTHER / ".dwcp"]


def test_what_is_removed_is_forgotten(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "held.json")
    memory.add(ROOT, ROOT / "a")
    memory.add(ROOT, ROOT / "b")
    memory.remove(ROOT, ROOT / "a")
    assert memory.roots(ROOT) == [ROOT / "b"]
    memory.remove(ROOT, ROOT / "b")
    memory.remove(ROOT, ROOT / "never there")
    assert memory.roots(ROOT) == []


@pytest.mark.parametrize("content", ["", "{", "[]", '{"/srv/one": 5}', "null", "\x00"])
def test_a_damaged_file_counts_as_empty_and_is_replaced(tmp_path: Path, content: str) -> None:
    path = tmp_path / "held.json"
    path.write_text(content)
    memory = Memory(path)
    assert memory.roots(ROOT) == []
    memory.add(ROOT, ROOT / "a")
    assert memory.roots(ROOT) == [ROOT / "a"]


def test_a_folder_that_cannot_be_made_costs_the_memory_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    memory = Memory(tmp_path / "file" / "held.json")
    memory.add(ROOT, ROOT / "a")
    assert memory.roots(ROOT) == []
