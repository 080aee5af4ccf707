"""The package folder: what is written is read back, and a hostile description leads nowhere."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from dwcp_jupyter import hashing
from dwcp_jupyter.exceptions import FlavorError, IntegrityError
from dwcp_jupyter.flavors import Framework, PackageInfo, Signature, check_package, read_example, read_package
from dwcp_jupyter.flavors.package import DESCRIPTION, write_example, write_package

SUM = "0" * 64


def info(**changes):
    values = {
        "flavor": "sklearn",
        "framework": Framework.SKLEARN,
        "framework_version": "1.9",
        "format": "skops",
        "file": "model.skops",
        "sha256": SUM,
    }
    return PackageInfo(**{**values, **changes})


def rewritten(folder, **changes):
    path = folder / DESCRIPTION
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return folder


@pytest.fixture
def folder(tmp_path):
    write_package(tmp_path, info())
    return tmp_path


def test_a_package_whose_file_was_changed_or_removed_is_refused_with_both_sums(tmp_path):
    (tmp_path / "model.skops").write_bytes(b"as saved")
    saved = hashing.sha256_bytes(b"as saved")
    write_package(tmp_path, info(sha256=saved))
    assert check_package(tmp_path) == read_package(tmp_path)
    (tmp_path / "model.skops").write_bytes(b"changed")
    with pytest.raises(IntegrityError) as caught:
        check_package(tmp_path)
    assert (caught.value.expected, caught.value.actual) == (saved, hashing.sha256_bytes(b"changed"))
    assert caught.value.expected in str(caught.value)
    assert caught.value.actual in str(caught.value)
    (tmp_path / "model.skops").unlink()
    with pytest.raises(IntegrityError, match="no such file"):
        check_package(tmp_path)


@pytest.mark.parametrize("classes", [(0, 1), ("no", "yes"), (False, True), (0.5, 1.0), None])
def test_class_labels_keep_their_types(tmp_path, classes):
    write_package(tmp_path, info(classes=classes))
    back = read_package(tmp_path).classes
    assert back == classes
    assert [type(label) for label in back or ()] == [type(label) for label in classes or ()]


def test_labels_of_numpy_become_plain(tmp_path):
    write_package(tmp_path, info(classes=(np.int64(3), np.str_("a"), np.bool_(True))))
    assert [type(label) for label in read_package(tmp_path).classes] == [int, str, bool]


@pytest.mark.parametrize("label", [float("nan"), (1, 2), b"a", None])
def test_a_label_that_json_cannot_hold_is_refused(tmp_path, label):
    with pytest.raises(FlavorError, match="class label"):
        write_package(tmp_path, info(classes=(label,)))


def test_a_description_comes_back_whole(tmp_path):
    whole = info(
        signature=Signature.infer(pd.DataFrame({"a": [1.5], "b": pd.Categorical(["x"])}), [1]),
        task="classification",
        classes=(0, 1),
        packages={"scikit-learn": "1.9.1"},
        detail={"inputs": "frame"},
    )
    write_package(tmp_path, whole)
    assert read_package(tmp_path) == whole


def test_the_same_package_is_the_same_bytes(tmp_path):
    write_package(tmp_path, info())
    first = (tmp_path / DESCRIPTION).read_bytes()
    write_package(tmp_path, info())
    assert (tmp_path / DESCRIPTION).read_bytes() == first


@pytest.mark.parametrize(
    "file",
    ["../model.skops", "/etc/passwd", "a/../../b", "", ".", "..\\up", "a\0b", "x/../../../etc/shadow", "model.json"],
)
def test_a_file_outside_the_folder_is_refused(folder, file):
    with pytest.raises(FlavorError, match=r"no model's file in its folder|cannot be read"):
        read_package(rewritten(folder, file=file))


def test_a_models_file_never_takes_the_place_of_the_description(tmp_path):
    with pytest.raises(FlavorError, match=r"cannot be called 'model\.json'"):
        write_package(tmp_path, info(file="model.json"))


def test_links_out_of_the_folder_are_refused(folder, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    (outside / "model.skops").write_bytes(b"x")
    (folder / "model.skops").symlink_to(outside / "model.skops")
    with pytest.raises(FlavorError, match="no model's file in its folder"):
        read_package(folder)
    (folder / "inner").symlink_to(outside)
    with pytest.raises(FlavorError, match="no model's file in its folder"):
        read_package(rewritten(folder, file="inner/model.skops"))


@pytest.mark.parametrize(
    "changes",
    [
        {"sha256": "../x"},
        {"sha256": None},
        {"file": 5},
        {"flavor": ["sklearn"]},
        {"framework": "cobol"},
        {"signature": {"inputs": [{"name": "a"}]}},
        {"signature": {"inputs": [{"name": 1, "type": "int", "dtype": "int64", "nullable": False}]}},
        {"signature": {"inputs": [{"name": "a", "type": "int", "dtype": "int7", "nullable": False}]}},
        {"signature": [1]},
        {"classes": 5},
        {"packages": "x"},
    ],
)
def test_a_description_of_the_wrong_shape_is_refused(folder, changes):
    with pytest.raises(FlavorError, match="cannot be read"):
        read_package(rewritten(folder, **changes))


@pytest.mark.parametrize("text", ["", "[]", "{}", "5", "null", "\xff", "[" * 100_000])
def test_what_is_no_description_is_refused(folder, text):
    (folder / DESCRIPTION).write_bytes(text.encode("latin-1"))
    with pytest.raises(FlavorError, match="cannot be read"):
        read_package(folder)


def test_a_folder_without_description_is_no_package(tmp_path):
    with pytest.raises(FlavorError, match="no model package"):
        read_package(tmp_path)
    with pytest.raises(FlavorError, match="no model package"):
        read_package(Path("/nowhere/at/all"))


def test_a_newer_format_asks_for_an_upgrade(folder):
    with pytest.raises(FlavorError, match="Upgrade"):
        read_package(rewritten(folder, format_version=2))


@pytest.mark.parametrize("name", ["pickle", "joblib", "pt", "", "SKOPS"])
def test_only_known_formats_are_safe(name):
    assert not info(format=name).is_safe
    assert info(format="skops").is_safe


def test_an_example_comes_back_to_the_last_value(tmp_path):
    frame = pd.DataFrame(
        {
            "f": [1.1, np.nan, np.inf, -np.inf],
            "g": np.array([1.1, 2, 3, 4], dtype="float32"),
            "i": np.array([1, 2, 3, 2**53 + 1]),
            "small": np.array([1, 2, 3, 4], dtype="int8"),
            "b": [True, False, True, True],
            "s": pd.Series(["ü", None, '"', ""], dtype=object),
            "t": pd.to_datetime(["2026-01-01T00:00:00.000001", None, "1999-12-31", None], format="ISO8601").as_unit(
                "us"
            ),
            "z": pd.to_datetime(["2026-01-01", None, "1999-12-31", "2026-01-01"], utc=True),
        }
    )
    write_example(tmp_path, frame)
    assert_frame_equal(read_example(tmp_path), frame)
    json.loads((tmp_path / "input_example.json").read_text(), parse_constant=pytest.fail)


def test_an_example_of_arrays_and_categories_fits_its_signature_again(tmp_path):
    frame = pd.DataFrame({"e": [[1.0, 2.0], [3.0, 4.0]], "c": pd.Categorical(["S", "L"], categories=["S", "M", "L"])})
    signature = Signature.infer(frame)
    write_example(tmp_path, signature.conform(frame))
    back = signature.conform(read_example(tmp_path))
    assert back["e"][1].tolist() == [3.0, 4.0]
    assert back["c"].cat.codes.tolist() == [0, 2]


def test_no_example_is_none_and_a_broken_one_is_an_error(tmp_path):
    assert read_example(tmp_path) is None
    (tmp_path / "input_example.json").write_text('{"columns": ["a"], "dtypes": [], "rows": []}')
    with pytest.raises(FlavorError, match="cannot be read"):
        read_example(tmp_path)
