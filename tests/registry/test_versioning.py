"""Semantic versions are read strictly, ordered by their standard and bumped by what changed."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwcp_jupyter.exceptions import InvalidVersionError, SignatureError
from dwcp_jupyter.flavors import Column, Signature
from dwcp_jupyter.registry import Bump, SemanticVersion
from dwcp_jupyter.registry.versioning import bump_for

# the order printed in section 11 of semver.org 2.0.0, with releases around it
ORDERED = ["0.9.9", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11",
           "1.0.0-rc.1", "1.0.0", "1.0.1", "1.2.0", "1.10.0", "2.0.0", "10.0.0", "999999999999.0.0"]  # fmt: skip


def test_the_sort_key_follows_the_standard():
    keys = [SemanticVersion.parse(text).sort_key for text in ORDERED]
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)
    assert all(set(key) <= set("0123456789abcdef") for key in keys)


@given(st.tuples(*[st.integers(0, 10**12)] * 3), st.tuples(*[st.integers(0, 10**12)] * 3))
def test_numbers_sort_as_numbers(left, right):
    def key(numbers):
        return SemanticVersion(major=numbers[0], minor=numbers[1], patch=numbers[2]).sort_key

    assert (key(left) < key(right)) == (left < right)


def test_a_leading_v_changes_nothing():
    assert SemanticVersion.parse("v1.0.0-rc.1+build") == SemanticVersion.parse("1.0.0-rc.1+build")
    assert str(SemanticVersion.parse("v1.2.3")) == "1.2.3"


@pytest.mark.parametrize(
    "text", ["1.0", "1", "", "v", "01.0.0", "1.0.0.0", "1.0.0-", "1.0.0-01", "1.0.0+", "١.٠.٠", " 1.0.0", "1.0.0\n",
             "1.0.0/..", "1.0.0-a b", "x" * 10_000, "1.0." + "9" * 10_000, None, 1.0]
)  # fmt: skip
def test_what_is_no_version_is_refused(text):
    with pytest.raises(InvalidVersionError, match="is no semantic version") as caught:
        SemanticVersion.parse(text)
    assert len(str(caught.value)) < 400


def test_the_refusal_proposes_the_nearest():
    with pytest.raises(InvalidVersionError, match=r"for example 1\.4\.0\."):
        SemanticVersion.parse("1.4")


@pytest.mark.parametrize(
    ("version", "part", "expected"),
    [
        ("1.2.3", Bump.MAJOR, "2.0.0"),
        ("1.2.3", Bump.MINOR, "1.3.0"),
        ("1.2.3", Bump.PATCH, "1.2.4"),
        ("1.2.3-rc.1", Bump.PATCH, "1.2.3"),
        ("1.2.3+b", Bump.PATCH, "1.2.4"),
    ],
)
def test_the_next_version(version, part, expected):
    assert str(SemanticVersion.parse(version).next(part)) == expected


@given(st.sampled_from(ORDERED), st.sampled_from([Bump.MAJOR, Bump.MINOR, Bump.PATCH]))
def test_the_next_version_is_higher(text, part):
    version = SemanticVersion.parse(text)
    assert version.next(part).sort_key > version.sort_key


def column(name, type_="float", *, nullable=False):
    return Column(name=name, type=type_, dtype="float64" if type_ == "float" else "int64", nullable=nullable)


BASE = (column("a"), column("b", nullable=True))
OUT = (column("y"),)


@pytest.mark.parametrize(
    ("inputs", "outputs", "expected"),
    [
        (BASE, OUT, Bump.PATCH),
        ((*BASE, column("c", nullable=True)), OUT, Bump.MINOR),
        ((*BASE, column("c")), OUT, Bump.MAJOR),
        (BASE[:1], OUT, Bump.MAJOR),
        ((column("a", "int"), BASE[1]), OUT, Bump.MAJOR),
        ((column("a"), column("b")), OUT, Bump.MAJOR),
        ((column("a", nullable=True), BASE[1]), OUT, Bump.MINOR),
        (BASE, (column("z"),), Bump.MAJOR),
    ],
)
def test_a_broken_call_is_major_and_a_wider_one_minor(inputs, outputs, expected):
    assert bump_for(Signature(inputs=BASE, outputs=OUT), Signature(inputs=inputs, outputs=outputs)) is expected


def array(shape, dtype="float64"):
    return Column(name="a", type="array", dtype=dtype, shape=shape)


def typed(dtype):
    return Column(name="a", type=dtype.strip("u0123456789"), dtype=dtype)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (array((3,)), array((4,)), Bump.MAJOR),
        (array((3,)), array((3, 1)), Bump.MAJOR),
        (array((-1,)), array((3,)), Bump.MAJOR),
        (array((3,)), array((-1,)), Bump.MINOR),
        (array((3,)), array((3,), "string"), Bump.MAJOR),
        (array((3,)), array((3,), "object"), Bump.MINOR),
        (array((3,), "float64"), array((3,), "int64"), Bump.MAJOR),
        (array((3,), "int64"), array((3,), "float32"), Bump.MINOR),
        (typed("int64"), typed("int8"), Bump.MAJOR),
        (typed("int8"), typed("int64"), Bump.MINOR),
        (typed("int8"), typed("uint8"), Bump.MAJOR),
        (typed("uint8"), typed("int16"), Bump.MINOR),
        (typed("float64"), typed("float32"), Bump.MINOR),
        (typed("float32"), typed("float64"), Bump.MINOR),
        (
            Column(name="a", type="string", dtype="string", nullable=True),
            Column(name="a", type="string", dtype="object", nullable=True),
            Bump.MINOR,
        ),
    ],
)
def test_values_that_no_longer_fit_are_major(before, after, expected):
    assert bump_for(Signature(inputs=(before,)), Signature(inputs=(after,))) is expected


def test_what_is_minor_takes_the_largest_value_of_before():
    before, after = Signature(inputs=(typed("uint8"),)), Signature(inputs=(typed("int16"),))
    assert after.conform({"a": [255]})["a"].tolist() == before.conform({"a": [255]})["a"].tolist()
    with pytest.raises(SignatureError, match="outside int8"):
        Signature(inputs=(typed("int8"),)).conform({"a": [255]})


def test_a_signature_that_appears_is_minor():
    signature = Signature(inputs=BASE, outputs=OUT)
    assert bump_for(None, signature) is Bump.MINOR
    assert bump_for(None, None) is Bump.PATCH
    assert all(bump_for(a, b) for a, b in itertools.product((None, signature), repeat=2))
