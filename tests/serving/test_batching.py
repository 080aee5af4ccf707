"""Requests that go through the model together keep their own answers."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dwcp_jupyter.exceptions import QueueFullError
from dwcp_jupyter.serving.batching import BatchResult, Item, Queue, Timekeeper, split
from dwcp_jupyter.serving.endpoints import EndpointConfig
from dwcp_jupyter.serving.protocols.errors import DeadlineError
from tests.serving.conftest import describe, gateway_with


def item(loop, rows=1, *, timeout_s=60.0):
    now = time.monotonic()
    return Item(
        list(range(rows)), rows, loop.create_future(), request_id="r", arrived=now, time_s=now, deadline=now + timeout_s
    )


@given(sizes=st.lists(st.integers(1, 7), min_size=1, max_size=20))
def test_splitting_a_batch_gives_each_item_exactly_its_own_rows(sizes):
    async def scenario():
        loop = asyncio.get_running_loop()
        items = [item(loop, rows) for rows in sizes]
        values = np.arange(sum(sizes))
        answers = split(items, BatchResult(values, values.reshape(-1, 1) / 2))
        assert [owner for owner, _ in answers] == items
        assert [value for _, answer in answers for value in answer.predictions] == values.tolist()
        for owner, answer in answers:
            assert len(answer.predictions) == len(answer.probabilities) == owner.rows
            assert [row[0] * 2 for row in answer.probabilities] == answer.predictions

    asyncio.run(scenario())


@given(sizes=st.lists(st.integers(1, 9), max_size=30), limit=st.integers(1, 12))
def test_taking_keeps_the_order_and_never_exceeds_the_rows_but_for_one_large_item(sizes, limit):
    async def scenario():
        loop = asyncio.get_running_loop()
        queue = Queue(limit=100, endpoint="e")
        items = [item(loop, rows) for rows in sizes]
        for one in items:
            queue.put(one)
        taken = []
        while len(queue):
            batch = queue.take(limit)
            assert sum(one.rows for one in batch) <= limit or len(batch) == 1
            taken += batch
        assert taken == items

    asyncio.run(scenario())


def test_a_queue_refuses_what_it_cannot_hold_and_counts_what_is_with_the_model():
    async def scenario():
        loop = asyncio.get_running_loop()
        queue = Queue(limit=2, endpoint="e")
        queue.put(item(loop))
        with pytest.raises(QueueFullError) as caught:
            queue.put(item(loop), outstanding=1)
        assert caught.value.retry_after_s > 0
        queue.put(item(loop))

    asyncio.run(scenario())


def test_nobody_waits_for_an_item_that_was_answered():
    async def scenario():
        loop = asyncio.get_running_loop()
        queue = Queue(limit=5, endpoint="e")
        late, other = item(loop), item(loop)
        queue.put(late)
        queue.put(other)
        late.future.cancel()
        assert queue.take() == [other]

    asyncio.run(scenario())


def test_a_deadline_that_passes_fails_the_item_and_only_it():
    async def scenario():
        loop = asyncio.get_running_loop()
        keeper = Timekeeper(loop, interval_s=0.01)
        short, long = item(loop, timeout_s=0.02), item(loop)
        keeper.watch(short)
        keeper.watch(long)
        with pytest.raises(DeadlineError):
            await asyncio.wait_for(short.future, 5)
        assert not long.future.done()
        long.future.cancel()

    asyncio.run(scenario())


@settings(max_examples=8, deadline=None)
@given(
    clients=st.lists(
        st.lists(st.lists(st.integers(0, 149), min_size=1, max_size=5), min_size=1, max_size=6), min_size=2, max_size=12
    )
)
def test_replies_never_mix_between_concurrent_clients(clients, tmp_path_factory, compiled_iris, iris, classifier):
    features, _ = iris
    expected = classifier.predict_proba(features)
    root = tmp_path_factory.mktemp("mixing")

    async def client_of(client, requests):
        for rows in requests:
            response = await client.post("/invocations/iris", json=features.iloc[rows].to_dict(orient="records"))
            np.testing.assert_allclose(response.json()["probabilities"], expected[rows], atol=1e-5)

    async def scenario():
        async with gateway_with(root, describe(root, *compiled_iris)) as client:
            await asyncio.gather(*(client_of(client, requests) for requests in clients))

    asyncio.run(scenario())


def test_a_request_that_the_model_cannot_take_does_not_fail_its_neighbours(tmp_path, compiled_iris):
    row = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}

    async def scenario():
        async with gateway_with(tmp_path, describe(tmp_path, *compiled_iris)) as client:
            bad = {**row, "petal_width": 1e300}
            return await asyncio.gather(*(client.post("/invocations/iris", json=one) for one in (row, bad, row)))

    statuses = [response.status_code for response in asyncio.run(scenario())]
    assert statuses == [200, 400, 200]


def test_a_batch_too_large_for_the_loop_runs_beside_it(tmp_path, compiled_iris, iris):
    features, _ = iris
    rows = features.sample(3000, replace=True, random_state=1).to_dict(orient="records")

    async def scenario():
        async with gateway_with(tmp_path, describe(tmp_path, *compiled_iris)) as client:
            large, small = await asyncio.gather(
                client.post("/invocations/iris", json=rows), client.post("/invocations/iris", json=rows[0])
            )
            return large.json(), small.json()

    large, small = asyncio.run(scenario())
    assert len(large["predictions"]) == 3000
    assert large["predictions"][0] == small["predictions"][0]


def test_an_answer_after_the_deadline_is_504(tmp_path, compiled_iris):
    row = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}

    async def scenario():
        description = describe(tmp_path, *compiled_iris, config=EndpointConfig(timeout_s=0.001))
        async with gateway_with(tmp_path, description) as client:
            busy = asyncio.get_running_loop().create_task(client.post("/invocations/iris", json=[row] * 20000))
            return [(await one).status_code for one in (busy, client.post("/invocations/iris", json=row))]

    assert 504 in asyncio.run(scenario())
