"""One process that registers versions: `registering.py BACKEND PLACE prepare|found|register …`.

The same loop for every backend, run by the interpreter that has it: `ours` (PLACE is a workspace folder), `mlflow`
(PLACE is an SQLite file, MLflow's default schema) and `sqlite` (the disk's floor: one insert, one commit). A
`register` process registers one version apart (so nobody's imports are timed), prints "ready", waits for a line on
its standard input and then prints what it did.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import time

_DESCRIPTION = "gradient boosting on the transactions of October"
_TAGS = {"team": "risk", "source": "benchmark"}


class Ours:
    def __init__(self, place):
        from dwcp_jupyter.registry import ModelMetadata, ModelRegistry

        self.metadata = ModelMetadata
        self.registry = ModelRegistry(place)

    def prepare(self, names):
        self.registry.list_models()

    def register(self, name, process, number):
        version = self.registry.register_model(
            self.metadata(name=name, version=f"1.{process}.{number}", description=_DESCRIPTION, tags=tuple(_TAGS))
        )
        return f"{version.name}@{version.version}"

    def found(self, names):
        return [f"{v.name}@{v.version}" for name in names for v in self.registry.list_versions(name)]


class Mlflow:
    def __init__(self, place):
        from mlflow import MlflowClient

        self.client = MlflowClient(tracking_uri=f"sqlite:///{place}", registry_uri=f"sqlite:///{place}")

    def prepare(self, names):
        for name in names:
            self.client.create_registered_model(name)

    def register(self, name, process, number):
        source = f"file:///models/{process}/{number}"
        version = self.client.create_model_version(name, source, tags=_TAGS, description=_DESCRIPTION)
        return f"{version.name}@{version.version}"

    def found(self, names):
        found = []
        for name in names:
            token = None
            while token != "":
                page = self.client.search_model_versions(f"name='{name}'", max_results=1000, page_token=token)
                found += [f"{v.name}@{v.version}" for v in page]
                token = page.token or ""
        return found


class Sqlite:
    def __init__(self, place):
        self.connection = sqlite3.connect(place, timeout=60, isolation_level=None)

    def prepare(self, names):
        self.connection.execute(
            "CREATE TABLE versions (name TEXT, version TEXT, description TEXT, PRIMARY KEY (name, version))"
        )

    def register(self, name, process, number):
        version = f"1.{process}.{number}"
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.execute("INSERT INTO versions VALUES (?, ?, ?)", (name, version, _DESCRIPTION))
        self.connection.execute("COMMIT")
        return f"{name}@{version}"

    def found(self, names):
        return [
            f"{name}@{version}"
            for name, version in self.connection.execute(
                "SELECT name, version FROM versions WHERE name NOT LIKE 'warm-%'"
            )
        ]


def main() -> None:
    backend, place, action, *rest = sys.argv[1:]
    registry = {"ours": Ours, "mlflow": Mlflow, "sqlite": Sqlite}[backend](place)
    if action == "register":
        name, process, count = rest[0], int(rest[1]), int(rest[2])
        registry.register(f"warm-{process}", process, 0)
        print("ready", flush=True)
        sys.stdin.readline()
        print(json.dumps(register(registry, name, process, count)))
    elif action == "prepare":
        registry.prepare(rest)
    else:
        print(json.dumps(registry.found(rest)))


def register(registry, name, process, count):
    acknowledged, errors, waits_s = [], [], []
    started = time.time()
    for number in range(count):
        before = time.perf_counter()
        try:
            acknowledged.append(registry.register(name, process, number))
        except Exception as exc:  # noqa: BLE001 - whatever a backend shows its user is what is counted
            errors.append(f"{type(exc).__name__}: {exc}"[:300])
        waits_s.append(time.perf_counter() - before)
    return {
        "started": started,
        "ended": time.time(),
        "acknowledged": acknowledged,
        "errors": errors,
        "waits_s": waits_s,
    }


if __name__ == "__main__":
    main()
