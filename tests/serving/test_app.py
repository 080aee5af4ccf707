"""The gateway's application: authentication, limits, ids, errors, pages."""

from __future__ import annotations

import asyncio
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dwcp_jupyter.serving.endpoints import EndpointConfig
from tests.serving.conftest import describe, gateway_with

ROW = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}
PATH = "/invocations/iris"


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer wrong", "Basic a-token", "a-token", "Bearer a-token-and-more"]
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", PATH),
        ("POST", "/v2/models/iris/infer"),
        ("GET", "/v2/models/iris"),
        ("GET", "/dwcp/metrics"),
        ("GET", "/openapi.json"),
        ("GET", "/nothing"),
    ],
)
def test_without_the_token_every_route_is_refused_in_json(ask, header, method, path):
    (response,) = ask((method, path, {"json": ROW, "headers": {"Authorization": header}}))
    assert response.status_code == 401
    assert "Authorization: Bearer" in response.json()["error"]
    assert response.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "token"])
def test_both_schemes_of_the_token_are_taken(ask, scheme):
    (response,) = ask(("POST", PATH, {"json": ROW, "headers": {"Authorization": f"{scheme} a-token"}}))
    assert response.status_code == 200


def test_health_needs_no_token(ask):
    live, ready = ask(
        *(("GET", f"/v2/health/{name}", {"headers": {"Authorization": ""}}) for name in ("live", "ready"))
    )
    assert live.status_code == ready.status_code == 200


def test_an_unknown_endpoint_is_404_with_the_one_that_was_meant(ask):
    posted, got, version = ask(
        ("POST", "/invocations/irsi", {"json": ROW}),
        ("GET", "/v2/models/irsi", {}),
        ("POST", "/v2/models/irsi/infer", {"json": {}}),
    )
    for response in (posted, got, version):
        assert response.status_code == 404
        assert "Did you mean 'iris'?" in response.json()["error"]


def test_a_wrong_method_says_the_right_one(ask):
    got, posted = ask(("GET", PATH, {}), ("POST", "/v2/models/iris", {"json": {}}))
    assert got.status_code == posted.status_code == 405
    assert got.headers["allow"] == "POST"


def test_the_endpoints_id_works_in_place_of_its_name(ask):
    (response,) = ask(("POST", "/invocations/id-of-iris", {"json": ROW}))
    assert response.status_code == 200


def test_the_callers_request_id_is_echoed_and_one_is_made_where_it_is_missing(ask):
    given, made, again, strange = ask(
        ("POST", PATH, {"json": ROW, "headers": {"X-Request-Id": "r-1"}}),
        ("POST", PATH, {"json": ROW}),
        ("POST", PATH, {"json": {}}),
        ("POST", PATH, {"json": ROW, "headers": {"X-Request-Id": "\u00e4".encode("latin-1")}}),
    )
    assert given.headers["x-request-id"] == given.json()["request_id"] == "r-1"
    assert made.headers["x-request-id"] != again.headers["x-request-id"]
    assert again.json()["request_id"] == again.headers["x-request-id"]
    assert strange.headers["x-request-id"].isascii()


def test_a_body_above_the_limit_is_413_announced_or_not(ask):
    async def pieces():
        for _ in range(100):
            yield b"x" * 100

    config = EndpointConfig(max_body_bytes=1000)
    announced, chunked = ask(
        ("POST", PATH, {"content": b"x" * 1001}), ("POST", PATH, {"content": pieces()}), config=config
    )
    assert announced.status_code == chunked.status_code == 413
    assert "max_body_bytes" in announced.json()["error"]


def test_more_waiting_than_the_queue_holds_is_429_with_a_time_to_retry(tmp_path, compiled_iris):
    async def scenario():
        description = describe(tmp_path, *compiled_iris, config=EndpointConfig(max_queue=3))
        async with gateway_with(tmp_path, description) as client:
            address = (client.base_url.host, client.base_url.port)
            clients = [await asyncio.open_connection(*address) for _ in range(20)]
            await client.get("/v2/health/live")  # by now the gateway has accepted them all
            request = client.build_request("POST", PATH, json=ROW)
            head = "".join(
                f"{name}: {value}\r\n" for name, value in (*request.headers.items(), ("connection", "close"))
            )
            for _, writer in clients:  # all within one turn of the loop
                writer.write(f"POST {PATH} HTTP/1.1\r\n{head}\r\n".encode() + request.content)
            answers = [await reader.read() for reader, _ in clients]
            for _, writer in clients:
                writer.close()
            return answers

    answers = asyncio.run(scenario())
    statuses = [int(answer.split(b" ", 2)[1]) for answer in answers]
    assert statuses == [200] * 3 + [429] * 17
    refused = answers[-1].decode().lower()
    assert int(refused.partition("retry-after: ")[2].partition("\r\n")[0]) >= 1
    assert "max_queue" in refused


