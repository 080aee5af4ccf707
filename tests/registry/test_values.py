"""What versions and lists of them show."""

from dwcp_jupyter.flavors import Column, ColumnType, Signature
from dwcp_jupyter.registry import ModelVersion
from dwcp_jupyter.registry.stages import Stage
from dwcp_jupyter.registry.values import ModelList, VersionList


def version(number="1.0.0", **said):
    return ModelVersion(id=number, model_id="m", name="wide", version=number, stage=Stage.DEVELOPMENT, **said)


def with_inputs(count):
    columns = tuple(Column(name=f"x{place}", type=ColumnType.FLOAT, dtype="float64") for place in range(count))
    return version(signature=Signature(inputs=columns))


def test_a_long_signature_is_folded():
    text, html = with_inputs(64)._repr_mimebundle_().values()
    assert "… and 52 more" in text
    assert "x12" not in text
    assert html.index("x11<") < html.index("<details") < html.index("x12<") < html.index("x63<")


def test_a_short_signature_is_shown_as_a_whole():
    text, html = with_inputs(12)._repr_mimebundle_().values()
    assert "more" not in text
    assert "<details" not in html


def test_versions_know_by_what_they_were_chosen():
    versions = VersionList([version("2.0.0", tags=("b",)), version("1.0.0", tags=("a",), sha256="0" * 64)])
    assert [v.version for v in versions.only(tag="a")] == ["1.0.0"]
    assert versions.only() == versions
    nothing = versions.only(stage="staging", tag="a")
    assert "No version has the stage 'staging' and the tag 'a'." in nothing._view().to_text()
    assert versions._view().to_text().count("(draft)") == 1


def test_an_empty_list_tells_a_filter_from_an_empty_workspace():
    assert "There is no model yet" in ModelList()._view().to_text()
    assert "No model has the tag 'zz'." in ModelList(wanted={"tag": "zz"})._view().to_text()
