"""What is no table is said once, and as a sentence."""

import numpy as np
import pytest

from dwcp_jupyter.exceptions import SignatureError
from dwcp_jupyter.flavors.tables import to_frame


@pytest.mark.parametrize("data", [5, "five", None, {"a": [1], "b": [1, 2]}, [[1], [1, 2]], np.array(3)])
def test_what_is_no_table_is_refused_in_whole_sentences(data):
    with pytest.raises(SignatureError, match="no table") as caught:
        to_frame(data)
    assert ".." not in str(caught.value)
    assert str(caught.value).count("no table") == 1
