"""What PyTorch trains within a block logs its loss and learning rate by itself, and only there."""

import threading

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from dwcp_jupyter.tracking import Tracker

PLACES = [(torch.Tensor, "backward"), (torch.amp.GradScaler, "scale"), (torch.optim.Optimizer, "_optimizer_step_code")]


@pytest.fixture
def tracker(stores):
    return Tracker(stores)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def network():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))


def batches(count=12):
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(count, 16, 4, generator=generator)
    return [(x, x.sum(1, keepdim=True)) for x in inputs]


def train(net, optimizer, *, count=12, after=lambda: None):
    """Return the losses of a plain loop."""
    losses = []
    for x, y in batches(count):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(net(x), y)
        loss.backward()
        optimizer.step()
        after()
        losses.append(loss.item())
    return losses


def test_each_step_logs_its_loss_and_learning_rate_and_once_what_is_optimised(tracker):
    net = network()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    with tracker.start("net") as run, run.autolog():
        losses = train(net, optimizer, after=scheduler.step)
    known = tracker.get_run(run.id)
    assert known.history["loss"].values.tolist() == losses
    assert known.history["loss"].steps.tolist() == list(range(12))
    np.testing.assert_allclose(known.history["lr"].values, [0.1 * 0.5**step for step in range(12)])
    wanted = {"optimizer": "SGD", "lr": 0.1, "momentum": 0.9, "nesterov": True, "n_parameters": 49}
    assert {name: known.params.get(name) for name in wanted} == wanted
    assert not {"params", "foreach", "fused"} & set(known.params)
    assert losses[-1] < losses[0]


def test_training_is_the_same_with_and_without(tracker):
    def weights():
        torch.manual_seed(3)
        net = network()
        train(net, torch.optim.Adam(net.parameters()))
        return torch.cat([parameter.detach().ravel() for parameter in net.parameters()])

    alone = weights()
    with tracker.start("same") as run, run.autolog():
        watched = weights()
    assert torch.equal(alone, watched)


def test_nothing_is_logged_outside_the_block_and_its_end_puts_everything_back(tracker):
    originals = [vars(owner)[name] for owner, name in PLACES]
    net = network()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)

    def stop():
        raise RuntimeError("stopped")

    with tracker.start("outside") as run:
        with run.autolog():
            assert all(vars(owner)[name] is not old for (owner, name), old in zip(PLACES, originals, strict=True))
        with pytest.raises(RuntimeError, match="stopped"), run.autolog():
            train(net, optimizer, count=3, after=stop)
        train(net, optimizer, count=5)
    assert [vars(owner)[name] for owner, name in PLACES] == originals
    assert tracker.get_run(run.id).history["loss"].steps.tolist() == [0]


def test_more_steps_than_are_kept_waiting_all_arrive_in_order(tracker):
    net = network()
    with tracker.start("long") as run, run.autolog():
        losses = train(net, torch.optim.SGD(net.parameters(), lr=0.001), count=700)
    history = tracker.get_run(run.id).history["loss"]
    assert history.steps.tolist() == list(range(700))
    assert history.values.tolist() == losses


def test_accumulated_losses_are_one_step_of_their_mean(tracker):
    net = network()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    losses = []
    with tracker.start("accumulated") as run, run.autolog():
        for number, (x, y) in enumerate(batches(), 1):
            loss = nn.functional.mse_loss(net(x), y)
            loss.backward()
            losses.append(loss.item())
            if number % 4 == 0:
                optimizer.step()
                optimizer.zero_grad()
    found = tracker.get_run(run.id).history["loss"].values
    np.testing.assert_allclose(found, np.array(losses).reshape(3, 4).mean(1), rtol=1e-6)


def test_a_closure_that_is_evaluated_often_is_one_step(tracker):
    net = network()
    optimizer = torch.optim.LBFGS(net.parameters(), max_iter=5)
    x, y = batches()[0]
    losses = []

    def closure():
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(net(x), y)
        loss.backward()
        losses[-1].append(loss.item())
        return loss

    with tracker.start("closure") as run, run.autolog():
        for _ in range(3):
            losses.append([])
            optimizer.step(closure)
    assert max(map(len, losses)) > 1
    known = tracker.get_run(run.id)
    np.testing.assert_allclose(known.history["loss"].values, [np.mean(part) for part in losses], rtol=1e-6)
    assert known.params["optimizer"] == "LBFGS"


