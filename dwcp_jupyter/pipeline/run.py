"""What came of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dwcp_jupyter.pipeline.config import PipelineConfig
from dwcp_jupyter.pipeline.stages import PipelineStage, RunStatus
from dwcp_jupyter.rendering import Displayed, Facts, Lines, Note, Table, View

if TYPE_CHECKING:
    import pandas as pd

    from dwcp_jupyter.store import FrameRef

__all__ = ["PipelineRun", "Trial"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One set of parameters tried in tuning; `value` is None where it was pruned."""

    number: int
    params: Mapping[str, Any]
    value: float | None


@dataclass(slots=True, kw_only=True)
class PipelineRun(Displayed):
    """A run: filled while it is under way, then left alone.

    Attributes
    ----------
    metrics : dict of str to float
        ``test_accuracy``, ``validation_accuracy``, ``cv_accuracy`` and so on.
    intervals : dict of str to (float, float)
        95% confidence intervals of the test metrics.
    artifacts : dict of str to str
        Paths of the files written, ``"model"`` among them.
    durations_s : dict of str to float
        Seconds per completed stage.
    package_dir : Path or None
        The package to register: preprocessing and model in safe formats.
    reference : DataFrame or None
        Inputs against which drift is measured, with the model's answers in ``prediction``: to validation and test rows
        only, since those to rows it was fitted on are surer than any it gives later.
    """

    run_id: str
    config: PipelineConfig
    started_at: datetime
    ended_at: datetime | None = None
    status: RunStatus = RunStatus.PENDING
    current_stage: PipelineStage | None = None
    stages_completed: list[PipelineStage] = field(default_factory=list)
    durations_s: dict[str, float] = field(default_factory=dict)
    logs: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    task: str | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    tuning_history: list[Trial] = field(default_factory=list)
    artifacts: dict[str, str] = field(default_factory=dict)
    training_data: FrameRef | None = None
    package_dir: Path | None = None
    reference: pd.DataFrame | None = None

    def __repr__(self) -> str:
        return (
            f"PipelineRun({self.config.name}, {self.status}, stages={len(self.stages_completed)}/{len(PipelineStage)})"
        )

    def _view(self) -> View:
        blocks: list[Any] = [
            Facts({"Status": str(self.status), "Model": self._model(), "Task": self.task or "not known yet"})
        ]
        blocks += [Note(text, "critical") for text in self.errors]
        blocks += [Note(text, "warning") for text in self.warnings]
        if self.metrics:
            blocks.append(
                Table(("Metric", "Cross-validation", "Validation", "Test", "95% interval of test"), self._scores())
            )
        if self.hyperparameters:
            rows = [(name, str(value)) for name, value in sorted(self.hyperparameters.items())]
            blocks.append(Table(("Parameter", "Value"), rows))
        blocks += self._history()
        return View(f"Pipeline {self.config.name}", blocks)

    def _model(self) -> str:
        return f"{self.config.model_class} ({self.config.model_type})"

    def _scores(self) -> list[tuple[Any, ...]]:
        names = [name.removeprefix("test_") for name in self.metrics if name.startswith("test_")]
        rows = []
        for name in names:
            low, high = self.intervals.get(f"test_{name}", (float("nan"), float("nan")))
            values = [self.metrics.get(f"{part}_{name}") for part in ("cv", "validation", "test")]
            rows.append((name, *values, f"{low:.4f} to {high:.4f}"))
        return rows

    def _history(self) -> list[Any]:
        finished = [trial for trial in self.tuning_history if trial.value is not None]
        if len(finished) < 2:
            return []
        values = {"value of a trial": [trial.value for trial in finished]}
        return [
            Lines(
                "Tuning history",
                [trial.number for trial in finished],
                values,
                x_label="trial",
                y_label="cross-validated score",
            )
        ]
