from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from sklearn.linear_model import LogisticRegression

from dwcp_jupyter import __version__, store
from dwcp_jupyter.registry import ModelMetadata, ModelRegistry
from dwcp_jupyter.server import bodies
from dwcp_jupyter.server.openapi import load_document
from dwcp_jupyter.server.routes import API, FORWARDED
from dwcp_jupyter.server.workspaces import workspace_id
from tests.server.conftest import Answered

Ask = Callable[..., Awaitable[Answered]]

DOCUMENT = load_document()
EVERY_ROUTE = sorted({*API, *FORWARDED})


@pytest.fixture
def registered(root_stores: store.Stores, iris: Any, classifier: LogisticRegression) -> store.Stores:
    """A workspace at the server's root with two versions of a model."""
    registry = ModelRegistry(root_stores)
    features, _ = iris
    for version, accuracy in (("1.0.0", 0.9), ("1.1.0", 0.95)):
        metadata = ModelMetadata(name="iris", version=version, metrics={"accuracy": accuracy}, tags=("botany",))
        registry.register_model(metadata, model=classifier, input_example=features.head(3))
    registry.promote_model("iris@1.0.0", "staging")
    registry.set_alias("iris@1.0.0", "champion")
    return root_stores


def check(answer: Answered, schema: str) -> Any:
    """Hold a real answer against the schema of the OpenAPI document."""
    assert answer.status == 200, answer.body
    jsonschema.Draft202012Validator(
        {"$ref": f"#/components/schemas/{schema}", "components": DOCUMENT["components"]},
        format_checker=jsonschema.FormatChecker(),
    ).validate(answer.json)
    return answer.json


def check_problem(answer: Answered, status: int, error: str) -> str:
    assert answer.status == status, answer.body
    jsonschema.validate(answer.json, DOCUMENT["components"]["schemas"]["Problem"])
    assert answer.json["error"] == error
    message: str = answer.json["message"]
    return message


def test_the_document_lists_the_routes_and_no_others() -> None:
    assert sorted(DOCUMENT["paths"]) == EVERY_ROUTE
    for path, functions in API.items():
        assert {method.upper() for method in DOCUMENT["paths"][path] if method != "parameters"} == set(functions), path


def test_the_document_lists_the_fields_of_every_body_and_no_others() -> None:
    bodies_ = {"ComparisonRequest": bodies.Comparing, "ApprovalRequest": bodies.Request, "Judgement": bodies.Judgement}
    bodies_ |= {"PromotionRequest": bodies.Promotion, "RollbackRequest": bodies.Rollback, "AliasRequest": bodies.Alias}
    bodies_ |= {"PolicyRequest": bodies.PolicyChange}
    used = re.findall(r"requestBody.*?schemas/(\w+)", json.dumps(DOCUMENT["paths"]))
    assert set(used) == set(bodies_)
    for name, kind in bodies_.items():
        schema = DOCUMENT["components"]["schemas"][name]
        fields = {field.name: field.required for field in msgspec.structs.fields(kind)}
        assert set(schema["properties"]) == set(fields)
        assert set(schema["required"]) == {field for field, is_required in fields.items() if is_required}
        assert schema["additionalProperties"] is False


def test_every_route_is_mounted_for_the_default_and_for_other_workspaces(jp_serverapp: Any) -> None:
    rules = [rule for router in jp_serverapp.web_app.default_router.rules for rule in _leaves(router)]
    mounted = [rule.regex for rule in rules if "dwcp" in rule.regex.pattern]
    for path in EVERY_ROUTE:
        for prefix in ("dwcp", "dwcp/w/0123456789ab"):
            target = f"{jp_serverapp.base_url}{prefix}" + re.sub(r"\{\w+\}", "x", path)
            assert any(regex.match(target) for regex in mounted), target


def _leaves(rule: Any) -> list[Any]:
    inner = getattr(rule.target, "rules", None)
    if inner is not None:
        return [leaf for item in inner for leaf in _leaves(item)]
    return [rule.matcher] if hasattr(rule.matcher, "regex") else []


METHODS = ["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH"]


@pytest.mark.parametrize("authorization", ["", "token wrong", "Bearer wrong", "Basic OjE="])
async def test_no_route_answers_a_stranger(ask: Ask, authorization: str) -> None:
    for prefix, path, method in itertools.product(("dwcp", "dwcp/w/0123456789ab"), EVERY_ROUTE, METHODS):
        answer = await ask(
            prefix + re.sub(r"\{\w+\}", "x", path),
            method=method,
            headers={"Authorization": authorization},
            allow_nonstandard_methods=True,
            follow_redirects=False,
            body=b"{}" if method in {"POST", "PUT", "PATCH"} else None,
        )
        refused = {401, 403} if method in {"GET", "POST"} else {401, 403, 405}
        assert answer.status in refused, (prefix, path, method, answer)
        assert b"version" not in answer.body


