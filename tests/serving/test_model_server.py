"""Deploying, asking and looking, over real processes."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import subprocess
import sys
import time

import httpx
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeRegressor

from dwcp_jupyter import supervisor
from dwcp_jupyter.exceptions import (
    AmbiguousModelError,
    DeploymentError,
    EndpointExistsError,
    EndpointNotFoundError,
    FlavorError,
    IntegrityError,
    ModelNotFoundError,
    SettingError,
    SignatureError,
    UntrustedArtifactError,
    VersionExistsError,
)
from dwcp_jupyter.serving import ExecutionMode, Lifetime, PredictionRequest
from dwcp_jupyter.serving.replica import _Replica
from dwcp_jupyter.supervisor import EndpointStatus
from tests.serving.conftest import eventually

ROW = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}


@pytest.fixture(scope="module")
def registered(served, iris, classifier):
    features, _ = iris
    return served.register("iris", classifier, features)


@pytest.fixture(scope="module")
def endpoint(served, registered):
    """The compiled endpoint, with two replicas: two gateway processes."""
    return served.server.deploy("iris", "v1.0.0", endpoint_config={"min_replicas": 2})


@pytest.fixture(scope="module")
def native(served, registered):
    return served.server.deploy("iris@1.0.0", name="native", compile="never")


def request(endpoint, **changes):
    return PredictionRequest(endpoint_id=endpoint.id, features={**ROW, **changes}, request_id="r-1")


def test_a_compiled_endpoint_says_so_and_why_and_names_its_onnx_file(served, endpoint):
    assert endpoint.name == "iris-1.0.0"
    assert endpoint.status is EndpointStatus.READY
    assert endpoint.execution is ExecutionMode.COMPILED
    assert "agrees on all 150 rows" in endpoint.reason
    assert served.stores.artifacts.exists(endpoint.onnx_sha256)
    assert endpoint.replicas == 2
    assert repr(endpoint) == "Endpoint(iris-1.0.0, iris@1.0.0, compiled, ready)"
    assert "iris@1.0.0" in endpoint._repr_mimebundle_()["text/html"]
    assert endpoint.token not in repr(endpoint._repr_mimebundle_()) + repr(endpoint)


def test_compiled_and_native_agree_on_rows_outside_the_sample(served, endpoint, native, iris, classifier):
    features, _ = iris
    rng = np.random.default_rng(3)
    rows = features.sample(60, replace=True, random_state=3) + rng.normal(0, 0.2, (60, 4))
    compiled = served.server.invoke_batch(endpoint.id, rows, batch_size=60)[0]
    own = served.server.invoke_batch(native.id, rows, batch_size=60)[0]
    assert compiled.predictions == own.predictions == classifier.predict(rows).tolist()
    np.testing.assert_allclose(compiled.probabilities, own.probabilities, atol=1e-5)
    np.testing.assert_allclose(own.probabilities, classifier.predict_proba(rows), atol=1e-12)


def test_the_guides_calls_run_as_printed(served, registered, endpoint):
    async def scenario():
        response = await served.server.predict(request(endpoint))
        assert response.predictions[0] == "setosa"
        assert response.probabilities[0] if response.probabilities else None
        assert float(f"{response.latency_ms:.2f}") >= 0
        assert (response.request_id, response.model_version) == ("r-1", "1.0.0")
        batches = await served.server.batch_predict(endpoint_id=endpoint.id, features_batch=[ROW] * 25, batch_size=10)
        return [len(batch.predictions) for batch in batches]

    assert asyncio.run(scenario()) == [10, 10, 5]


def test_figures_are_merged_over_all_gateways(served, endpoint):
    before = served.server.get_endpoint_metrics(endpoint.id)
    for _ in range(20):  # a new connection each: they spread over both processes
        served.post(f"/invocations/{endpoint.name}", ROW)
    metrics = served.server.get_endpoint_metrics(endpoint.id)
    assert metrics["requests"] - before.requests == 20
    assert metrics.current_replicas == 2
    assert metrics["avg_latency_ms"] > 0
    assert f"{metrics['error_rate']:.2%}" == "0.00%"
    scraped = httpx.get(
        endpoint.url.partition("/invocations")[0] + f"/dwcp/metrics/{endpoint.name}",
        headers={"Authorization": f"Bearer {endpoint.token}"},
    ).json()
    assert scraped["current_replicas"] == 2


def test_what_does_not_fit_raises_the_packages_own_errors(served, endpoint, native):
    with pytest.raises(SignatureError) as caught:
        served.server.invoke(request(endpoint, petal_width="wide"))
    assert caught.value.columns == ("petal_width",)
    with pytest.raises(EndpointNotFoundError, match=r"Did you mean 'iris-1\.0\.0'"):
        served.server.invoke(PredictionRequest(endpoint_id="iris-1.0.O", features=ROW))
    with pytest.raises(EndpointNotFoundError, match="Did you mean"):
        served.server.get_endpoint_metrics("natve")
    with pytest.raises(SignatureError, match="no rows"):
        served.server.invoke_batch(endpoint.id, [])


def test_predictions_are_logged_with_what_was_sent(served, endpoint):
    asked = PredictionRequest(
        endpoint_id=endpoint.id, features=ROW, request_id="logged-1", entity_key="ann@example.org"
    )
    answer = served.server.invoke(asked)
    log = served.server.prediction_log(endpoint.id)
    query = "SELECT * FROM predictions WHERE request_id = 'logged-1'"
    (row,) = eventually(lambda: log.query(query).to_pylist())
    assert row["features"] == ROW
    assert row["prediction"] == answer.predictions[0]
    assert row["probabilities"] == pytest.approx(answer.probabilities[0])
    assert row["endpoint"] == endpoint.name
    assert "ann" not in row["entity_key"]
    assert row["latency_ms"] > 0


def test_every_request_leaves_one_line_in_the_access_log(served, endpoint):
    served.post(f"/invocations/{endpoint.name}", ROW, **{"X-Request-Id": "in-the-log"})
    path = served.root / "logs" / "access.log"
    eventually(path.exists)
    line = eventually(lambda: [line for line in path.read_text().splitlines() if "id=in-the-log" in line])
    assert len(line) == 1
    assert " 200 " in line[0]


@pytest.mark.parametrize("header", [None, "Bearer no"])
def test_a_stranger_is_refused(endpoint, header):
    headers = {} if header is None else {"Authorization": header}
    assert httpx.post(endpoint.url, json=ROW, headers=headers).status_code == 401


def test_the_token_is_the_owners_alone(served, endpoint):
    assert (served.root / "run" / "token").stat().st_mode & 0o077 == 0


def test_endpoints_are_listed(served, endpoint, native):
    listed = served.server.list_endpoints()
    assert [item.name for item in listed] == sorted(item.name for item in listed)
    assert {"iris-1.0.0", "native"} <= {item.name for item in listed}
    assert "native" in listed._repr_mimebundle_()["text/plain"]


def test_deploying_what_is_not_there_says_what_was_meant(served, registered):
    with pytest.raises(ModelNotFoundError, match="Did you mean 'iris'"):
        served.server.deploy("irsi", "1.0.0")
    with pytest.raises(ModelNotFoundError, match=r"It has: 1\.0\.0"):
        served.server.deploy("iris", "2.0.0")


def test_unknown_and_impossible_settings_are_refused(served, registered):
    with pytest.raises(SettingError, match="Did you mean 'min_replicas'"):
        served.server.deploy("iris", "1.0.0", endpoint_config={"min_replica": 2})
    for wrong in ({"min_replicas": 0}, {"min_replicas": 3, "max_replicas": 2}, {"target_cpu": 7}, {"timeout_s": "x"}):
        with pytest.raises(SettingError):
            served.server.deploy("iris", "1.0.0", endpoint_config=wrong)


def test_a_bare_name_with_several_versions_is_refused_for_a_deploy(served, registered, iris, classifier):
    served.register("twice", classifier, iris[0])
    served.register("twice", classifier, iris[0], version="1.1.0")
    with pytest.raises(AmbiguousModelError):
        served.server.deploy("twice")


def test_a_lifetime_nobody_can_give_is_refused(served, registered):
    with pytest.raises(DeploymentError, match="dwcp serve"):
        served.server.deploy("iris", "1.0.0", name="x", lifetime="server")


def test_a_model_with_text_columns_is_served_by_name_and_logged(served, houses):
    price = houses["size"] * 3 + houses["rooms"] * 10 + houses["garden"] * 5 + (houses["town"] == "Bern") * 50
    encode = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["town"]), remainder="passthrough")
    model = make_pipeline(encode, LinearRegression()).fit(houses, price)
    served.register("houses", model, houses)
    endpoint = served.server.deploy("houses", "1.0.0")
    row = {"town": "Bern", "garden": True, "rooms": 3, "size": 100.5}
    answer = served.server.invoke(PredictionRequest(endpoint_id=endpoint.id, features=row))
    expected = model.predict(houses.iloc[:1].assign(**row))[0]
    assert answer.predictions[0] == pytest.approx(expected, rel=1e-4)
    assert answer.probabilities is None
    with pytest.raises(SignatureError) as caught:
        served.server.invoke(PredictionRequest(endpoint_id=endpoint.id, features={**row, "town": 7}))
    assert caught.value.columns == ("town",)
    log = served.server.prediction_log(endpoint.id)
    (logged,) = eventually(lambda: log.read().to_pylist())
    assert logged["features"] == row
    served.server.undeploy("houses-1.0.0")


def test_xgboost_is_compiled_where_its_answers_agree(served, iris):
    from xgboost import XGBClassifier

    features, species = iris
    model = XGBClassifier(n_estimators=20, max_depth=3).fit(features, species.astype("category").cat.codes)
    served.register("boosted", model, features)
    endpoint = served.server.deploy("boosted", "1.0.0")
    answers = served.server.invoke_batch(endpoint.id, features, batch_size=150)[0]
    assert endpoint.execution is ExecutionMode.COMPILED
    assert answers.predictions == model.predict(features).tolist()
    np.testing.assert_allclose(answers.probabilities, model.predict_proba(features), atol=1e-4)
    served.server.undeploy(endpoint.id)


def test_a_model_that_float32_changes_stays_native_and_the_endpoint_says_why(served):
    large = pd.DataFrame({"x": 16777216.0 + np.arange(100)})
    model = LinearRegression().fit(large, np.arange(100.0))
    served.register("large", model, large)
    with pytest.raises(DeploymentError, match="in float32, answers"):
        served.server.deploy("large", "1.0.0", compile="always")
    endpoint = served.server.deploy("large", "1.0.0")
    assert endpoint.execution is ExecutionMode.NATIVE
    assert "in float32, answers" in endpoint.reason
    answer = served.server.invoke(PredictionRequest(endpoint_id=endpoint.id, features={"x": 16777216.0 + 51}))
    assert answer.predictions == pytest.approx([51.0], abs=1e-3)
    served.server.undeploy(endpoint.id)


# -- files


@pytest.fixture(scope="module")
def pickled(tmp_path_factory, iris, classifier):
    path = tmp_path_factory.mktemp("files") / "model.pkl"
    path.write_bytes(pickle.dumps(classifier))
    path.chmod(0o600)
    return path


def test_a_deploy_by_path_registers_the_file_and_reuses_equal_bytes(served, pickled, tmp_path):
    async def scenario():
        return await served.server.deploy_model(
            model_id="by_path", model_version="v1.0.0", model_path=str(pickled), framework="sklearn"
        )

    endpoint_id = asyncio.run(scenario())
    assert isinstance(endpoint_id, str)
    response = served.server.invoke(PredictionRequest(endpoint_id=endpoint_id, features=ROW))
    assert response.predictions == ["setosa"]
    assert served.registry.get_model("by_path@1.0.0").stage == "development"
    again = served.server.deploy("by_path", "1.0.0", model_path=pickled, framework="sklearn")
    assert again.id == endpoint_id
    other = tmp_path / "other.pkl"
    other.write_bytes(pickled.read_bytes() + b"\0")
    other.chmod(0o600)
    with pytest.raises(VersionExistsError):
        served.server.deploy("by_path", "1.0.0", model_path=other, framework="sklearn")
    kinds = [event.kind for event in served.stores.metadata.events(kinds=["trust.decided"])]
    assert kinds
    served.server.undeploy(endpoint_id)


def test_a_pickle_from_elsewhere_is_refused_with_the_line_that_allows_it(served, pickled, tmp_path):
    foreign = tmp_path / "foreign.pkl"
    foreign.write_bytes(pickled.read_bytes())
    foreign.chmod(0o666)
    with pytest.raises(UntrustedArtifactError) as caught:
        served.server.deploy("foreign", "1.0.0", model_path=foreign, framework="sklearn")
    assert "trust=" in str(caught.value)
    assert caught.value.sha256 in str(caught.value)


def test_a_function_is_served_natively_by_the_decision_that_the_endpoint_is_bound_to(served, iris, classifier):
    features, species = iris
    tree = DecisionTreeRegressor(max_depth=3).fit(features, species.factorize()[0])

    def sure(frame):
        return classifier.predict_proba(frame).max(axis=1) * (tree.predict(frame) >= 0)

    version = served.register("sure", sure, features)
    with pytest.raises(UntrustedArtifactError) as caught:
        served.server.deploy("sure", "1.0.0")
    assert f"server.deploy('sure@1.0.0', trust='{caught.value.sha256}')" in str(caught.value)
    assert "sure-1.0.0" not in {item.name for item in served.server.list_endpoints()}
    endpoint = served.server.deploy("sure", "1.0.0", trust=caught.value.sha256)
    assert (version.framework, endpoint.execution) == ("python_function", ExecutionMode.NATIVE)
    assert "served by their own library" in endpoint.reason
    said = served.server.invoke_batch(endpoint.id, features, batch_size=150)[0]
    np.testing.assert_allclose(said.predictions, sure(features), atol=1e-12)
    served.server.undeploy(endpoint.id)


def test_changed_bytes_of_the_package_are_refused_with_both_sums(served, iris, classifier):
    features, _ = iris
    version = served.register("tampered", classifier.__class__(C=0.5, max_iter=300).fit(*iris), features)
    manifest = json.loads(served.stores.artifacts.read(version.sha256))
    blob = next(item for item in manifest["files"] if item["path"].endswith(".skops"))
    path = served.root / "artifacts" / "sha256" / blob["sha256"][:2] / blob["sha256"][2:]
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(IntegrityError) as caught:
        served.server.deploy("tampered", "1.0.0")
    assert caught.value.expected in str(caught.value)
    assert caught.value.actual in str(caught.value)
    assert "tampered-1.0.0" not in {item.name for item in served.server.list_endpoints()}


def test_an_endpoint_that_does_not_come_up_leaves_nothing_and_says_why(served, registered, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(DeploymentError) as caught:
        served.server.deploy("iris", "1.0.0", name="broken", compile="never", timeout_s=20)
    assert "'broken' did not come up" in str(caught.value)
    assert "broken" not in {item.name for item in served.server.list_endpoints()}
    events = [event.kind for event in served.stores.metadata.events(subject="endpoint:broken")]
    assert events == ["endpoint.deployed", "endpoint.removed"]


def test_undeploying_ends_the_endpoint_and_says_so(served, registered):
    endpoint = served.server.deploy("iris", "1.0.0", name="short")
    asyncio.run(served.server.undeploy_model("short"))
    assert "short" not in {item.name for item in served.server.list_endpoints()}
    with pytest.raises(EndpointNotFoundError):
        served.server.undeploy("short")
    deadline = time.monotonic() + 30
    with pytest.raises(EndpointNotFoundError):  # noqa: PT012
        while time.monotonic() < deadline:  # what is in flight is still answered
            served.server.invoke(request(endpoint))


CALLER = """
import sys
from dwcp_jupyter.serving import ModelServer, PredictionRequest
server = ModelServer(sys.argv[1], environ={})
endpoint = server.deploy("iris", "1.0.0", name=sys.argv[2])
print(endpoint.status, flush=True)
sys.stdin.read()
"""


def test_an_endpoint_of_another_live_caller_is_refused_by_its_pid_and_ends_with_it(served, registered):
    caller = subprocess.Popen(
        [sys.executable, "-c", CALLER, str(served.root), "theirs"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ},
    )
    try:
        assert caller.stdout.readline().strip() == "ready"
        theirs = served.server.get_endpoint("theirs")
        assert theirs.lifetime is Lifetime.CALLER
        assert served.server.invoke(request(theirs)).predictions == ["setosa"]
        with pytest.raises(EndpointExistsError, match=str(caller.pid)):
            served.server.deploy("iris", "1.0.0", name="theirs")
    finally:
        caller.kill()
        caller.wait()
    eventually(lambda: "theirs" not in {item.name for item in served.server.list_endpoints()})


def test_a_second_workspace_object_sees_the_same_endpoints(served, endpoint):
    from dwcp_jupyter.serving import ModelServer

    other = ModelServer(served.root, environ={})
    assert other.invoke(request(endpoint)).predictions == ["setosa"]
    assert supervisor.find(served.root) is not None


@pytest.mark.parametrize("mode", ["auto", "never"])
def test_a_model_with_several_outputs_answers_one_list_per_row(served, mode):
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0, 5.0], "b": [1.0, 0.0, 1.0, 2.0]})
    model = LinearRegression().fit(frame, np.column_stack([frame["a"], 2 * frame["b"]]))
    name = f"both-{mode}"
    served.register(name, model, frame)
    endpoint = served.server.deploy(name, "1.0.0", name=name, compile=mode)
    rows = pd.DataFrame({"a": [1.0, 3.0], "b": [2.0, 5.0]})
    (answer,) = served.server.invoke_batch(endpoint.id, rows, batch_size=2)
    np.testing.assert_allclose(answer.predictions, [[1.0, 4.0], [3.0, 10.0]], atol=1e-4)
    tensors = [{"name": "a", "shape": [1], "datatype": "FP64", "data": [1.0]}]
    tensors += [{"name": "b", "shape": [1], "datatype": "FP64", "data": [2.0]}]
    (output,) = served.post(f"/v2/models/{name}/infer", {"inputs": tensors}).json()["outputs"]
    assert output["shape"] == [1, 2]
    np.testing.assert_allclose(output["data"], [1.0, 4.0], atol=1e-4)
    base, headers = endpoint.url.partition("/invocations")[0], {"Authorization": f"Bearer {endpoint.token}"}
    assert httpx.get(f"{base}/v2/models/{name}", headers=headers).json()["outputs"][0]["shape"] == [-1, 2]
    log = served.server.prediction_log(endpoint.id)
    logged = eventually(lambda: (table := log.read()).num_rows == 3 and table)
    np.testing.assert_allclose(logged["prediction"].to_pylist()[0], [1.0, 4.0], atol=1e-4)


class Sparing:
    """A loaded model that answers one row, however many it is asked."""

    def __init__(self, loaded):
        self.signature = loaded.signature
        self.conform = loaded.conform
        self._predict = loaded.predict_conformed

    def predict_conformed(self, frame):
        return self._predict(frame.head(1))


def test_a_model_that_loses_rows_does_not_come_up(compiled_iris, iris):
    loaded, _ = compiled_iris
    replica = _Replica(None, Sparing(loaded), None)
    replica.warm(iris[0].head(1))
    with pytest.raises(FlavorError, match="answers 1 rows to 2"):
        replica.warm(iris[0].head(2))
