"""What is said of the installation is what is installed."""

from importlib import metadata

from dwcp_jupyter.workspace.reports import versions


def test_a_library_is_found_whatever_its_package_is_called():
    import xgboost

    assert versions().libraries["xgboost"] == xgboost.__version__


def test_a_library_by_its_own_name():
    assert versions().libraries["duckdb"] == metadata.version("duckdb")
