"""How fast runs log, and how fast they are found: `tracking.py BACKEND PLACE log|ask …`.

The same calls for every backend, run by the interpreter that has it: `ours` (PLACE is a workspace folder) and `mlflow`
(PLACE is an SQLite file). `log N` makes a run of N values in batches of 1,000 (ours: one call each, which is how a loop
logs) and prints the seconds until all are kept. `one N` logs N values by one call each. `ask R C` makes R runs and
prints the ms of C calls of each kind.
"""

from __future__ import annotations

import json
import sys
import time

_BATCH = 1_000


class Ours:
    def __init__(self, place):
        from dwcp_jupyter.tracking import Tracker

        self.tracker = Tracker(place)

    def log(self, count):
        run = self.tracker.start("bulk")
        began = time.perf_counter()
        for step in range(count):
            run.log_metrics({"loss": 1 / (step + 1)}, step=step)
        run.end()
        return time.perf_counter() - began

    one = log

    def fill(self, count):
        for number in range(count):
            with self.tracker.start(
                "churn", params={"depth": number % 10}, tags=["rare"] if number % 100 == 0 else []
            ) as run:
                run.log_metrics({"val_loss": number / count})

    def calls(self):
        tracker = self.tracker
        latest = tracker.search_runs(limit=1)[0].id
        return {
            "latest 100 runs": lambda: tracker.search_runs(limit=100),
            "search by metric and parameter": lambda: tracker.search_runs(
                "metrics.val_loss < 0.2 and params.depth = 3"
            ),
            "best run by metric": lambda: tracker.search_runs(order_by="metrics.val_loss asc", limit=1),
            "one run with its history": lambda: tracker.get_run(latest),
        }


class Mlflow:
    def __init__(self, place):
        import mlflow

        mlflow.set_tracking_uri(f"sqlite:///{place}")
        self.client = mlflow.MlflowClient()
        found = self.client.get_experiment_by_name("bench")
        self.experiment = found.experiment_id if found else self.client.create_experiment("bench")

    def log(self, count):
        from mlflow.entities import Metric

        run = self.client.create_run(self.experiment)
        began = time.perf_counter()
        for start in range(0, count, _BATCH):
            batch = [Metric("loss", 1 / (step + 1), 0, step) for step in range(start, min(start + _BATCH, count))]
            self.client.log_batch(run.info.run_id, metrics=batch)
        self.client.set_terminated(run.info.run_id)
        return time.perf_counter() - began

    def one(self, count):
        run = self.client.create_run(self.experiment)
        began = time.perf_counter()
        for step in range(count):
            self.client.log_metric(run.info.run_id, "loss", 1 / (step + 1), step=step)
        self.client.set_terminated(run.info.run_id)
        return time.perf_counter() - began

    def fill(self, count):
        from mlflow.entities import Metric, Param, RunTag

        for number in range(count):
            run = self.client.create_run(self.experiment)
            tags = [RunTag("rare", "yes")] if number % 100 == 0 else []
            metrics = [Metric("val_loss", number / count, 0, 0)]
            self.client.log_batch(
                run.info.run_id, metrics=metrics, params=[Param("depth", str(number % 10))], tags=tags
            )
            self.client.set_terminated(run.info.run_id)

    def calls(self):
        client, places = self.client, [self.experiment]
        latest = client.search_runs(places, max_results=1)[0].info.run_id
        return {
            "latest 100 runs": lambda: client.search_runs(places, max_results=100),
            "search by metric and parameter": lambda: client.search_runs(
                places, "metrics.val_loss < 0.2 and params.depth = '3'", max_results=100
            ),
            "best run by metric": lambda: client.search_runs(places, order_by=["metrics.val_loss ASC"], max_results=1),
            "one run with its history": lambda: (client.get_run(latest), client.get_metric_history(latest, "val_loss")),
        }


def ask(backend, runs, calls):
    backend.fill(runs)
    times = {}
    for name, call in backend.calls().items():
        call()
        times[name] = []
        for _ in range(calls):
            began = time.perf_counter()
            call()
            times[name].append(1000 * (time.perf_counter() - began))
    return times


def main():
    backend = {"ours": Ours, "mlflow": Mlflow}[sys.argv[1]](sys.argv[2])
    numbers = [int(text) for text in sys.argv[4:]]
    print(
        json.dumps({"log": backend.log, "one": backend.one, "ask": lambda *n: ask(backend, *n)}[sys.argv[3]](*numbers))
    )


main()
