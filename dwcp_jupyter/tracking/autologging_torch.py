"""What PyTorch trains within a block logs itself: a loss, a learning rate, with what it was optimised.

PyTorch has no ``fit``. What every training loop calls is ``loss.backward()`` and ``optimizer.step()``, so these two are
watched. Of each optimizer are kept, once, its class as ``optimizer``, its hyper-parameters and ``n_parameters``, the
numbers that it optimises; and with each step, counted from 0 within the block, ``loss`` and ``lr``, of further groups
of parameters ``lr_group2``, …. The loss of a step is the mean of those on which ``backward`` was called in this thread
since the last step: one as a rule, several where gradients are accumulated or a closure is evaluated. With several
optimizers it belongs to the one that steps next; the second one's names begin with ``opt2.``. A loss that a gradient
scaler scaled is logged as it was before, and a step that the scaler skips is none. Losses of other shapes than one
number are not logged.

A loss is copied where it lies, and read with many others later: so a GPU is not waited for in each step, which costs
about 40 µs. Training that was compiled as a whole (``torch.compile`` of the step) is not seen.
"""

from __future__ import annotations

import functools
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from dwcp_jupyter.tracking.wrapping import forgiving, replace, shortened

if TYPE_CHECKING:
    from dwcp_jupyter.tracking.active import ActiveRun

__all__ = ["watched"]

_MOST_WAITING = 256
_FLUSH_S = 1.0
_SWITCHES = frozenset({"params", "param_names", "initial_lr", "foreach", "fused", "capturable", "differentiable"})
"""What a group of parameters holds beside hyper-parameters: how it is computed, and by whom."""


@contextmanager
def watched(run: ActiveRun, torch: Any) -> Iterator[None]:
    """Log to `run` what is optimised within the block."""
    watch = _Watch(run, torch)
    with ExitStack() as undo:
        optimizer, scaler = torch.optim.Optimizer, torch.amp.GradScaler
        replace(undo, torch.Tensor, "backward", watch.losses(torch.Tensor.backward))
        replace(undo, scaler, "scale", watch.scalings(scaler.scale))
        # a method that every step calls and that does nothing: hooks would be taken out of a dictionary that a step in
        # another thread may be going through
        replace(undo, optimizer, "_optimizer_step_code", watch.steps(optimizer._optimizer_step_code))
        try:
            yield
        finally:
            watch.flush(depth=5)


class _Watch:
    """The losses, steps and optimizers of a block."""

    def __init__(self, run: ActiveRun, torch: Any) -> None:
        self._run = run
        self._torch = torch
        self._mutex = threading.Lock()
        self._local = _Local()
        self._steps: weakref.WeakKeyDictionary[Any, _Steps] = weakref.WeakKeyDictionary()
        self._seen = 0
        self._waiting: list[tuple[int, dict[str, Any]]] = []
        self._flushed = time.monotonic()
        self._is_broken = False

    def losses(self, backward: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(backward)
        def wrapped(loss: Any, *args: Any, **kwargs: Any) -> Any:
            value = None
            with forgiving("A loss"):
                value = self._local.unscaled(loss, self._copied)
            result = backward(loss, *args, **kwargs)
            if value is not None:
                self._local.losses.append(value)
            return result

        return wrapped

    def scalings(self, scale: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(scale)
        def wrapped(scaler: Any, outputs: Any) -> Any:
            scaled = scale(scaler, outputs)
            if scaled is not outputs and isinstance(outputs, self._torch.Tensor):
                with forgiving("A loss"):
                    self._local.remember(scaled, self._copied(outputs))
            return scaled

        return wrapped

    def steps(self, step: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(step)
        def wrapped(optimizer: Any) -> None:
            step(optimizer)
            if self._is_broken or self._torch.compiler.is_compiling():
                return
            losses, self._local.losses = self._local.losses, []
            with forgiving("A step", depth=1):
                self._keep(optimizer, losses)
            if len(self._waiting) >= _MOST_WAITING or time.monotonic() - self._flushed > _FLUSH_S:
                self.flush(depth=2)

        return wrapped

    def flush(self, *, depth: int) -> None:
        """Log what waits; what fails is said once, and the rest of the block is not logged."""
        with self._mutex:
            waiting, self._waiting = self._waiting, []
            self._flushed = time.monotonic()
            if self._is_broken or not waiting:
                return
            self._is_broken = True
            with forgiving("What PyTorch trains", depth=depth):
                for place, metrics in self._read(waiting):
                    self._run.log_metrics(metrics, step=place)
                self._is_broken = False

    def _keep(self, optimizer: Any, losses: list[Any]) -> None:
        with self._mutex:
            steps = self._steps.get(optimizer)
            is_new = steps is None
            if steps is None:
                self._seen += 1
                steps = self._steps[optimizer] = _Steps("" if self._seen == 1 else f"opt{self._seen}.")
            metrics: dict[str, Any] = {f"{steps.prefix}loss": losses} if losses else {}
            for number, group in enumerate(optimizer.param_groups, 1):
                rate = group.get("lr")
                if rate is not None:
                    name = "lr" if number == 1 else f"lr_group{number}"
                    metrics[steps.prefix + name] = [rate if isinstance(rate, (int, float)) else self._copied(rate)]
            self._waiting.append((steps.count, metrics))
            steps.count += 1
        if is_new:
            self._run.log_params({steps.prefix + name: value for name, value in _described(optimizer).items()})

    def _copied(self, tensor: Any) -> Any:
        """Return a copy of one number, where it lies; None of anything else."""
        if self._torch.compiler.is_compiling() or tensor.numel() != 1 or not tensor.is_floating_point():
            return None
        return tensor.detach().reshape(()).clone()

    def _read(self, waiting: list[tuple[int, dict[str, Any]]]) -> Iterator[tuple[int, dict[str, float]]]:
        """Yield the steps with plain numbers, read from each device at once."""
        kinds: dict[Any, list[Any]] = {}
        for value in (value for _, metrics in waiting for values in metrics.values() for value in values):
            if isinstance(value, self._torch.Tensor):
                kinds.setdefault((value.device, value.dtype), []).append(value)
        numbers: dict[int, float] = {}
        for tensors in kinds.values():
            numbers |= zip(map(id, tensors), self._torch.stack(tensors).tolist(), strict=True)
        for place, metrics in waiting:
            yield (
                place,
                {
                    name: sum(numbers.get(id(value), value) for value in values) / len(values)
                    for name, values in metrics.items()
                },
            )


class _Steps:
    """How an optimizer is called, and how often it stepped."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.count = 0


class _Local(threading.local):
    """The losses of a thread since its last step, and those that were scaled and wait for their backward."""

    def __init__(self) -> None:
        self.losses: list[Any] = []
        self._scaled: list[tuple[weakref.ref[Any], Any]] = []

    def remember(self, scaled: Any, value: Any) -> None:
        self._scaled = [(weakref.ref(scaled), value), *(entry for entry in self._scaled if entry[0]() is not None)]

    def unscaled(self, loss: Any, copied: Callable[[Any], Any]) -> Any:
        for reference, value in self._scaled:
            if reference() is loss:
                return value
        return copied(loss)


def _described(optimizer: Any) -> Mapping[str, Any]:
    first = optimizer.param_groups[0]
    said = {name: _plain(value) for name, value in first.items() if name not in _SWITCHES and value is not None}
    count = sum(parameter.numel() for group in optimizer.param_groups for parameter in group["params"])
    return {"optimizer": type(optimizer).__name__, **said, "n_parameters": count}


def _plain(value: Any) -> Any:
    return shortened(float(value) if hasattr(value, "numel") and value.numel() == 1 else value)
