"""What happens to requests when processes die, hang, or are exchanged."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter

import httpx
import pytest

from dwcp_jupyter import supervisor
from dwcp_jupyter.serving import PredictionRequest
from tests.serving.conftest import eventually

ROW = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}


class Load:
    """Clients that send requests without a pause, each on a connection of its own, until told to stop."""

    def __init__(self, endpoint, clients=4):
        self._url, self._headers = endpoint.url, {"Authorization": f"Bearer {endpoint.token}"}
        self._done = threading.Event()
        self.outcomes: Counter[str] = Counter()
        self.versions: Counter[str] = Counter()
        self._threads = [threading.Thread(target=self._send) for _ in range(clients)]

    def _send(self):
        with httpx.Client(headers=self._headers, timeout=30) as client:
            while not self._done.is_set():
                try:
                    response = client.post(self._url, json=ROW)
                    self.outcomes[str(response.status_code)] += 1
                    if response.status_code == 200:
                        assert response.json()["predictions"] == ["setosa"]
                        self.versions[response.json()["model_version"]] += 1
                except httpx.TransportError as exc:
                    self.outcomes[type(exc).__name__] += 1

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        eventually(lambda: self.outcomes["200"] > 10)
        return self

    def __exit__(self, *_):
        self._done.set()
        for thread in self._threads:
            thread.join()

    def another(self, requests=30):
        """Wait for that many more good answers."""
        wanted = self.outcomes["200"] + requests
        eventually(lambda: self.outcomes["200"] >= wanted)


@pytest.fixture(scope="module")
def endpoints(served, iris, classifier):
    served.register("iris", classifier, iris[0])
    served.register("iris", classifier, iris[0], version="2.0.0")
    return deploy_native(served, "1.0.0"), served.server.deploy("iris", "1.0.0", name="compiled")


def deploy_native(served, version):
    config = {"min_replicas": 2, "timeout_s": 5}
    return served.server.deploy("iris", version, name="native", compile="never", endpoint_config=config)


def ready_replicas(served):
    """Return both replicas, once no other is there and each answers."""

    def found():
        ready = served.processes("replica/", only="ready")
        return ready if len(ready) == len(served.processes("replica/")) == 2 else None

    return eventually(found, within_s=60)


def other_version(served, name):
    return "1.0.0" if served.server.get_endpoint(name).version == "2.0.0" else "2.0.0"


def test_a_killed_replica_under_load_fails_no_request(served, endpoints):
    native, _ = endpoints
    replicas = ready_replicas(served)
    with Load(native) as load:
        victim = replicas[0]
        victim.kill()
        load.another(100)
        pids = {process.pid for process in served.processes("replica/")}
        assert load.outcomes.keys() == {"200"}
        eventually(lambda: len({p.pid for p in served.processes("replica/")} - {victim.pid}) == 2, within_s=60)
        assert victim.pid not in pids
    assert load.outcomes.keys() == {"200"}


def test_a_rolling_update_of_native_replicas_drops_no_request(served, endpoints):
    native, _ = endpoints
    version = other_version(served, "native")
    with Load(native) as load:
        updated = deploy_native(served, version)
        load.another()
        eventually(lambda: load.versions[version] > 0)
    assert load.outcomes.keys() == {"200"}
    assert updated.id == native.id
    assert served.server.invoke(PredictionRequest(endpoint_id=native.id, features=ROW)).model_version == version
    eventually(lambda: len(served.processes("replica/")) == 2)


def test_a_hung_replica_is_replaced_and_its_requests_end_in_time(served, endpoints):
    native, _ = endpoints
    hung = ready_replicas(served)[0]
    os.kill(hung.pid, signal.SIGSTOP)
    answer = httpx.post(native.url, json=ROW, headers={"Authorization": f"Bearer {native.token}"}, timeout=60)
    assert answer.status_code in (200, 503, 504)
    eventually(lambda: hung.pid not in {p.pid for p in served.processes("replica/")}, within_s=60)

    def works():
        return served.post("/invocations/native", ROW).status_code == 200

    eventually(works, within_s=60)


def test_a_rolling_update_of_a_compiled_endpoint_drops_no_request(served, endpoints):
    _, compiled = endpoints
    version = other_version(served, "compiled")
    with Load(compiled) as load:
        served.server.deploy("iris", version, name="compiled")
        load.another()
        eventually(lambda: load.versions[version] > 0)
    assert load.outcomes.keys() == {"200"}


def test_a_killed_gateway_comes_back_on_its_port(served, endpoints):
    _, compiled = endpoints
    (gateway,) = served.processes("gateway")
    with Load(compiled) as load:
        gateway.kill()
        eventually(lambda: gateway.pid not in {p.pid for p in served.processes("gateway")})
        load.another(50)
    in_flight = load.outcomes.total() - load.outcomes["200"]
    assert in_flight <= 4, load.outcomes  # one per client; what came later waited for the new gateway
    assert all(outcome.endswith("Error") for outcome in load.outcomes if outcome != "200")
    assert served.server.get_endpoint(compiled.id).url == compiled.url
    assert served.server.invoke(PredictionRequest(endpoint_id=compiled.id, features=ROW)).predictions == ["setosa"]


def test_a_killed_supervisor_is_started_again_and_endpoints_come_back(served, endpoints):
    native, compiled = endpoints
    former = supervisor.find(served.root)
    os.kill(former, signal.SIGKILL)
    eventually(lambda: supervisor.find(served.root) not in (None, former), within_s=60)

    def works(endpoint):
        try:
            return served.post(f"/invocations/{endpoint.name}", ROW).status_code == 200
        except httpx.TransportError:
            return False

    eventually(lambda: works(compiled) and works(native), within_s=90)
    assert served.server.get_endpoint(compiled.id).url == compiled.url


def test_a_killed_gateways_log_tells_of_the_gap(served, endpoints):
    _, compiled = endpoints
    (gateway,) = eventually(lambda: served.processes("gateway"))
    served.server.invoke(PredictionRequest(endpoint_id=compiled.id, features=ROW))
    log = served.server.prediction_log(compiled.id)
    before = len(log.gaps())
    gateway.kill()  # before or after its first flush: the segment is there, and one more if both endpoints serve it
    eventually(lambda: len(log.gaps()) > before)