def test_the_figures_count_answers_errors_and_rejections_apart(tmp_path, compiled_iris):
    async def scenario():
        async with gateway_with(tmp_path, describe(tmp_path, *compiled_iris)) as client:
            for _ in range(5):
                await client.post(PATH, json=[ROW, ROW])
            await client.post(PATH, json={})
            return (await client.get("/dwcp/metrics/iris")).json(), (await client.get("/dwcp/metrics")).text

    figures, text = asyncio.run(scenario())
    assert figures["requests"] == 6
    assert figures["errors"] == 0
    assert figures["rejected_requests"] == 1
    assert figures["rows"] == 10
    assert 0 < figures["p50"] <= figures["p99"]
    families = {family.name: family for family in text_string_to_metric_families(text)}
    counted = {sample.labels["status"]: sample.value for sample in families["dwcp_requests"].samples}
    assert counted == {"200": 5, "400": 1}
    histogram = families["dwcp_request_latency_seconds"].samples
    assert next(s.value for s in histogram if s.labels.get("le") == "+Inf") == 5
    values = [s.value for s in histogram if s.name.endswith("_bucket")]
    assert values == sorted(values)


def test_openapi_lists_every_route_with_the_real_columns(ask):
    (response,) = ask(("GET", "/openapi.json", {}))
    document = response.json()
    features = document["paths"][PATH]["post"]["requestBody"]["content"]["application/json"]["schema"]["oneOf"][0]
    assert features["required"] == list(ROW)
    assert features["properties"]["sepal_length"] == {"type": "number"}
    assert document["paths"]["/v2/health/live"]["get"]["security"] == []
    got = ask(*(("GET", path, {}) for path, item in document["paths"].items() if "get" in item))
    assert {response.status_code for response in got} == {200}


def test_a_changed_onnx_artifact_is_refused_with_both_sums(tmp_path, compiled_iris):
    from concurrent.futures import ThreadPoolExecutor

    from dwcp_jupyter.serving.gateway.applying import Applier
    from dwcp_jupyter.supervisor.state import State

    description = describe(tmp_path, *compiled_iris)
    blob = next(path for path in (tmp_path / "artifacts").rglob("*") if path.is_file())
    blob.chmod(0o600)
    blob.write_bytes(blob.read_bytes()[:-1] + b"?")

    async def scenario():
        with ThreadPoolExecutor(1) as executor:
            applier = Applier(root=tmp_path, publish=lambda _: None, executor=executor)
            return await applier.apply(State(endpoints=(description.to_json(),)))

    failed = asyncio.run(scenario())
    assert description.compiled.sha256 in failed["iris"]
    assert failed["iris"].count("sha256") or len(failed["iris"]) > 128


def test_a_body_that_takes_long_to_parse_is_answered_like_any_other(ask, iris):
    features, _ = iris
    records = features.to_dict(orient="records") * 10
    large, wrong, small = ask(
        ("POST", "/invocations/iris", {"json": records}),
        ("POST", "/invocations/iris", {"json": [{"nothing": 1}] * 10_000}),
        ("POST", "/invocations/iris", {"json": records[:1]}),
    )
    assert len(large.content) > 64 << 10
    assert (large.status_code, wrong.status_code) == (200, 400)
    assert large.json()["predictions"][: len(features)] == large.json()["predictions"][-len(features) :]
    assert large.json()["predictions"][0] == small.json()["predictions"][0]


def test_a_pseudonym_that_cannot_be_made_is_an_answer(tmp_path, ask, iris):
    features, _ = iris
    (tmp_path / "predictions").write_text("in the way")
    record = features.head(1).to_dict(orient="records")
    (answer,) = ask(("POST", "/invocations/iris", {"json": record, "headers": {"X-Entity-Key": "jo"}}))
    assert answer.status_code == 500
    assert "log" in answer.json()["error"]


def test_a_token_that_was_exchanged_is_known_after_a_look(tmp_path, compiled_iris):
    async def scenario():
        async with gateway_with(tmp_path, describe(tmp_path, *compiled_iris)) as client:
            path, new = "/v2/models/iris", {"Authorization": "Bearer a-new-one"}
            assert (await client.get(path, headers=new)).status_code == 401
            token = tmp_path / "run" / "token"
            token.parent.mkdir(exist_ok=True)
            token.write_text("a-new-one")
            token.chmod(0o600)
            deadline = time.monotonic() + 10
            while (await client.get(path, headers=new)).status_code != 200:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.1)
            assert (await client.get(path)).status_code == 401

    asyncio.run(scenario())
