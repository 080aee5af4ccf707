"""Approvals and changes through a real Jupyter server that knows who is signed in."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from sklearn.linear_model import LogisticRegression

from dwcp_jupyter import store
from dwcp_jupyter.exceptions import ApprovalError
from dwcp_jupyter.registry import ModelMetadata, ModelRegistry
from tests.server.conftest import Answered
from tests.server.test_routes import check, check_problem

Tell = Callable[..., Awaitable[Answered]]

REQUEST = {"model": "iris@1.1.0", "stage": "production", "justification": "fewer misses"}


@pytest.fixture
def jp_server_config() -> dict[str, Any]:
    return {
        "ServerApp": {
            "jpserver_extensions": {"dwcp_jupyter": True},
            "identity_provider_class": "tests.server.people.People",
        },
        "DwcpExtension": {"trusted_identity_providers": ["tests.server.people.People"]},
    }


@pytest.fixture
def tell(ask: Any) -> Tell:
    """Send a request as a person; a body makes it POST."""

    async def send(person: str, path: str, body: Any = None, method: str = "", **headers: str) -> Answered:
        path, _, query = path.partition("?")
        return await ask(
            f"dwcp/api/{path}",
            params=dict(parse_qsl(query)),
            method=method or ("GET" if body is None else "POST"),
            body=body if body is None or isinstance(body, bytes) else json.dumps(body).encode(),
            headers=headers or {"Authorization": f"token {person}-secret"},
            allow_nonstandard_methods=True,
        )

    return send


@pytest.fixture
def registry(root_stores: store.Stores, iris: Any, classifier: LogisticRegression) -> ModelRegistry:
    """The registry of the server's workspace as Python sees it, with iris@1.0.0 and 1.1.0 in staging."""
    registry = ModelRegistry(root_stores)
    for version, accuracy in (("1.0.0", 0.9), ("1.1.0", 0.95)):
        metadata = ModelMetadata(name="iris", version=version, metrics={"test_accuracy": accuracy})
        registry.register_model(metadata, model=classifier, input_example=iris[0].head(3))
        registry.promote_model(f"iris@{version}", "staging")
    return registry


async def request(tell: Tell, person: str = "ana", **said: str) -> str:
    made = check(await tell(person, "approvals", {**REQUEST, **said}), "Approval")
    identifier: str = made["id"]
    return identifier


async def test_one_person_asks_and_another_approves(tell: Tell, registry: ModelRegistry) -> None:
    registry.set_policy("production", {"reviewers": 1, "assurance": "authenticated"})
    made = check(await tell("ana", "approvals", REQUEST), "Approval")
    assert (made["requested_by"], made["assurance"], made["state"]) == ("ana", "authenticated", "pending")
    assert (made["missing"], made["from_stage"], made["metrics"]) == (
        "1 more approval",
        "staging",
        {"test_accuracy": 0.95},
    )
    assert "second person" in made["obstacle"]
    inbox = check(await tell("bo", "approvals?state=pending"), "ApprovalList")
    assert inbox["total"] == 1
    assert inbox["approvals"] == [{**made, "obstacle": None, "may_reject": True}]
    approved = check(await tell("bo", f"approvals/{made['id']}/approve", {"comment": "on the holdout"}), "Approval")
    assert (approved["state"], approved["missing"]) == ("approved", None)
    (decision,) = approved["decisions"]
    assert (decision["reviewer"], decision["assurance"]) == ("bo", "authenticated")
    assert (decision["is_approved"], decision["comment"]) == (True, "on the holdout")
    assert check(await tell("ana", "approvals?state=pending"), "ApprovalList")["total"] == 0
    moved = check(await tell("ana", "models/iris/versions/1.1.0/promote", {"stage": "production"}), "Version")
    assert moved["stage"] == "production"
    told = check(await tell("ana", "events?limit=1000"), "EventList")["events"][-3:]
    assert [(e["kind"], e["actor"], e["assurance"]) for e in told] == [
        ("approval.requested", "ana", "authenticated"),
        ("approval.decided", "bo", "authenticated"),
        ("version.promoted", "ana", "authenticated"),
    ]
    assert registry.verify() is True
    assert check(await tell("bo", "status"), "Status")["actor"] == {"name": "bo", "assurance": "authenticated"}


