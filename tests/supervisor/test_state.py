from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwcp_jupyter.supervisor.state import (
    Gateway,
    ProcessSpec,
    ProcessState,
    ProcessStatus,
    Spec,
    State,
    read_state,
    write_state,
)

TEXT = st.text(max_size=20)
PROCESSES = st.builds(
    ProcessSpec,
    key=TEXT,
    argv=st.lists(TEXT).map(tuple),
    env=st.dictionaries(TEXT, TEXT),
    count=st.integers(0, 9),
    listens=st.booleans(),
    ready_timeout_s=st.floats(0.1, 1e6),
)
SPECS = st.builds(Spec, endpoint=st.dictionaries(TEXT, TEXT), processes=st.lists(PROCESSES).map(tuple))
STATES = st.builds(
    State,
    sequence=st.integers(0, 2**40),
    gateway=st.none() | st.builds(Gateway, host=TEXT, port=st.integers(1, 65535)),
    endpoints=st.lists(st.dictionaries(TEXT, TEXT)).map(tuple),
    processes=st.lists(
        st.builds(
            ProcessState,
            key=TEXT,
            index=st.integers(0, 9),
            generation=st.integers(0, 9),
            pid=st.none() | st.integers(1, 99999),
            status=st.sampled_from(ProcessStatus),
            socket=TEXT,
        )
    ).map(tuple),
)


@given(SPECS)
def test_a_spec_survives_json(spec: Spec) -> None:
    assert Spec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


@given(STATES)
def test_a_state_survives_json(state: State) -> None:
    assert State.from_json(json.loads(json.dumps(state.to_json()))) == state


def test_fields_of_a_newer_release_are_left_aside() -> None:
    record = {"key": "k", "argv": ["python"], "shared": True, "niceness": 3}
    assert ProcessSpec.from_json(record) == ProcessSpec(key="k", argv=("python",))


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"sequence": 1}', "null"])
def test_a_state_file_that_cannot_be_read_is_an_empty_state(tmp_path: Path, content: str) -> None:
    (tmp_path / "state.json").write_text(content)
    assert read_state(tmp_path / "state.json") == State()
    assert read_state(tmp_path / "none.json") == State()


def test_a_write_that_fails_leaves_the_former_state_and_no_other_file(tmp_path: Path) -> None:
    target = tmp_path / "state.json"
    target.mkdir()  # a folder cannot be replaced by a file
    with pytest.raises(OSError, match="directory"):
        write_state(target, State(sequence=2))
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_only_ready_processes_of_the_key_may_get_work() -> None:
    processes = [
        ProcessState(key=key, index=index, generation=1, pid=1, status=status)
        for index, (key, status) in enumerate(
            [("a", ProcessStatus.READY), ("a", ProcessStatus.DRAINING), ("b", ProcessStatus.READY)]
        )
    ]
    assert State(processes=tuple(processes)).ready("a") == (processes[0],)
