"""A run writes where it was told to, and removes nothing that it did not make."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from dwcp_jupyter import flavors
from dwcp_jupyter.exceptions import PipelineConfigError
from dwcp_jupyter.pipeline import MLPipeline, PipelineConfig


@pytest.fixture
def table():
    inputs = pd.DataFrame(np.random.default_rng(0).normal(size=(100, 2)), columns=["a", "b"])
    return inputs.assign(y=inputs["a"] + inputs["b"])


@pytest.fixture
def run(stores, tmp_path, table):
    def run():
        config = PipelineConfig(
            name="p", data_source=table, target_column="y", model_class="Ridge", output_dir=tmp_path / "mine"
        )
        return MLPipeline(config, stores).run()

    return run


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def code(folder, table):
    (folder / "package").mkdir(parents=True)
    (folder / "package" / "code.py").write_text("precious")


def named_as_ours(folder, table):
    code(folder, table)
    (folder / "package" / "model.json").write_text("{}")
    (folder / "model_metadata.json").write_text("{}")


def another_package(folder, table):
    model = LinearRegression().fit(table[["a", "b"]], table["y"])
    flavors.save_model(model, folder / "package", input_example=table[["a", "b"]])


def a_file(folder, table):
    folder.mkdir()
    (folder / "package").write_text("precious")


@pytest.mark.parametrize("prepare", [code, named_as_ours, another_package, a_file])
def test_what_no_run_made_is_not_replaced_and_nothing_is_trained_for_it(run, tmp_path, table, prepare):
    prepare(tmp_path / "mine", table)
    before = content(tmp_path / "mine")
    with pytest.raises(PipelineConfigError, match=r"was not made by a pipeline.*another output_dir"):
        run()
    assert content(tmp_path / "mine") == before


def test_a_link_is_not_followed(run, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "package").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PipelineConfigError, match="was not made by a pipeline"):
        run()


def test_the_package_of_an_earlier_run_is_replaced_unless_somebody_put_something_into_it(run, tmp_path):
    (tmp_path / "mine" / "package").mkdir(parents=True)
    first = run()
    second = run()
    assert second.package_dir == first.package_dir
    flavors.load_model(second.package_dir)
    (second.package_dir / "notes.md").write_text("precious")
    with pytest.raises(PipelineConfigError, match="was changed since"):
        run()
    assert (second.package_dir / "notes.md").read_text() == "precious"


def test_a_folder_put_there_during_the_run_is_not_replaced_either(tmp_path, stores, table):
    config = PipelineConfig(
        name="p", data_source=table, target_column="y", model_class="Ridge", output_dir=tmp_path / "mine"
    )
    made = []

    def put(event):
        if not made:
            made.append(code(tmp_path / "mine", table))

    with pytest.raises(PipelineConfigError, match="was not made by a pipeline"):
        MLPipeline(config, stores).run(progress=put)
    assert content(tmp_path / "mine") == {"package/code.py": b"precious"}


@pytest.mark.parametrize(
    "name", ["../..", "../escaped", "/tmp/x", "a/b", "", ".", "..", "a b", "a\0b", None, 5, "x" * 200]
)
def test_a_name_that_no_folder_and_no_model_could_have_is_refused_at_once(name):
    with pytest.raises(PipelineConfigError, match="is no pipeline name"):
        PipelineConfig(name=name)
    config = PipelineConfig(name="fine")
    with pytest.raises(PipelineConfigError, match="is no pipeline name"):
        config.name = name
    assert config.name == "fine"