async def test_what_a_person_may_not_do_is_refused_with_the_reason(tell: Tell, registry: ModelRegistry) -> None:
    to_production = {"stage": "production"}
    refused = await tell("ana", "models/iris/versions/1.1.0/promote", to_production)
    assert "nobody was asked" in check_problem(refused, 403, "ApprovalError")
    made = await request(tell)
    own = await tell("ana", f"approvals/{made}/approve", {"comment": "mine"})
    assert "A second person must" in check_problem(own, 403, "ApprovalError")
    check_problem(await tell("bo", "approvals", REQUEST), 409, "ApprovalConflictError")
    check_problem(await tell("bo", "approvals/0000ffff/approve", {}), 404, "ApprovalNotFoundError")
    assert (
        check(await tell("bo", f"approvals/{made}/reject", {"comment": "no card"}), "Approval")["state"] == "rejected"
    )
    for verdict in ("approve", "reject"):
        again = await tell("cleo", f"approvals/{made}/{verdict}", {})
        assert "is rejected and takes no decision" in check_problem(again, 409, "ApprovalConflictError")
    check_problem(await tell("bo", "models/iris/versions/1.1.0/promote", {"stage": "archive"}), 409, "TransitionError")
    check_problem(await tell("bo", "models/iris/versions/9.0.0/promote", to_production), 404, "ModelNotFoundError")
    check_problem(await tell("bo", "approvals", {**REQUEST, "model": "lily@1.0.0"}), 404, "ModelNotFoundError")
    check_problem(await tell("bo", "approvals?state=lost"), 400, "RequestError")
    assert registry.get_model("iris@1.1.0").stage == "staging"


async def test_a_forged_actor_in_a_body_is_refused(tell: Tell, registry: ModelRegistry) -> None:
    made = await request(tell)
    sequence = registry._stores.metadata.head()[0]
    alias = {"version": "1.0.0"}
    for path, body in {
        f"approvals/{made}/approve": {},
        f"approvals/{made}/reject": {},
        "approvals": {**REQUEST, "model": "iris@1.0.0"},
        "models/iris/versions/1.0.0/promote": {"stage": "development"},
        "models/iris/rollback": {},
        "models/iris/aliases/champion": alias,
        "comparisons": {"a": "iris@1.0.0", "b": "iris@1.1.0"},
    }.items():
        for name in ("approver", "requested_by", "actor", "reviewer"):
            forged = await tell("ana", path, {**body, name: "bo"}, method="PUT" if body is alias else "POST")
            assert name in check_problem(forged, 400, "RequestError")
    assert registry._stores.metadata.head()[0] == sequence


async def test_what_python_only_says_does_not_count_where_proof_is_demanded(
    tell: Tell, registry: ModelRegistry
) -> None:
    made = await request(tell)
    registry.approve_model(made, "bo", "said by a script")
    registry.set_policy("production", {"reviewers": 1, "assurance": "authenticated"})
    refused = await tell("ana", "models/iris/versions/1.1.0/promote", {"stage": "production"})
    assert "lacks 1 more approval" in check_problem(refused, 403, "ApprovalError")
    with pytest.raises(ApprovalError, match="requests by authenticated people only"):
        registry.request_approval("iris@1.0.0", "ana")
    check(await tell("ana", "approvals", {**REQUEST, "model": "iris@1.0.0"}), "Approval")


