"""Places for artifacts that there are not."""

import pytest

from dwcp_jupyter.exceptions import WorkspaceError
from dwcp_jupyter.store.filesystems import Place


def test_an_unknown_protocol_is_refused_with_the_setting_and_the_known_ones():
    with pytest.raises(WorkspaceError, match=r"no file system is known for 's4'.* DWCP_ARTIFACT_URL .* s3, sftp"):
        _ = Place("s4://bucket/models").filesystem
