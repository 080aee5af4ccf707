"""Which parameters a tuning method tries next: Optuna, a grid, or random draws.

Preparation does not depend on the model's parameters, so the folds come prepared and a trial only fits models. A trial
that is clearly worse than the others after its first folds is given up (pruned).
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from dwcp_jupyter import extras
from dwcp_jupyter.exceptions import PipelineConfigError, did_you_mean
from dwcp_jupyter.pipeline.config import PipelineConfig
from dwcp_jupyter.pipeline.progress import CancelToken, Progress, TrialProgress
from dwcp_jupyter.pipeline.run import Trial

__all__ = ["Objective", "check_space", "search"]

Objective = Callable[[Mapping[str, Any], Callable[[int, float], bool]], float | None]
"""Takes parameters and a function that hears the mean after each fold and says whether to give up; returns the mean of
all folds, or None where it was given up."""
_KEYS = {
    "int": ("type", "low", "high", "log", "step"),
    "float": ("type", "low", "high", "log", "step"),
    "categorical": ("type", "choices"),
}
_WARM_TRIALS = 5
_KEPT_PERCENT = 33.0
"""A trial goes on while its mean so far is among this share of the best at the same fold."""


def check_space(space: Mapping[str, Any], method: str) -> None:
    """Raise for a space that cannot be searched.

    Raises
    ------
    PipelineConfigError
        It names every fault.
    """
    faults = [fault for name, spec in space.items() if (fault := _fault(name, spec, method))]
    if faults:
        raise PipelineConfigError(" ".join(faults))


def _fault(name: str, spec: Any, method: str) -> str:
    if isinstance(spec, (list, tuple)):
        return "" if spec else f"param_space['{name}'] is empty."
    if not isinstance(spec, Mapping) or spec.get("type") not in {"int", "float", "categorical"}:
        return f"param_space['{name}'] must be a list, or a mapping with type 'int', 'float' or 'categorical'."
    known = _KEYS[spec["type"]]
    strange = [str(key) for key in spec if key not in known]
    if strange:
        hints = "".join(did_you_mean(key, known) for key in strange)
        named = ", ".join(map(repr, strange))
        return f"param_space['{name}'] has no key {named}.{hints} Keys of {spec['type']}: {', '.join(known)}."
    if spec["type"] == "categorical":
        return "" if spec.get("choices") else f"param_space['{name}'] needs 'choices'."
    return _range_fault(name, spec, method) or _step_fault(name, spec)


def _range_fault(name: str, spec: Mapping[str, Any], method: str) -> str:
    if method == "grid_search":
        return f"param_space['{name}'] is a range; grid_search needs a list of values."
    low, high = spec.get("low"), spec.get("high")
    if not all(_is_number(edge, spec["type"]) for edge in (low, high)) or not low <= high:  # type: ignore[operator]
        numbers = "whole numbers" if spec["type"] == "int" else "numbers"
        return f"param_space['{name}'] needs {numbers} 'low' <= 'high', not {low!r} and {high!r}."
    if spec.get("log") and low <= 0:  # type: ignore[operator]
        return f"param_space['{name}'] has a logarithmic scale, so 'low' must be above 0."
    return ""


def _step_fault(name: str, spec: Mapping[str, Any]) -> str:
    step = spec.get("step")
    if step is None:
        return ""
    if not _is_number(step, spec["type"]) or not step > 0:
        numbers = "a whole number" if spec["type"] == "int" else "a number"
        return f"param_space['{name}'] needs {numbers} above 0 as 'step', not {step!r}."
    if spec.get("log") and not (spec["type"] == "int" and step == 1):
        return f"param_space['{name}'] has a logarithmic scale, which has no 'step'. Leave one of them out."
    return ""


def _is_number(value: Any, kind: str) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value) and (kind == "float" or isinstance(value, int))


@dataclass(slots=True, kw_only=True)
class _Bookkeeping:
    config: PipelineConfig
    metric: str
    higher_is_better: bool
    total: int
    progress: Progress | None
    cancel: CancelToken
    began: float
    trials: list[Trial]

    def is_over(self) -> bool:
        self.cancel.check()
        return len(self.trials) >= self.total or time.monotonic() - self.began >= self.config.tuning_timeout

    def note(self, params: Mapping[str, Any], value: float | None) -> None:
        self.trials.append(Trial(number=len(self.trials), params=dict(params), value=value))
        if self.progress is not None:
            done, spent_s = len(self.trials), time.monotonic() - self.began
            left_s = min(spent_s / done * (self.total - done), max(0.0, self.config.tuning_timeout - spent_s))
            best = self.best()
            self.progress(
                TrialProgress(
                    done=done,
                    total=self.total,
                    metric=self.metric,
                    best=None if best is None else best.value,
                    remaining_s=left_s,
                )
            )

    def best(self) -> Trial | None:
        finished = [trial for trial in self.trials if trial.value is not None and math.isfinite(trial.value)]
        sign = 1 if self.higher_is_better else -1
        return max(finished, key=lambda trial: sign * float(trial.value or 0.0), default=None)


def search(
    objective: Objective,
    config: PipelineConfig,
    *,
    metric: str,
    higher_is_better: bool,
    progress: Progress | None,
    cancel: CancelToken,
) -> tuple[Trial | None, list[Trial]]:
    """Return the best trial and all of them, in order; the same for the same seed unless the time ran out."""
    book = _Bookkeeping(
        config=config,
        metric=metric,
        higher_is_better=higher_is_better,
        total=_count(config),
        progress=progress,
        cancel=cancel,
        began=time.monotonic(),
        trials=[],
    )
    if config.tuning_method == "optuna":
        _optuna(objective, config, book)
    else:
        for params in _candidates(config):
            if book.is_over():
                break
            book.note(params, objective(params, _keep_going(cancel)))
    return book.best(), book.trials


def _count(config: PipelineConfig) -> int:
    if config.tuning_method != "grid_search":
        return config.tuning_trials
    return math.prod(len(_values(spec)) for spec in config.param_space.values())


def _keep_going(cancel: CancelToken) -> Callable[[int, float], bool]:
    def report(_fold: int, _mean: float) -> bool:
        cancel.check()
        return False

    return report


def _optuna(objective: Objective, config: PipelineConfig, book: _Bookkeeping) -> None:
    optuna = extras.require("optuna", extra="tune", purpose="tuning_method='optuna'")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize" if book.higher_is_better else "minimize",
        sampler=optuna.samplers.TPESampler(seed=config.random_seed),
        pruner=optuna.pruners.PercentilePruner(_KEPT_PERCENT, n_startup_trials=_WARM_TRIALS, n_warmup_steps=0),
    )
    while not book.is_over():
        trial = study.ask()
        params = {name: _suggest(trial, name, spec) for name, spec in config.param_space.items()}

        def report(fold: int, mean: float, trial: Any = trial) -> bool:
            book.cancel.check()
            trial.report(mean, fold)
            return bool(trial.should_prune())

        value = objective(params, report)
        if value is None or not math.isfinite(value):
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            study.tell(trial, value)
        book.note(params, value)


def _suggest(trial: Any, name: str, spec: Any) -> Any:
    if isinstance(spec, (list, tuple)):
        return trial.suggest_categorical(name, list(spec))
    if spec["type"] == "categorical":
        return trial.suggest_categorical(name, list(spec["choices"]))
    is_log, step = bool(spec.get("log")), spec.get("step")
    high = spec["high"] if step is None else _on_step(spec, _steps(spec))  # Optuna warns of a rest beyond the last step
    if spec["type"] == "int":
        return trial.suggest_int(name, spec["low"], high, log=is_log, step=step or 1)
    return trial.suggest_float(name, spec["low"], high, log=is_log, step=step)


def _steps(spec: Mapping[str, Any]) -> int:
    """Return how many steps lead from `low` to the last value that is not above `high`."""
    return int((Decimal(str(spec["high"])) - Decimal(str(spec["low"]))) // Decimal(str(spec["step"])))


def _on_step(spec: Mapping[str, Any], number: int) -> Any:
    """Return the value `number` steps above `low`, computed in decimals so that .1 + 2 * .1 is .3."""
    value = Decimal(str(spec["low"])) + number * Decimal(str(spec["step"]))
    return int(value) if spec["type"] == "int" else float(value)


def _candidates(config: PipelineConfig) -> Iterator[dict[str, Any]]:
    space = config.param_space
    if config.tuning_method == "grid_search":
        for values in itertools.product(*(_values(spec) for spec in space.values())):
            yield dict(zip(space, values, strict=True))
        return
    rng = np.random.default_rng(config.random_seed)
    while True:
        yield {name: _draw(rng, spec) for name, spec in space.items()}


def _values(spec: Any) -> Sequence[Any]:
    return list(spec["choices"]) if isinstance(spec, Mapping) else list(spec)


def _draw(rng: np.random.Generator, spec: Any) -> Any:
    if isinstance(spec, (list, tuple)) or spec["type"] == "categorical":
        values = _values(spec)
        return values[int(rng.integers(len(values)))]
    if spec.get("step") is not None and not spec.get("log"):
        return _on_step(spec, int(rng.integers(_steps(spec) + 1)))
    low, high = spec["low"], spec["high"]
    value = math.exp(rng.uniform(math.log(low), math.log(high))) if spec.get("log") else float(rng.uniform(low, high))
    if spec["type"] == "float":
        return value
    return round(value) if spec.get("log") else int(rng.integers(low, high + 1))