async def test_failed_checks_are_named_one_by_one(tell: Tell, registry: ModelRegistry) -> None:
    checks = ["metrics.test_accuracy >= 0.9", "metrics.test_accuracy >= 0.99", {"documents": ["model_card"]}]
    registry.set_policy("production", {"reviewers": 1, "checks": checks})
    made = await request(tell)
    shown = check(await tell("bo", f"approvals/{made}"), "Approval")["checks"]
    assert [(item["is_passed"], item["found"]) for item in shown] == [
        (True, "it is 0.95"),
        (False, "it is 0.95"),
        (False, "no model_card is recorded"),
    ]
    refused = await tell("bo", "models/iris/versions/1.1.0/promote", {"stage": "production"})
    check_problem(refused, 409, "GateError")
    assert refused.json["failures"] == [
        "metrics.test_accuracy >= 0.99: it is 0.95",
        "documents.model_card exists: no model_card is recorded",
    ]


async def test_a_browser_needs_the_xsrf_token_for_a_change(tell: Tell, registry: ModelRegistry) -> None:
    made = await request(tell)
    path = f"approvals/{made}/approve"
    forged = await tell("bo", path, {}, **{"X-Person": "bo"})
    assert forged.status == 403
    assert b"_xsrf" in forged.body
    wrong = await tell("bo", path, {}, **{"X-Person": "bo", "Cookie": "_xsrf=one", "X-XSRFToken": "other"})
    assert wrong.status == 403
    assert registry.get_approval(made).decisions == ()
    token = "2|0f0f0f0f|" + "0" * 32 + "|1700000000"
    headers = {"X-Person": "bo", "Cookie": f"_xsrf={token}", "X-XSRFToken": token}
    assert check(await tell("bo", path, {}, **headers), "Approval")["state"] == "approved"


async def test_a_body_that_cannot_be_understood_says_what_it_takes(tell: Tell, registry: ModelRegistry) -> None:
    for body in (b"{", b"[]", b'"x"', b'{"stage": 5}', b'{"stage": null}', b"\xff\xfe", b"{}", b'{"stage": "x"} more'):
        answer = await tell("ana", "models/iris/versions/1.0.0/promote", body)
        assert "stage, dry_run" in check_problem(answer, 400, "RequestError")


async def test_texts_that_cannot_be_kept_or_are_too_long_are_refused(tell: Tell, registry: ModelRegistry) -> None:
    made = await request(tell)
    check_problem(await tell("bo", f"approvals/{made}/approve", {"comment": "a\0b"}), 400, "InvalidMetadataError")
    large = await tell("bo", f"approvals/{made}/approve", {"comment": "x" * (300 << 10)})
    assert "above the limit of 262144 bytes" in check_problem(large, 413, "HTTP413")
    assert registry.get_approval(made).decisions == ()
    odd = "é 💩 <script>alert(1)</script> \N{RIGHT-TO-LEFT OVERRIDE}"
    judged = check(await tell("bo", f"approvals/{made}/approve", {"comment": odd}), "Approval")
    assert judged["decisions"][0]["comment"] == odd


async def test_a_method_that_a_path_does_not_take_is_told(tell: Tell, registry: ModelRegistry) -> None:
    answer = await tell("ana", "approvals/1234/approve")
    assert "takes POST" in check_problem(answer, 405, "HTTP405")
    assert answer.headers["Allow"] == "POST"


async def test_two_who_decide_at_once_both_count_and_one_counts_once(tell: Tell, registry: ModelRegistry) -> None:
    registry.set_policy("production", {"reviewers": 2, "assurance": "authenticated"})
    made = await request(tell)
    path = f"approvals/{made}/approve"
    answers = await asyncio.gather(*(tell(person, path, {}) for person in ("bo", "bo", "cleo", "cleo")))
    assert sorted(answer.status for answer in answers) == [200, 200, 409, 409]
    assert check(await tell("ana", f"approvals/{made}"), "Approval")["state"] == "approved"
    promote = "models/iris/versions/1.1.0/promote"
    moves = await asyncio.gather(*(tell(person, promote, {"stage": "production"}) for person in ("ana", "bo", "cleo")))
    assert sorted(answer.status for answer in moves) == [200, 409, 409]