async def test_an_authoriser_can_refuse_a_user(jp_serverapp: Any, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class NobodyMay(type(jp_serverapp.authorizer)):  # type: ignore[misc]
        def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
            asked.append((action, resource))
            return False

    jp_serverapp.web_app.settings["authorizer"] = NobodyMay(parent=jp_serverapp)
    assert (await ask("dwcp/api/status")).status == 403
    assert (await ask("dwcp/metrics")).status == 403
    assert (await ask("dwcp/v2/models/x/infer", method="POST", body=b"{}")).status == 403
    assert (await ask("dwcp/api/approvals/1234/approve", method="POST", body=b"{}")).status == 403
    assert (await ask("dwcp/api/models/x/aliases/a", method="DELETE")).status == 403
    reads, writes = [("read", "dwcp")] * 2, [("write", "dwcp")] * 2
    assert asked == [*reads, ("execute", "dwcp"), *writes]


async def test_a_root_without_a_workspace_answers_with_nothing_and_creates_nothing(ask: Ask, jp_root_dir: Path) -> None:
    status = check(await ask("dwcp/api/status"), "Status")
    assert status["version"] == __version__
    assert status["workspace"] == {
        "id": workspace_id(jp_root_dir / ".dwcp"),
        "name": jp_root_dir.name,
        "path": ".dwcp",
        "exists": False,
        "is_default": True,
    }
    assert (status["sequence"], status["state_sequence"], status["is_serving"]) == (0, 0, False)
    assert check(await ask("dwcp/api/approvals"), "ApprovalList") == {"approvals": [], "total": 0}
    assert check(await ask("dwcp/api/comparisons"), "ComparisonList") == {"comparisons": [], "total": 0}
    assert check(await ask("dwcp/api/models"), "ModelList") == {"models": [], "next": None}
    assert check(await ask("dwcp/api/endpoints"), "EndpointList") == {"endpoints": []}
    assert check(await ask("dwcp/api/events"), "EventList") == {"events": [], "sequence": 0}
    check_problem(await ask("dwcp/api/models/iris"), 404, "ModelNotFoundError")
    check_problem(await ask("dwcp/api/endpoints/iris"), 404, "EndpointNotFoundError")
    assert os.listdir(jp_root_dir) == []  # noqa: PTH208 - pathlib blocks too


async def test_models_and_their_versions_are_listed(ask: Ask, registered: store.Stores) -> None:
    (model,) = check(await ask("dwcp/api/models"), "ModelList")["models"]
    assert (model["name"], model["latest"], model["version_count"]) == ("iris", "1.1.0", 2)
    assert model["stages"] == {"development": "1.1.0", "staging": "1.0.0"}
    assert model["aliases"] == {"champion": "1.0.0"}
    assert model["metrics"] == {"accuracy": 0.95}
    assert check(await ask("dwcp/api/models/iris"), "Model") == model
    versions = check(await ask("dwcp/api/models/iris/versions"), "VersionList")["versions"]
    assert [item["reference"] for item in versions] == ["iris@1.1.0", "iris@1.0.0"]
    assert versions[1]["stage"] == "staging"
    assert versions[1]["aliases"] == ["champion"]
    assert (versions[0]["framework"], versions[0]["is_draft"], versions[0]["tags"]) == ("sklearn", False, ["botany"])


async def test_long_lists_come_in_pages(ask: Ask, registered: store.Stores) -> None:
    registry = ModelRegistry(registered)
    for name in ("asters", "lilies"):
        registry.register_model(ModelMetadata(name=name, version="1.0.0"))
    first = check(await ask("dwcp/api/models", params={"limit": "2"}), "ModelList")
    assert ([item["name"] for item in first["models"]], first["next"]) == (["asters", "iris"], "iris")
    rest = check(await ask("dwcp/api/models", params={"limit": "2", "after": "iris"}), "ModelList")
    assert ([item["name"] for item in rest["models"]], rest["next"]) == (["lilies"], None)
    first = check(await ask("dwcp/api/models/iris/versions", params={"limit": "1"}), "VersionList")
    assert ([item["version"] for item in first["versions"]], first["next"]) == (["1.1.0"], "1.1.0")
    rest = check(await ask("dwcp/api/models/iris/versions", params={"limit": "1", "after": "1.1.0"}), "VersionList")
    assert ([item["version"] for item in rest["versions"]], rest["next"]) == (["1.0.0"], None)
    wrong = await ask("dwcp/api/models/iris/versions", params={"after": "newest"})
    check_problem(wrong, 400, "InvalidVersionError")
    check_problem(await ask("dwcp/api/models", params={"limit": "1001"}), 400, "RequestError")


async def test_the_sequence_grows_with_each_change(ask: Ask, registered: store.Stores) -> None:
    before = check(await ask("dwcp/api/status"), "Status")["sequence"]
    ModelRegistry(registered).promote_model("iris@1.1.0", "staging")
    after = check(await ask("dwcp/api/status"), "Status")["sequence"]
    assert before == (await ask("dwcp/api/events")).json["sequence"] - 1
    assert after == before + 1


async def test_events_come_in_their_order_and_in_parts(ask: Ask, registered: store.Stores) -> None:
    whole = check(await ask("dwcp/api/events"), "EventList")
    assert [item["seq"] for item in whole["events"]] == list(range(1, whole["sequence"] + 1))
    part = check(await ask("dwcp/api/events", params={"after": "1", "limit": "2"}), "EventList")
    assert part["events"] == whole["events"][1:3]
    assert part["sequence"] == whole["sequence"]
    assert check(await ask("dwcp/api/events", params={"after": "10000"}), "EventList")["events"] == []


@pytest.mark.parametrize(
    "params",
    [
        {"after": "-1"},
        {"after": "x"},
        {"after": ""},
        {"after": "1e3"},
        {"after": "9" * 40},
        {"limit": "0"},
        {"limit": "1001"},
    ],
)
async def test_numbers_that_are_none_are_refused(ask: Ask, registered: store.Stores, params: dict[str, str]) -> None:
    message = check_problem(await ask("dwcp/api/events", params=params), 400, "RequestError")
    assert next(iter(params)) in message


HOSTILE = [
    "no",
    "..",
    "%2e%2e%2fetc",
    "a%2Fb",
    "%00",
    "iris%27%3B--",
    "%F0%9F%92%A9",
    "x" * 2000,
    "%3Cscript%3E",
    "a%20b",
]


@pytest.mark.parametrize(
    "route",
    [
        "models/{}",
        "models/{}/versions",
        "models/{}/history",
        "models/iris/versions/{}/lineage",
        "approvals/{}",
        "endpoints/{}",
        "endpoints/{}/metrics",
    ],
)
async def test_hostile_names_are_not_found_or_not_names(
    http_server_client: Any, jp_auth_header: Any, jp_base_url: str, registered: store.Stores, route: str
) -> None:
    for name in HOSTILE:
        url = f"{jp_base_url}dwcp/api/{route.format(name)}"
        response = await http_server_client.fetch(url, headers=dict(jp_auth_header), raise_error=False)
        assert response.code in {400, 404}, (name, response.body)
        assert b"message" in response.body, (name, response.body)
        assert b"Traceback" not in response.body


async def test_a_name_that_is_nearly_right_is_corrected(ask: Ask, registered: store.Stores) -> None:
    assert "Did you mean 'iris'?" in check_problem(await ask("dwcp/api/models/irris"), 404, "ModelNotFoundError")


async def test_damaged_metadata_are_told_and_do_not_harm_the_server(ask: Ask, root_stores: store.Stores) -> None:
    root_stores.root.mkdir()
    (root_stores.root / "metadata.duckdb").write_bytes(b"not a database" * 1000)
    message = check_problem(await ask("dwcp/api/models"), 500, "WorkspaceError")
    assert "metadata.duckdb" in message
    (root_stores.root / "run").mkdir()
    (root_stores.root / "run" / "sequence").write_text("many")
    (root_stores.root / "run" / "state.json").write_text("{")
    assert check(await ask("dwcp/api/status"), "Status")["sequence"] == 0


async def test_a_workspace_that_is_a_file_is_told(ask: Ask, jp_root_dir: Path) -> None:
    (jp_root_dir / ".dwcp").write_text("")
    for path in ("status", "models", "endpoints", "events"):
        check_problem(await ask(f"dwcp/api/{path}"), 500, "WorkspaceError")


async def test_an_unknown_workspace_is_not_found(ask: Ask, registered: store.Stores) -> None:
    check_problem(await ask("dwcp/w/0123456789ab/api/models"), 404, "UnknownWorkspaceError")
    check_problem(await ask("dwcp/w/0123456789ab/v2"), 404, "UnknownWorkspaceError")
    assert (await ask("dwcp/w/..%2f..%2fx/api/models")).status == 404


async def test_the_default_workspace_also_answers_by_its_id(ask: Ask, registered: store.Stores) -> None:
    identifier = workspace_id(registered.root)
    assert (await ask(f"dwcp/w/{identifier}/api/models")).json == (await ask("dwcp/api/models")).json


async def test_asking_with_the_panels_argument_does_not_count_as_activity(ask: Ask, jp_serverapp: Any) -> None:
    await ask("dwcp/api/status")
    seen = jp_serverapp.web_app.settings["api_last_activity"]
    await ask("dwcp/api/status", params={"no_track_activity": "1"})
    assert jp_serverapp.web_app.settings["api_last_activity"] == seen
