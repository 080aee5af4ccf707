"""What is fitted within a block logs itself: parameters, scores and curves.

Only on request, only in this process, and only for the length of the block: the ``fit`` of every estimator class that
is imported by then is wrapped, and put back afterwards. A fit within a fit, such as a search's or an ensemble's, is
part of the outer one, and what transforms only, such as a scaler, is not logged. The parameters of a second fit are
kept as ``fit2.NAME``. What cannot be logged is a warning: nobody loses a training by it.

Of an estimator of scikit-learn are kept its ``class`` and parameters, ``fit_s``, ``training_score`` (its own score on
the rows that it was fitted on), of a search ``best_cv_score`` and ``best_NAME``, and the curves that it has: ``loss``
by epoch, the score by stage. Of XGBoost, by its own interface too, the metrics of each evaluation set by round. Of
PyTorch, the loss and learning rate of each step: see `autologging_torch`.
"""

from __future__ import annotations

import functools
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from dwcp_jupyter.tracking import autologging_torch
from dwcp_jupyter.tracking.wrapping import forgiving, replace, shortened

if TYPE_CHECKING:
    from dwcp_jupyter.tracking.active import ActiveRun

__all__ = ["recorded"]

_CURVES = {"loss_curve_": "loss", "validation_scores_": "validation_score", "train_score_": "train_score"}
_LOSS_CALLED_SCORE = "sklearn.ensemble._gb"
"""Gradient boosting keeps its loss as ``train_score_``; histogram boosting, elsewhere, a score."""
_Evaluations = Mapping[str, Mapping[str, list[Any]]]


@contextmanager
def recorded(run: ActiveRun) -> Iterator[ActiveRun]:
    """Yield `run`, to which everything fitted within the block is logged."""
    log = _Log(run)
    with ExitStack() as undo:
        for cls in _estimator_classes():
            replace(undo, cls, "fit", log.fitting(cls.__dict__["fit"]))
        if (xgboost := sys.modules.get("xgboost")) is not None:
            replace(undo, xgboost, "train", log.boosting(xgboost.train, xgboost.callback.TrainingCallback))
        if (torch := sys.modules.get("torch")) is not None:
            undo.enter_context(autologging_torch.watched(run, torch))
        yield run


class _Log:
    """What is fitted now, and how many fits there were."""

    def __init__(self, run: ActiveRun) -> None:
        self._run = run
        self._mutex = threading.Lock()
        self._is_fitting = False
        self._fits = 0

    def fitting(self, fit: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(fit)
        def wrapped(estimator: Any, *args: Any, **kwargs: Any) -> Any:
            if _is_preparation(estimator) or not self._begin():
                return fit(estimator, *args, **kwargs)
            try:
                began = time.perf_counter()
                result = fit(estimator, *args, **kwargs)
                took_s = time.perf_counter() - began
                with forgiving("A fit"):
                    self._log_estimator(estimator, took_s, args, kwargs)
            finally:
                self._is_fitting = False
            return result

        return wrapped

    def boosting(self, train: Callable[..., Any], callback: Any) -> Callable[..., Any]:
        run = self._run

        class Watch(callback):  # type: ignore[misc]
            def after_iteration(
                self, _model: Any, epoch: int, evals_log: Mapping[str, Mapping[str, list[Any]]]
            ) -> bool:
                run.log_metrics(
                    {
                        f"{data}_{metric}": _mean(values[-1])
                        for data, metrics in evals_log.items()
                        for metric, values in metrics.items()
                    },
                    step=epoch,
                )
                return False

        @functools.wraps(train)
        def wrapped(params: Any, *args: Any, **kwargs: Any) -> Any:
            if not self._begin():
                return train(params, *args, **kwargs)
            try:
                with forgiving("A fit"):
                    self._log_params({"class": "xgboost.train", **dict(params)})
                kwargs["callbacks"] = [*(kwargs.get("callbacks") or ()), Watch()]
                began = time.perf_counter()
                booster = train(params, *args, **kwargs)
                with forgiving("A fit"):
                    run.log_metrics({"fit_s": time.perf_counter() - began})
            finally:
                self._is_fitting = False
            return booster

        return wrapped

    def _begin(self) -> bool:
        with self._mutex:
            if self._is_fitting:
                return False
            self._is_fitting = True
            self._fits += 1
            return True

    def _log_estimator(self, estimator: Any, took_s: float, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self._log_params({"class": type(estimator).__name__, **estimator.get_params()} | _found_by_search(estimator))
        scores = {"fit_s": took_s}
        score = _training_score(estimator, args, kwargs)
        if score is not None:
            scores["training_score"] = score
        if isinstance(best := getattr(estimator, "best_score_", None), float):
            scores["best_cv_score"] = best
        self._run.log_metrics(scores)
        for name, values in _curves(estimator).items():
            for step, value in enumerate(values):
                self._run.log_metrics({name: value}, step=step)

    def _log_params(self, params: Mapping[str, Any]) -> None:
        prefix = "" if self._fits == 1 else f"fit{self._fits}."
        self._run.log_params({f"{prefix}{name}": shortened(value) for name, value in params.items()})


def _estimator_classes() -> list[type]:
    """Return all classes of estimators that are imported and have a ``fit`` of their own."""
    from sklearn.base import BaseEstimator

    found: dict[type, None] = {}
    waiting: list[type] = [BaseEstimator]
    while waiting:
        subclasses: list[type] = waiting.pop().__subclasses__()
        for cls in subclasses:
            if cls not in found:
                found[cls] = None
                waiting.append(cls)
    return [cls for cls in found if callable(cls.__dict__.get("fit"))]


def _is_preparation(estimator: Any) -> bool:
    """Return whether an estimator transforms only, as a scaler does."""
    return hasattr(estimator, "transform") and not hasattr(estimator, "predict")


def _training_score(estimator: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> float | None:
    """Return the estimator's own score on what it was fitted on; None for one without, such as a transformer's."""
    inputs = args[0] if args else kwargs.get("X")
    target = args[1] if len(args) > 1 else kwargs.get("y")
    if inputs is None or target is None or not hasattr(estimator, "score"):
        return None
    try:
        return float(estimator.score(inputs, target))
    except (TypeError, ValueError, AttributeError):  # a score of another kind, as of a density
        return None


def _found_by_search(estimator: Any) -> dict[str, Any]:
    best = getattr(estimator, "best_params_", None)
    return {f"best_{name}": value for name, value in best.items()} if isinstance(best, Mapping) else {}


def _curves(estimator: Any) -> dict[str, list[float]]:
    curves: dict[str, list[float]] = {}
    for attribute, name in _CURVES.items():
        values = getattr(estimator, attribute, None)
        if values is not None and getattr(values, "__len__", None) and len(values) > 1:
            is_loss = attribute == "train_score_" and type(estimator).__module__ == _LOSS_CALLED_SCORE
            curves["train_loss" if is_loss else name] = [float(value) for value in values]
    results = getattr(estimator, "evals_result_", None)  # of XGBoost's estimators
    if isinstance(results, Mapping):
        for data, metrics in results.items():
            curves |= {f"{data}_{metric}": [_mean(value) for value in values] for metric, values in metrics.items()}
    return curves


def _mean(value: Any) -> float:
    return float(value[0] if isinstance(value, tuple) else value)  # of xgboost.cv, a mean and its deviation