async def test_a_rollback_brings_back_what_was_shown_or_nothing(tell: Tell, registry: ModelRegistry) -> None:
    for version in ("1.0.0", "1.1.0"):
        made = await request(tell, model=f"iris@{version}")
        check(await tell("bo", f"approvals/{made}/approve", {}), "Approval")
        dry = {"stage": "production", "dry_run": True}
        check(await tell("bo", f"models/iris/versions/{version}/promote", dry), "Version")
        assert registry.get_model(f"iris@{version}").stage == "staging"
        check(await tell("bo", f"models/iris/versions/{version}/promote", {"stage": "production"}), "Version")
    shown = check(await tell("ana", "models/iris/rollback", {"dry_run": True}), "Version")
    assert (shown["version"], registry.get_model("iris@production").version) == ("1.0.0", "1.1.0")
    other = await tell("ana", "models/iris/rollback", {"expected": "1.1.0"})
    assert "changed meanwhile" in check_problem(other, 409, "TransitionError")
    back = check(await tell("ana", "models/iris/rollback", {"expected": "1.0.0"}), "Version")
    assert (back["version"], back["stage"]) == ("1.0.0", "production")
    assert registry.get_model("iris@1.1.0").stage == "staging"


async def test_aliases_history_lineage_and_comparisons(tell: Tell, registry: ModelRegistry) -> None:
    pointed = check(await tell("ana", "models/iris/aliases/champion", {"version": "1.0.0"}, method="PUT"), "Version")
    assert pointed["aliases"] == ["champion"]
    named = await tell("ana", "models/iris/aliases/staging", {"version": "1.0.0"}, method="PUT")
    check_problem(named, 400, "InvalidNameError")
    assert check(await tell("bo", "models/iris/aliases/champion", method="DELETE"), "Model")["aliases"] == {}
    check_problem(await tell("bo", "models/iris/aliases/champion", method="DELETE"), 404, "ModelNotFoundError")
    whole = check(await tell("bo", "models/iris/history"), "History")
    assert [(item["change"], item["actor"]) for item in whole["changes"][:2]] == [
        ("alias champion removed", "bo"),
        ("alias champion set", "ana"),
    ]
    part = check(await tell("bo", "models/iris/history?version=1.0.0&limit=1&offset=1"), "History")
    assert (part["changes"], part["total"]) == (whole["changes"][1:2], 4)
    graph = check(await tell("bo", "models/iris/versions/1.1.0/lineage"), "Lineage")
    labels = {node["id"]: node["label"] for node in graph["nodes"]}
    found = [(labels[edge["source"]], edge["role"], labels[edge["target"]]) for edge in graph["edges"]]
    assert found == [("iris@1.0.0", "parent", "iris@1.1.0")]
    left, right = sorted(graph["picture"]["boxes"], key=lambda box: float(box["x"]))
    assert (labels[left["id"]], labels[right["id"]], graph["is_cut"]) == ("iris@1.0.0", "iris@1.1.0", False)
    check_problem(await tell("bo", "models/iris/versions/1.1.0/lineage?generations=0"), 400, "RequestError")
    compared = check(await tell("bo", "comparisons", {"a": "iris@1.0.0", "b": "iris@1.1.0"}), "Comparison")
    assert (compared["winner"], compared["actor"]) == ("iris@1.1.0", "bo")
    assert check(await tell("ana", "comparisons?model=iris"), "ComparisonList")["comparisons"] == [compared]


