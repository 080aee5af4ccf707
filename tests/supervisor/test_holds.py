from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from dwcp_jupyter.supervisor.endpoint_table import EndpointRow
from dwcp_jupyter.supervisor.holds import REATTACH_S, Holder, Holds, is_alive
from dwcp_jupyter.supervisor.reports import HoldKind
from dwcp_jupyter.supervisor.state import Lifetime

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class World:
    """Time, and which processes live."""

    def __init__(self) -> None:
        self.now = 0.0
        self.living = {1, 2, 3}
        self.holds = Holds(time=lambda: self.now, is_alive=lambda pid, _since: pid in self.living)


@pytest.fixture
def world() -> World:
    return World()


def holder(name: str, kind: HoldKind = HoldKind.CALLER, pid: int = 1, **fields: bool) -> Holder:
    return Holder(id=name, kind=kind, pid=pid, since=NOW, **fields)


def row(lifetime: Lifetime, owner: str | None = None, pid: int | None = None) -> EndpointRow:
    return EndpointRow(
        id="1",
        name="churn",
        model_id="m",
        version_id="v",
        lifetime=lifetime,
        owner=owner,
        owner_pid=pid,
        status="starting",
        updated_at=NOW,
        spec=None,
    )


@pytest.mark.parametrize("kind", [HoldKind.CALLER, HoldKind.DETACHED, HoldKind.SERVER])
def test_each_holder_keeps_the_supervisor_alive(world: World, kind: HoldKind) -> None:
    one = holder("a", kind)
    world.holds.add(one)
    assert world.holds.keeps_alive([])
    world.holds.remove(one)
    assert not world.holds.keeps_alive([])


def test_an_observer_keeps_nothing_alive(world: World) -> None:
    world.holds.add(holder("a", HoldKind.OBSERVER))
    assert not world.holds.keeps_alive([])


def test_a_servers_endpoint_runs_only_while_a_server_holds(world: World) -> None:
    endpoint = row(Lifetime.SERVER)
    world.holds.add(holder("a"))
    assert world.holds.runnable([endpoint]) == []
    world.holds.add(holder("b", HoldKind.SERVER))
    assert world.holds.runnable([endpoint]) == [endpoint]
    assert world.holds.abandoned([endpoint]) == []


def test_a_detached_endpoint_runs_and_keeps_the_supervisor_alive(world: World) -> None:
    endpoint = row(Lifetime.DETACHED)
    assert world.holds.runnable([endpoint]) == [endpoint]
    assert world.holds.keeps_alive([endpoint])


def test_a_callers_endpoint_is_abandoned_once_its_last_connection_closes(world: World) -> None:
    endpoint = row(Lifetime.CALLER, "a", 1)
    first, second = holder("a"), holder("a")
    world.holds.add(first)
    world.holds.add(second)
    world.holds.remove(first)
    assert world.holds.runnable([endpoint]) == [endpoint]
    world.holds.remove(second)
    assert world.holds.abandoned([endpoint]) == [endpoint]
    world.holds.add(first)
    assert world.holds.abandoned([endpoint]) == []


def test_an_owner_that_lives_may_take_a_while_to_come_back_after_a_restart(world: World) -> None:
    endpoint = row(Lifetime.CALLER, "a", 1)
    assert world.holds.runnable([endpoint]) == [endpoint]
    assert world.holds.keeps_alive([endpoint])
    world.now = REATTACH_S
    assert world.holds.abandoned([endpoint]) == []
    world.now = REATTACH_S + 1
    assert world.holds.abandoned([endpoint]) == [endpoint]
    assert not world.holds.keeps_alive([endpoint])


@pytest.mark.parametrize("pid", [9, None])
def test_an_owner_without_a_process_is_not_waited_for(world: World, pid: int | None) -> None:
    endpoint = row(Lifetime.CALLER, "a", pid)
    assert world.holds.abandoned([endpoint]) == [endpoint]


def test_a_holder_whose_process_ended_is_gone_unless_it_could_never_be_seen(world: World) -> None:
    seen, unseen = holder("a", pid=2), holder("b", pid=9, is_visible=False)
    world.holds.add(seen)
    world.holds.add(unseen)
    assert world.holds.gone() == []
    world.living.remove(2)
    assert world.holds.gone() == [seen]


def test_a_process_that_got_the_number_of_an_earlier_one_is_not_that_one() -> None:
    assert is_alive(os.getpid(), datetime.now(UTC))
    assert not is_alive(os.getpid(), datetime.now(UTC) - timedelta(days=3650))


def test_a_process_that_ended_is_not_alive_though_nobody_asked_for_its_exit_code() -> None:
    with subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.read()  # its end: it is ending, or a zombie
        while is_alive(process.pid, datetime.now(UTC)):
            continue
        process.wait()
        assert not is_alive(process.pid, datetime.now(UTC))
