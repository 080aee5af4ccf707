"""A compiled model in the gateway answers as its parity was proved."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from dwcp_jupyter import flavors
from dwcp_jupyter.flavors.compile import run
from dwcp_jupyter.flavors.onnx import open_session
from dwcp_jupyter.serving.encoding import codec_for
from dwcp_jupyter.serving.gateway.compiled import OnnxModel
from dwcp_jupyter.serving.protocols.invocations import parse


@pytest.fixture(scope="module")
def mixed(houses, tmp_path_factory):
    """A pipeline over texts and numbers, some of them missing: (loaded, compilation, rows)."""
    rows = houses.copy()
    rows.loc[::7, "size"] = np.nan
    rows.loc[::5, "town"] = None
    target = (houses["rooms"] > 4).map({True: "large", False: "small"})
    prepare = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["town"]), (SimpleImputer(), ["size"]), remainder="passthrough"
    )
    model = make_pipeline(prepare, LogisticRegression(max_iter=2000)).fit(rows, target)
    folder = tmp_path_factory.mktemp("mixed") / "package"
    flavors.save_model(model, folder, input_example=rows)
    loaded = flavors.load_model(folder, trust="none")
    compilation = flavors.compile_onnx(loaded, rows)
    assert compilation.onnx is not None, compilation.reason
    return loaded, compilation, rows


def test_texts_numbers_and_what_is_missing_reach_the_graph_as_in_the_proof(mixed):
    loaded, compilation, rows = mixed
    codec = codec_for(loaded.signature)
    records = json.loads(rows.to_json(orient="records"))
    request = parse(json.dumps(records).encode(), content_type="", codec=codec, signature=loaded.signature)
    found = OnnxModel(compilation.onnx, layout=compilation.layout, codec=codec).run(request.payload)
    proved = run(
        open_session(compilation.onnx), loaded.conform(rows), loaded.signature, compilation.layout, classes=None
    )
    assert found.values.tolist() == proved.values.tolist() == loaded.predict(rows).values.tolist()
    np.testing.assert_array_equal(found.probabilities, proved.probabilities)
    np.testing.assert_allclose(found.probabilities, loaded.predict(rows).probabilities, atol=1e-4)


@pytest.mark.parametrize("place", [0, 3, 5])
def test_one_row_alone_answers_as_within_its_batch(mixed, place):
    loaded, compilation, rows = mixed
    codec = codec_for(loaded.signature)
    model = OnnxModel(compilation.onnx, layout=compilation.layout, codec=codec)
    together = model.run(codec.from_frame(loaded.conform(rows)))
    alone = model.run(codec.from_frame(loaded.conform(pd.DataFrame(rows.iloc[place : place + 1]))))
    np.testing.assert_allclose(alone.probabilities[0], together.probabilities[place], atol=1e-6)
