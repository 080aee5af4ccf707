from __future__ import annotations

import os
import signal
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from dwcp_jupyter import store, supervisor
from dwcp_jupyter.serving.tokens import read_token
from dwcp_jupyter.supervisor.state import ProcessStatus
from tests.server.conftest import Answered
from tests.server.echo_gateway import deploy_echo
from tests.supervisor.workspaces import eventually

Ask = Callable[..., Awaitable[Answered]]


@pytest.fixture
def held(extension: Any, echoing: store.Stores) -> store.Stores:
    """The echoing workspace, held by the server and running."""
    entry = extension.workspaces.hold(echoing.root)
    entry.hold.apply(["echo"])
    return echoing


async def test_a_prediction_reaches_the_gateway_with_its_token_and_without_jupyters(
    ask: Ask, held: store.Stores, jp_serverapp: Any
) -> None:
    token = jp_serverapp.identity_provider.token
    answer = await ask(
        "dwcp/v2/models/echo/infer",
        method="POST",
        body=b'{"inputs": []}',
        params={"token": token, "_xsrf": "secret", "x": "a b&c"},
        headers={
            "Content-Type": "application/json",
            "Cookie": "session=secret",
            "X-XSRFToken": "secret",
            "X-Request-Id": "r1",
            "Connection": "keep-alive, X-Hop",
            "X-Hop": "secret",
            "TE": "trailers",
        },
    )
    assert answer.status == 200
    sent = answer.json
    assert (sent["method"], sent["target"], sent["body"]) == (
        "POST",
        "/v2/models/echo/infer?x=a+b%26c",
        '{"inputs": []}',
    )
    assert sent["headers"]["authorization"] == f"Bearer {read_token(held.root)}"
    assert sent["headers"]["x-request-id"] == "r1"
    assert sent["headers"]["content-type"] == "application/json"
    assert not {"cookie", "x-xsrftoken", "x-hop", "te", "connection"} & set(sent["headers"])
    assert "secret" not in answer.body.decode()
    assert token not in answer.body.decode()


async def test_an_answer_comes_back_without_what_belongs_to_one_connection(ask: Ask, held: store.Stores) -> None:
    answer = await ask("dwcp/v2/models/echo")
    assert answer.headers["X-Echo"] == "yes"
    assert "stolen" not in str(answer.headers.get_list("Set-Cookie"))
    assert "Keep-Alive" not in answer.headers
    assert "Etag" not in answer.headers


async def test_every_status_comes_back_as_it_is(ask: Ask, held: store.Stores) -> None:
    for status in (204, 400, 404, 409, 422, 429, 500, 503):
        assert (await ask(f"dwcp/v2/status/{status}")).status == status


PATHS = {
    "dwcp/v2": "/v2",
    "dwcp/v2/health/live": "/v2/health/live",
    "dwcp/metrics": "/dwcp/metrics",
    "dwcp/openapi.json": "/openapi.json",
    "dwcp/v2/models/a%2Fb/versions/1.0.0": "/v2/models/a%2Fb/versions/1.0.0",
    "dwcp/v2/models/%C3%A9%20x": "/v2/models/%C3%A9%20x",
}


async def test_paths_go_on_as_they_came(
    http_server_client: Any, jp_auth_header: Any, jp_base_url: str, held: store.Stores
) -> None:
    for path, target in PATHS.items():
        response = await http_server_client.fetch(jp_base_url + path, headers=dict(jp_auth_header))
        assert f'"target": "{target}"'.encode() in response.body
        expected = "text/plain" if path == "dwcp/metrics" else "application/json"
        assert response.headers["Content-Type"] == expected


async def test_a_large_answer_comes_whole(ask: Ask, held: store.Stores) -> None:
    answer = await ask("dwcp/v2/large/5000000")
    assert len(answer.body) == 5_000_000


async def test_invocations_take_posts_only(ask: Ask, held: store.Stores) -> None:
    assert (await ask("dwcp/invocations/echo", method="POST", body=b"{}")).json["target"] == "/invocations/echo"


async def test_a_body_at_the_limit_passes_and_one_above_is_refused(
    ask: Ask, extension: Any, held: store.Stores
) -> None:
    limit = extension.workspaces.default().stores.settings.max_body_bytes
    answer = await ask("dwcp/invocations/echo", method="POST", body=b"x" * limit)
    assert answer.json["size"] == limit
    answer = await ask("dwcp/invocations/echo", method="POST", body=b"x" * (limit + 1))
    assert answer.status in {413, 599}  # 599: the client was still sending when the connection was closed


