"""Frames survive any cutting of the stream; strangers are noticed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwcp_jupyter.serving.batching import BatchResult
from dwcp_jupyter.serving.wire import FrameError, Frames, Kind, frame, pack_result, unpack_result


@given(
    bodies=st.lists(st.tuples(st.sampled_from(Kind), st.integers(0, 2**32 - 1), st.binary(max_size=50)), max_size=8),
    cuts=st.lists(st.integers(1, 40), min_size=1, max_size=50),
)
def test_frames_come_out_as_they_went_in_however_the_stream_is_cut(bodies, cuts):
    stream = b"".join(frame(kind, number, body) for kind, number, body in bodies)
    frames, found, place, turn = Frames(), [], 0, 0
    while place < len(stream):
        step = cuts[turn % len(cuts)]
        found += frames.feed(stream[place : place + step])
        place, turn = place + step, turn + 1
    assert found == bodies


@pytest.mark.parametrize("stream", [b"GET / HTTP/1.1\r\n\r\n", b"\0" * 12, b"\xff" * 12])
def test_bytes_that_are_no_frame_are_refused(stream):
    with pytest.raises(FrameError):
        list(Frames().feed(stream))


@pytest.mark.parametrize(
    "values",
    [
        np.array([1, 2], dtype=np.int64),
        np.array([1.5, np.nan]),
        np.array([True, False]),
        np.array(["a", "ä"]),
        np.array(["a", None], dtype=object),
    ],
)
@pytest.mark.parametrize("probabilities", [None, np.array([[0.1, 0.9], [1.0, 0.0]])])
def test_results_keep_their_values_and_types(values, probabilities):
    found = unpack_result(pack_result(BatchResult(values, probabilities)))
    np.testing.assert_array_equal(found.values, values)
    if values.dtype.kind in "bif":
        assert found.values.dtype == values.dtype
    if probabilities is None:
        assert found.probabilities is None
    else:
        np.testing.assert_array_equal(found.probabilities, probabilities)
