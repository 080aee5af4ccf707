"""Settings that cannot be read say what they could be."""

import pytest

from dwcp_jupyter import config
from dwcp_jupyter.exceptions import SettingError


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("DWCP_REQUIRE_SIGNATURE", "yes please", "true or false"),
        ("DWCP_MAX_QUEUE", "many", "a whole number"),
        ("DWCP_LEASE_TIMEOUT_S", "soon", "a number"),
    ],
)
def test_a_setting_that_cannot_be_read_says_what_it_takes(name, text, wanted):
    with pytest.raises(SettingError) as caught:
        config.load(environ={name: text})
    assert str(caught.value) == f"{name}='{text}' cannot be read. Set it to {wanted}."


def test_settings_are_read_as_what_they_are():
    found = config.load(environ={"DWCP_REQUIRE_SIGNATURE": "true", "DWCP_MAX_QUEUE": "7"})
    assert (found.require_signature, found.max_queue) == (True, 7)