def test_two_optimizers_are_told_apart(tracker):
    maker, critic = nn.Linear(2, 4), nn.Linear(4, 1)
    of_critic = torch.optim.Adam(critic.parameters(), lr=0.02)
    of_maker = torch.optim.SGD(maker.parameters(), lr=0.01)
    seen = {"critic": [], "maker": []}
    with tracker.start("adversaries") as run, run.autolog():
        for x, _ in batches(5):
            real = -critic(x).mean()
            fake = critic(maker(x[:, :2]).detach()).mean()
            real.backward()
            fake.backward()
            of_critic.step()
            of_critic.zero_grad()
            loss = -critic(maker(x[:, :2])).mean()
            loss.backward()
            of_maker.step()
            of_maker.zero_grad()
            seen["critic"].append((real.item() + fake.item()) / 2)
            seen["maker"].append(loss.item())
    known = tracker.get_run(run.id)
    np.testing.assert_allclose(known.history["loss"].values, seen["critic"], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(known.history["opt2.loss"].values, seen["maker"], rtol=1e-5, atol=1e-7)
    assert (known.params["optimizer"], known.params["opt2.optimizer"]) == ("Adam", "SGD")
    assert (known.metrics["lr"], known.metrics["opt2.lr"]) == (0.02, 0.01)
    assert (known.params["n_parameters"], known.params["opt2.n_parameters"]) == (5, 12)


def test_an_optimizer_without_a_loss_of_its_own_logs_its_rate(tracker):
    net = network()
    first = torch.optim.SGD(net[0].parameters(), lr=0.1)
    second = torch.optim.SGD(net[2].parameters(), lr=torch.tensor(0.2))
    with tracker.start("shared") as run, run.autolog():
        train(net, first, count=3, after=second.step)
    known = tracker.get_run(run.id)
    assert "opt2.loss" not in known.history
    np.testing.assert_allclose(known.history["opt2.lr"].values, [0.2] * 3, rtol=1e-6)


def test_groups_of_parameters_have_rates_of_their_own(tracker):
    net = network()
    groups = [{"params": net[0].parameters()}, {"params": net[2].parameters(), "lr": 0.5}]
    with tracker.start("groups") as run, run.autolog():
        train(net, torch.optim.SGD(groups, lr=0.1), count=2)
    known = tracker.get_run(run.id)
    assert (known.metrics["lr"], known.metrics["lr_group2"], known.params["n_parameters"]) == (0.1, 0.5, 49)


def test_a_scaled_loss_is_logged_as_it_was_and_a_skipped_step_is_none(tracker):
    net = network()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.001)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    losses = []
    with tracker.start("scaled") as run, run.autolog():
        for number, (x, y) in enumerate(batches(6)):
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(net(x), y)
            scaler.scale(loss).backward()
            if number == 2:
                net[0].weight.grad.fill_(float("inf"))
            scaler.step(optimizer)
            scaler.update()
            losses.append(loss.item())
    history = tracker.get_run(run.id).history["loss"]
    assert history.steps.tolist() == [0, 1, 2, 3, 4]
    wanted = [*losses[:2], (losses[2] + losses[3]) / 2, *losses[4:]]
    np.testing.assert_allclose(history.values, wanted, rtol=1e-6)


def test_gradients_of_something_else_than_one_number_are_no_loss(tracker):
    net = network()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with tracker.start("vector") as run, run.autolog():
        out = net(batches()[0][0])
        out.backward(torch.ones_like(out))
        optimizer.step()
    known = tracker.get_run(run.id)
    assert "loss" not in known.history
    assert known.metrics["lr"] == 0.1


def test_a_backward_that_fails_fails_as_ever_and_is_no_loss(tracker):
    net = network()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with tracker.start("failing") as run, run.autolog():
        with pytest.raises(RuntimeError, match="does not require grad"):
            torch.tensor(3.0).backward()
        losses = train(net, optimizer, count=2)
    assert tracker.get_run(run.id).history["loss"].values.tolist() == losses


def test_what_cannot_be_logged_is_one_warning_and_training_goes_on(tracker):
    ended = tracker.start("ended")
    ended.end()
    net = network()
    with ended.autolog(), pytest.warns(UserWarning, match="nothing can be logged") as caught:
        losses = train(net, torch.optim.SGD(net.parameters(), lr=0.001), count=600)
    said = [str(warning.message) for warning in caught if "nothing can be logged" in str(warning.message)]
    assert 1 <= len(said) <= 2  # of the parameters, and of the steps
    assert len(losses) == 600
    assert losses[-1] < losses[0]
    assert {warning.filename for warning in caught} == {__file__}


def test_parameters_that_contradict_are_a_warning_and_the_curve_is_kept(tracker):
    net = network()
    run = tracker.start("contradicted", params={"lr": 7.0})
    with run.autolog(), pytest.warns(UserWarning, match="'lr' of run 'contradicted' is 7.0 already"):
        losses = train(net, torch.optim.SGD(net.parameters(), lr=0.1), count=3)
    run.end()
    assert tracker.get_run(run.id).history["loss"].values.tolist() == losses


def test_threads_keep_their_losses_apart(tracker):
    found = {}
    together = threading.Barrier(3)

    def work(name, rate):
        net = network()
        optimizer = torch.optim.SGD(net.parameters(), lr=rate)
        together.wait()
        found[rate] = train(net, optimizer, count=60)

    with tracker.start("threads") as run, run.autolog():
        threads = [threading.Thread(target=work, args=(str(rate), rate)) for rate in (0.001, 0.002, 0.003)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    known = tracker.get_run(run.id)
    for prefix in ("", "opt2.", "opt3."):
        rate = known.params[f"{prefix}lr"]
        assert known.history[f"{prefix}loss"].values.tolist() == found[rate]
        assert known.history[f"{prefix}loss"].steps.tolist() == list(range(60))


def test_fits_and_steps_of_one_block_stand_side_by_side(tracker, iris):
    features, species = iris
    net = network()
    with tracker.start("both") as run, run.autolog():
        LogisticRegression(max_iter=500).fit(features, species)
        train(net, torch.optim.SGD(net.parameters(), lr=0.1), count=2)
    known = tracker.get_run(run.id)
    assert (known.params["class"], known.params["optimizer"]) == ("LogisticRegression", "SGD")
    assert known.history["loss"].steps.tolist() == [0, 1]
