"""A registry of many versions, and how long its answers take: `scaling.py BACKEND PLACE fill|ask|prove …`.

The same calls for every backend, run by the interpreter that has it: `ours` (PLACE is a workspace folder) and `mlflow`
(PLACE is an SQLite file). `fill N` registers N versions of one model. `ask N C` prints the times in ms of C calls of each
kind: in a burst, one right after the other, and alone, each after a rest. No call asks what the one before asked: pages
follow each other, aliases, limits and versions go in turn, so that nobody answers from what he remembers of the last
call. `prove N C` lets the trail grow to N events and does the same with what reads all of it.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime

_DESCRIPTION = "gradient boosting on the transactions of October"
_PAGE = 100
_ALIASES = 20
_RESTS_S = {"burst": 0.0, "lone": 0.25}
_CHUNK = 5_000


class Ours:
    def __init__(self, place):
        from dwcp_jupyter.registry import ModelMetadata, ModelRegistry

        self.metadata = ModelMetadata
        self.registry = ModelRegistry(place)

    def fill(self, count):
        for number in range(count):
            self.registry.register_model(
                self.metadata(
                    name="churn",
                    version=f"1.{number}.0",
                    description=_DESCRIPTION,
                    tags=("risk", "rare" if number % 100 == 0 else "common"),
                    metrics={"test_accuracy": number / count, "test_f1": 1 - number / count},
                )
            )
        for number in range(_ALIASES):
            self.registry.set_alias(f"churn@1.{number * count // _ALIASES}.0", f"champion-{number}")

    def calls(self, count):
        registry = self.registry

        def page(turn):
            place = turn % (count // _PAGE or 1)
            registry.list_versions("churn", limit=_PAGE, after=f"1.{count - place * _PAGE}.0" if place else None)

        return {
            "page of 100 versions": page,
            "version by alias": lambda turn: registry.get_model(f"churn@champion-{turn % _ALIASES}"),
            "model with its aliases": lambda _: registry.describe_model("churn"),
            "search by tag": lambda turn: registry.search_versions(
                f"name = 'churn' and tag = 'rare' and version != '1.{turn}.0'", limit=_PAGE
            ),
            "search by metric and tag": lambda turn: registry.search_versions(
                f"metrics.test_accuracy >= {0.9 + turn / 10_000} and tag = 'rare'", limit=_PAGE
            ),
            "set alias": lambda turn: registry.set_alias(f"churn@1.{turn % 7}.0", "candidate"),
        }

    def prove(self, count):
        from sqlalchemy import update

        from dwcp_jupyter.store import schema

        metadata = self.registry._stores.metadata
        versions = [(v.reference, v.id) for v in self.registry.list_versions("churn", limit=1000)]
        before = self.registry.set_alias(versions[0][0], "walker").id
        missing = count - metadata.head()[0]
        for start in range(0, missing, _CHUNK):  # as set_alias would write them, many in a transaction
            with metadata.transaction() as tx:
                for turn in range(start, min(missing, start + _CHUNK)):
                    reference, version_id = versions[turn % len(versions)]
                    tx.record("alias.set", f"model:{reference}", alias="walker", version_id=version_id, before=before)
                    before = version_id
                walker = schema.aliases.c.alias == "walker"
                tx.execute(update(schema.aliases).where(walker).values(version_id=before))
        now = datetime.now(UTC)
        assert self.registry.verify() is True
        return {
            "verify": lambda _: self.registry.verify(),
            "as_of": lambda _: self.registry.as_of("churn@walker", now),
        }


class Mlflow:
    def __init__(self, place):
        from mlflow import MlflowClient

        self.client = MlflowClient(tracking_uri=f"sqlite:///{place}", registry_uri=f"sqlite:///{place}")

    def fill(self, count):
        self.client.create_registered_model("churn")
        for number in range(count):
            tags = {"team": "risk", "kind": "rare" if number % 100 == 0 else "common"}
            self.client.create_model_version("churn", f"file:///models/{number}", tags=tags, description=_DESCRIPTION)
        for number in range(_ALIASES):
            alias = f"champion-{number}"
            self.client.set_registered_model_alias("churn", alias, str(1 + number * count // _ALIASES))

    def calls(self, count):
        client = self.client
        following = [None]

        def page(_):
            found = client.search_model_versions("name='churn'", max_results=_PAGE, page_token=following[0])
            following[0] = found.token or None

        return {
            "page of 100 versions": page,
            "version by alias": lambda turn: client.get_model_version_by_alias("churn", f"champion-{turn % _ALIASES}"),
            "model with its aliases": lambda _: client.get_registered_model("churn"),
            "search by tag": lambda _: client.search_model_versions(
                "name='churn' and tag.kind='rare'", max_results=_PAGE
            ),
            "set alias": lambda turn: client.set_registered_model_alias("churn", "candidate", str(1 + turn % 7)),
        }


def timed(call, *, count, rest_s):
    taken = []
    for turn in range(count):
        time.sleep(rest_s)
        before = time.perf_counter()
        call(turn)
        taken.append(1000 * (time.perf_counter() - before))
    return taken


def main() -> None:
    backend, place, action, size, *rest = sys.argv[1:]
    registry = {"ours": Ours, "mlflow": Mlflow}[backend](place)
    if action == "fill":
        registry.fill(int(size))
        return
    count = int(rest[0])
    measured = {}
    for name, call in (registry.prove(int(size)) if action == "prove" else registry.calls(int(size))).items():
        call(0)  # imports and caches
        measured[name] = {kind: timed(call, count=count, rest_s=rest_s) for kind, rest_s in _RESTS_S.items()}
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