async def test_a_body_of_unknown_length_has_the_same_limit(ask: Ask, extension: Any, held: store.Stores) -> None:
    limit = extension.workspaces.default().stores.settings.max_body_bytes

    async def produce(write: Callable[[bytes], Awaitable[None]]) -> None:
        for _ in range(limit // (1 << 20) + 1):
            await write(b"x" * (1 << 20))

    answer = await ask("dwcp/invocations/echo", method="POST", body_producer=produce)
    assert answer.status == 413
    assert "DWCP_MAX_BODY_BYTES" in answer.json["message"]


async def test_a_request_with_a_cookie_needs_the_xsrf_header(
    jp_serverapp: Any, http_server_client: Any, jp_base_url: str, held: store.Stores
) -> None:
    cookie = await _login(jp_serverapp, http_server_client, jp_base_url)
    url = f"{jp_base_url}dwcp/invocations/echo"
    for headers, status in (({}, 403), ({"X-XSRFToken": cookie["_xsrf"]}, 200)):
        joined = "; ".join(f"{name}={value}" for name, value in cookie.items())
        response = await http_server_client.fetch(
            url, method="POST", body=b"{}", headers={"Cookie": joined, **headers}, raise_error=False
        )
        assert response.code == status, response.body


async def _login(serverapp: Any, client: Any, base_url: str) -> dict[str, str]:
    """Return the cookies of a browser that opened the page with the token."""
    response = await client.fetch(
        f"{base_url}tree?token={serverapp.identity_provider.token}", follow_redirects=False, raise_error=False
    )
    found = (item.partition(";")[0].partition("=") for item in response.headers.get_list("Set-Cookie"))
    cookies = {name: value for name, _, value in found}
    if "_xsrf" not in cookies:
        joined = "; ".join(f"{name}={value}" for name, value in cookies.items())
        headers = {"Cookie": joined}
        response = await client.fetch(f"{base_url}login", headers=headers, follow_redirects=False, raise_error=False)
        found = (item.partition(";")[0].partition("=") for item in response.headers.get_list("Set-Cookie"))
        cookies |= {name: value for name, _, value in found}
    return cookies


async def test_a_gateway_that_dies_over_a_request_is_503_and_comes_back(ask: Ask, held: store.Stores) -> None:
    first = (await ask("dwcp/v2/models/echo")).json["pid"]
    answer = await ask("dwcp/v2/die")
    assert answer.status == 503
    assert answer.json["error"] == "GatewayDownError"
    while (answer := await ask("dwcp/v2/models/echo")).status == 503:
        assert answer.json["message"]
    assert answer.json["pid"] != first


async def test_a_workspace_in_which_nothing_runs_is_503(ask: Ask, root_stores: store.Stores) -> None:
    answer = await ask("dwcp/v2/models/echo/infer", method="POST", body=b"{}")
    assert answer.status == 503
    assert "%deploy" in answer.json["message"]


async def test_a_workspace_that_this_server_does_not_hold_is_not_forwarded_to(ask: Ask, echoing: store.Stores) -> None:
    """Its port may be a stranger's by now, who must not get the token."""
    with supervisor.hold(echoing, kind="server") as other:
        other.apply(["echo"])
        assert (await ask("dwcp/v2")).status == 503


async def test_a_token_that_others_can_read_is_not_used(ask: Ask, held: store.Stores) -> None:
    (held.root / "run" / "token").chmod(0o644)
    os.utime(held.root / "run" / "token")
    answer = await ask("dwcp/v2")
    assert answer.status == 500
    assert "can be read by others" in answer.json["message"]


async def test_two_workspaces_under_one_server_have_their_own_gateways(
    ask: Ask, extension: Any, held: store.Stores, jp_root_dir: Path
) -> None:
    nested = jp_root_dir / "team" / ".dwcp"
    nested.parent.mkdir()
    with store.open(nested) as stores:
        deploy_echo(stores, "echo")
        answer = extension.answer_kernel({"op": "hold", "root": str(nested)})
        assert answer["base_url"] == f"/dwcp/w/{answer['workspace']}/"
        extension.workspaces.get(answer["workspace"]).hold.apply(["echo"])
        here = (await ask("dwcp/v2")).json
        there = (await ask(f"dwcp/w/{answer['workspace']}/v2")).json
        assert here["pid"] != there["pid"]
        assert here["headers"]["authorization"] != there["headers"]["authorization"]
        status = (await ask(f"dwcp/w/{answer['workspace']}/api/status")).json
        assert [item["path"] for item in status["workspaces"]] == [".dwcp", "team/.dwcp"]
        assert status["workspace"]["path"] == "team/.dwcp"
        supervisor.stop(nested)


async def test_a_killed_gateway_loses_no_later_request(ask: Ask, extension: Any, held: store.Stores) -> None:
    hold = extension.workspaces.default().hold
    (gateway,) = [item for item in hold.status().processes if item.status is ProcessStatus.READY]
    assert (await ask("dwcp/v2")).status == 200
    os.kill(gateway.pid, signal.SIGKILL)

    def is_replaced() -> bool:
        return any(item.pid != gateway.pid and item.status is ProcessStatus.READY for item in hold.status().processes)

    eventually(is_replaced)
    assert (await ask("dwcp/v2")).status == 200


def test_the_tokens_file_is_private(held: store.Stores) -> None:
    assert stat.S_IMODE((held.root / "run" / "token").stat().st_mode) == 0o600