async def test_a_protected_alias_is_asked_for_judged_and_set(tell: Tell, registry: ModelRegistry) -> None:
    registry.set_alias("iris@1.0.0", "champion")
    registry.set_policy("@champion", {"checks": ["metrics.test_accuracy >= 0.91"], "assurance": "authenticated"})
    path, alias = "models/iris/aliases/champion", {"version": "1.1.0"}
    refused = await tell("ana", path, alias, method="PUT")
    assert "cannot become '@champion': nobody was asked" in check_problem(refused, 403, "ApprovalError")
    removed = await tell("ana", path, method="DELETE")
    assert "lift its policy first" in check_problem(removed, 403, "ApprovalError")
    failed = await tell("ana", path, {"version": "1.0.0"}, method="PUT")
    check_problem(failed, 409, "GateError")
    assert failed.json["failures"] == ["metrics.test_accuracy >= 0.91: it is 0.9"]
    made = check(await tell("ana", "approvals", {**REQUEST, "stage": "@champion"}), "Approval")
    assert (made["stage"], made["missing"], made["from_stage"]) == ("@champion", "1 more approval", "staging")
    assert [item["is_passed"] for item in made["checks"]] == [True]
    inbox = check(await tell("bo", "approvals?state=pending"), "ApprovalList")
    assert inbox["approvals"] == [{**made, "obstacle": None, "may_reject": True}]
    check(await tell("bo", f"approvals/{made['id']}/approve", {}), "Approval")
    assert check(await tell("ana", path, alias, method="PUT"), "Version")["aliases"] == ["champion"]
    wrong = await tell("ana", "approvals", {**REQUEST, "stage": "@production"})
    check_problem(wrong, 400, "InvalidNameError")
    assert registry.verify() is True


async def test_a_policy_that_demands_proof_is_changed_by_whoever_is_signed_in(
    tell: Tell, registry: ModelRegistry
) -> None:
    registry.set_policy("production", {"reviewers": 2, "assurance": "authenticated"})
    with pytest.raises(ApprovalError, match="PUT /dwcp/api/policies/production"):
        registry.set_policy("production", {"reviewers": 0}, model="iris")
    path, change = "policies/production?model=iris", {"policy": {"reviewers": 1}}
    changed = check(await tell("ana", path, change, method="PUT"), "Policy")
    assert (changed["reviewers"], changed["assurance"]) == (1, "authenticated")
    assert check(await tell("bo", "policies/production"), "Policy")["reviewers"] == 2
    assert check(await tell("bo", path, method="DELETE"), "Policy")["reviewers"] == 2
    alias = await tell("bo", "policies/@champion", {"policy": {"stages": ["staging"]}}, method="PUT")
    assert check(alias, "Policy")["stages"] == ["staging"]
    assert check(await tell("bo", "policies/@champion"), "Policy")["reviewers"] == 1
    check_problem(await tell("bo", path, {"policy": {"reviewer": 1}}, method="PUT"), 400, "PolicyError")
    check_problem(await tell("bo", path, {"policy": {}, "actor": "ana"}, method="PUT"), 400, "RequestError")
    set_by = registry._stores.metadata.events(kinds=["policy.set"])[-1]
    assert (set_by.actor.name, set_by.actor.assurance) == ("bo", "authenticated")
    assert registry.verify() is True


async def test_a_change_of_nothing_creates_no_workspace(tell: Tell, jp_root_dir: Path) -> None:
    for path, body, method in (
        ("approvals", REQUEST, "POST"),
        ("approvals/0000ffff/approve", {}, "POST"),
        ("models/iris/versions/1.0.0/promote", {"stage": "staging"}, "POST"),
        ("models/iris/rollback", {}, "POST"),
        ("models/iris/aliases/champion", {"version": "1.0.0"}, "PUT"),
        ("models/iris/aliases/champion", None, "DELETE"),
        ("comparisons", {"a": "iris", "b": "iris"}, "POST"),
    ):
        answer = await tell("ana", path, body, method=method)
        assert answer.status == 404, (path, answer.body)
    assert os.listdir(jp_root_dir) == []  # noqa: PTH208 - pathlib blocks too
