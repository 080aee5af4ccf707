"""What is kept of a run is JSON, and its texts are what they were."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from dwcp_jupyter.pipeline import MLPipeline, PipelineConfig
from dwcp_jupyter.pipeline.as_json import as_json
from dwcp_jupyter.store import schema


def test_values_are_replaced_and_texts_are_not():
    value = {"NaN": "Infinity", "a": [math.nan, -math.inf, np.float32("nan"), np.int64(3), (1.5, True)]}
    assert as_json(value) == {"NaN": "Infinity", "a": [None, None, None, 3, [1.5, True]]}
    assert as_json({"missing": -math.inf}, non_finite=str) == {"missing": "-inf"}
    assert as_json(pd.DataFrame({"a": [1]})) == "DataFrame of shape (1, 1)"


@pytest.mark.parametrize("missing", [math.nan, -math.inf])
def test_a_run_is_kept_as_it_was_whatever_its_names_and_parameters(stores, tmp_path, missing):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"NaN_count": rng.normal(size=200), "b": rng.normal(size=200), "Infinity": 1})
    config = PipelineConfig(
        name="p", data_source=frame.assign(y=frame["b"]), target_column="y", output_dir=tmp_path / "out",
        model_type="xgboost", model_class="XGB", model_params={"n_estimators": 3, "missing": missing},
    )  # fmt: skip
    run = MLPipeline(config, stores).run()
    with stores.metadata.read() as connection:
        kept = schema.load(connection.execute(sa.select(schema.runs.c.record)).scalar_one())
    assert kept["logs"] == run.logs
    assert any("'Infinity' is left out" in line for line in kept["logs"])
    assert kept["hyperparameters"] == {"n_estimators": 3, "missing": str(missing)}
    for path in (tmp_path / "out").glob("*.json"):
        json.loads(path.read_text(), parse_constant=pytest.fail)


def test_metrics_that_are_no_numbers_do_not_stop_a_run_from_being_recorded(stores, tmp_path):
    from dwcp_jupyter.pipeline import RunStatus, records
    from dwcp_jupyter.pipeline.run import PipelineRun

    config = PipelineConfig(name="p")
    run = PipelineRun(run_id="r", config=config, started_at=stores.clock())
    records.start(stores, run)
    run.metrics = {"test_r2": -math.inf, "test_mae": math.nan, "test_rmse": 1.5}
    run.status = RunStatus.COMPLETED
    records.end(stores, run)
    with stores.metadata.read() as connection:
        row = connection.execute(sa.select(schema.runs)).one()
    assert schema.load(row.metrics) == {"test_rmse": 1.5}
    assert schema.load(row.record)["metrics"] == {"test_r2": None, "test_mae": None, "test_rmse": 1.5}
