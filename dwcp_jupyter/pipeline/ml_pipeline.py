"""The run of a pipeline: ten stages, one after the other.

The synchronous `run` is the real thing: it works in the calling thread, so that interrupting a kernel ends it.
`execute` is the same for those who await. A run that ends early, however it ends, is recorded as such and leaves the
output folder as it was.
"""

from __future__ import annotations

import asyncio
import os
import time
import uuid
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import Pipeline

from dwcp_jupyter import store
from dwcp_jupyter.exceptions import DwcpError, PipelineConfigError, PipelineError
from dwcp_jupyter.pipeline import evaluation, export, loading, records, reference, search, training, validation
from dwcp_jupyter.pipeline.as_json import as_json
from dwcp_jupyter.pipeline.config import PipelineConfig
from dwcp_jupyter.pipeline.estimators import takes_missing
from dwcp_jupyter.pipeline.preparation import Preparation, plan
from dwcp_jupyter.pipeline.progress import CancelToken, Progress, RunCancelledError, StageProgress
from dwcp_jupyter.pipeline.run import PipelineRun
from dwcp_jupyter.pipeline.splitting import Part, Split, folds, split
from dwcp_jupyter.pipeline.stages import PipelineStage, RunStatus
from dwcp_jupyter.statistics.scores import Score, interval

__all__ = ["MLPipeline"]


class MLPipeline:
    """Runs a configuration.

    Parameters
    ----------
    config : PipelineConfig
        What to do; it may be changed until a run starts.
    storage : Stores or path, optional
        The workspace that keeps the run's record and data.

    Examples
    --------
    ::

        run = MLPipeline(config).run()          # or: await MLPipeline(config).execute()
        run.metrics["test_accuracy"]
    """

    def __init__(self, config: PipelineConfig, storage: store.Stores | str | os.PathLike[str] | None = None) -> None:
        self.config = config
        self.model_builder: Callable[..., Any] | None = None
        self._storage = storage

    @classmethod
    def from_yaml(cls, text: str, storage: store.Stores | str | os.PathLike[str] | None = None) -> Self:
        """Return the pipeline of a configuration in YAML."""
        return cls(PipelineConfig.from_yaml(text), storage)

    def run(self, *, progress: Progress | None = None, cancel: CancelToken | None = None) -> PipelineRun:
        """Return the finished run.

        Parameters
        ----------
        progress : Progress, optional
            Called at the start and end of each stage and after each trial.
        cancel : CancelToken, optional
            Ends the run at its next stage, trial or fold; it then comes back with the status cancelled.

        Raises
        ------
        PipelineConfigError
            If the configuration does not hold together; nothing has run then.
        DataValidationError
            If the data cannot be trained on.
        PipelineError
            If a stage failed otherwise; its cause is attached, and the run is recorded as failed.
        KeyboardInterrupt
            If the kernel was interrupted; the run is recorded as cancelled.
        """
        frozen = self.config.freeze()
        if self.model_builder is not None:
            raise PipelineConfigError("model_builder is not part of this release. Name a model_class instead.")
        stores = store.as_stores(self._storage)
        run = PipelineRun(run_id=uuid.uuid4().hex, config=frozen, started_at=stores.clock())
        return _Execution(run, stores, progress, cancel or CancelToken()).execute()

    async def execute(self, *, progress: Progress | None = None) -> PipelineRun:
        """Return the finished run, which works in a thread; cancelling the task ends it."""
        cancel = CancelToken()
        work = asyncio.create_task(asyncio.to_thread(self.run, progress=progress, cancel=cancel))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            cancel.cancel()
            await asyncio.wait([work])
            raise


class _Execution:
    """One run under way: what the stages hand to each other."""

    def __init__(self, run: PipelineRun, stores: store.Stores, progress: Progress | None, cancel: CancelToken) -> None:
        self.record = run
        self.config = run.config
        self.stores = stores
        self.progress = progress
        self.cancel = cancel
        self.frame: pd.DataFrame
        self.split: Split
        self.preparation: Preparation
        self.fitter: training.Fitter
        self.scores: dict[str, Score]
        self.folds: list[evaluation.Fold]
        self.pipeline: Pipeline
        self.with_interactions = False
        self.outbox: export.Outbox

    def execute(self) -> PipelineRun:
        records.start(self.stores, self.record)
        self.record.status = RunStatus.RUNNING
        try:
            self.outbox = export.Outbox(self.config.folder, self.record.run_id)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", category=ConvergenceWarning)  # the scores say it
                for stage, work in self._stages():
                    with self._stage(stage):
                        work()
            self._end(RunStatus.COMPLETED)
        except RunCancelledError:
            self._end(RunStatus.CANCELLED)
        except KeyboardInterrupt:
            self._end(RunStatus.CANCELLED)
            raise
        except BaseException as exc:
            self.record.errors.append(f"{type(exc).__name__}: {exc}")
            self._end(RunStatus.FAILED)
            if isinstance(exc, DwcpError) or not isinstance(exc, Exception):
                raise
            current = self.record.current_stage
            name = "start" if current is None else current.value
            raise PipelineError(
                f"Pipeline '{self.config.name}' failed in stage '{name}': {exc}", stage=name, run_id=self.record.run_id
            ) from exc
        return self.record

    def _stages(self) -> list[tuple[PipelineStage, Callable[[], None]]]:
        return [
            (PipelineStage.DATA_LOADING, self._load),
            (PipelineStage.DATA_VALIDATION, self._validate),
            (PipelineStage.FEATURE_ENGINEERING, self._engineer),
            (PipelineStage.DATA_SPLITTING, self._split),
            (PipelineStage.HYPERPARAMETER_TUNING, self._tune),
            (PipelineStage.MODEL_TRAINING, self._train),
            (PipelineStage.MODEL_VALIDATION, self._validate_model),
            (PipelineStage.MODEL_TESTING, self._test),
            (PipelineStage.MODEL_EXPORT, self._export),
            (PipelineStage.DEPLOYMENT_PREP, self._prepare_deployment),
        ]

    @contextmanager
    def _stage(self, stage: PipelineStage) -> Iterator[None]:
        self.cancel.check()
        position, total = list(PipelineStage).index(stage) + 1, len(PipelineStage)
        self.record.current_stage = stage
        self._tell(StageProgress(stage=stage, position=position, total=total))
        began = time.monotonic()
        yield
        spent_s = time.monotonic() - began
        self.record.durations_s[stage.value] = spent_s
        self.record.stages_completed.append(stage)
        self._tell(StageProgress(stage=stage, position=position, total=total, duration_s=spent_s))

    def _tell(self, event: StageProgress) -> None:
        if self.progress is not None:
            self.progress(event)

    def _log(self, text: str) -> None:
        self.record.logs.append(f"{self.stores.clock():%H:%M:%S} {text}")

    def _end(self, status: RunStatus) -> None:
        self.record.status = status
        self.record.ended_at = self.stores.clock()
        if status is RunStatus.COMPLETED:
            self.record.current_stage = None
            self.outbox.json(f"run_{self.record.started_at:%Y%m%d_%H%M%S}.json", export.record(self.record))
            delivered = self.outbox.deliver()
            self.record.artifacts.update({_ROLES.get(name, name): path for name, path in delivered.items()})
            self.record.package_dir = Path(delivered[export.PACKAGE])
        elif hasattr(self, "outbox"):
            self.outbox.discard()
        records.end(self.stores, self.record)

    def _load(self) -> None:
        self.frame = loading.load(self.config.data_source)
        self.record.training_data = self.stores.frames.put(self.frame)
        if self.config.save_intermediate:
            self.outbox.frame("data_raw.parquet", self.frame)
        self._log(f"Loaded {len(self.frame):,} rows and {self.frame.shape[1]} columns.")

    def _validate(self) -> None:
        found = validation.validate(self.frame, self.config)
        self.frame, self.record.task = found.frame, found.task
        self.record.warnings.extend(found.warnings)
        self.scores = evaluation.scores_for(self.config.metrics, found.task)
        target = self.frame[str(self.config.target_column)]
        classes = np.unique(target.to_numpy()).tolist() if found.task == "classification" else []
        self.fitter = training.Fitter(self.config, found.task, classes, n_rows=len(self.frame))
        if self.config.enable_tuning:
            search.check_space(self.config.param_space, self.config.tuning_method)
        self._log(f"Data are fit for {found.task}: {len(self.frame):,} rows, {len(found.warnings)} warnings.")

    def _engineer(self) -> None:
        inputs = self.frame.drop(columns=str(self.config.target_column))
        is_able = takes_missing(self.fitter.cls)
        self.preparation = plan(inputs, self.config.feature_transforms, takes_missing=is_able)
        for note in self.preparation.notes:
            self._log(note)
        self._log(f"{len(self.preparation.columns)} input columns are used.")

    def _split(self) -> None:
        assert self.record.task is not None
        self.split = split(self.frame, self.config, self.record.task)
        parts = self.split
        self._log(
            f"Rows: {len(parts.train):,} training, {len(parts.validation):,} validation, {len(parts.test):,} test."
        )
        rows = folds(parts.train, self.config, self.record.task)
        self.folds = training.prepared(self.preparation, parts.train, rows, with_interactions=False)
        if self.config.enable_auto_feature_engineering and len(self.preparation.numeric) > 1:
            self._try_interactions(rows)

    def _try_interactions(self, rows: Sequence[Any]) -> None:
        """Keep products and ratios only where they help on held-out folds of the training rows."""
        name, score = next(iter(self.scores.items()))
        wider = training.prepared(self.preparation, self.split.train, rows, with_interactions=True)
        values = [
            training.fold_scores(self.fitter, {}, made, {name: score}, self.cancel)[name]
            for made in (self.folds, wider)
        ]
        self.with_interactions = training.interactions_help(*values, higher_is_better=score.higher_is_better)
        if self.with_interactions:
            self.folds = wider
        means = f"{np.mean(values[0]):.4f} without, {np.mean(values[1]):.4f} with them"
        verdict = (
            "kept" if self.with_interactions else "not kept: no better on held-out folds than chance would make them"
        )
        self._log(f"Products and ratios of inputs {verdict} ({name}: {means}).")

    def _tune(self) -> None:
        if not self.config.enable_tuning:
            self._log("Tuning is off.")
            return
        name, score = next(iter(self.scores.items()))
        best, trials = search.search(
            training.objective(self.fitter, self.folds, score),
            self.config,
            metric=name,
            higher_is_better=score.higher_is_better,
            progress=self.progress,
            cancel=self.cancel,
        )
        self.record.tuning_history = trials
        if best is None:
            raise PipelineError(
                f"None of {len(trials)} trials gave a value of '{name}'. Widen param_space or tuning_timeout.",
                stage=PipelineStage.HYPERPARAMETER_TUNING.value,
                run_id=self.record.run_id,
            )
        self.record.hyperparameters = dict(best.params)
        pruned = sum(trial.value is None for trial in trials)
        self._log(
            f"Tuned in {len(trials)} trials ({pruned} given up early): best cross-validated {name} {best.value:.4f}."
        )

    def _train(self) -> None:
        self.pipeline = training.fitted(
            self.fitter,
            self.preparation,
            self.record.hyperparameters,
            self.split.train,
            self.split.validation,
            with_interactions=self.with_interactions,
            patience=self.config.early_stopping_patience if self.config.early_stopping else None,
        )
        self.record.hyperparameters = {**self.config.model_params, **self.record.hyperparameters}
        if self.config.save_intermediate:
            self.outbox.frame("data_engineered.parquet", training.engineered(self.pipeline, self._inputs(self.frame)))
        self._log(f"Trained {self.fitter.cls.__name__} on {len(self.split.train):,} rows.")

    def _validate_model(self) -> None:
        found = training.fold_scores(self.fitter, self._tuned(), self.folds, self.scores, self.cancel)
        for name, values in found.items():
            self.record.metrics[f"cv_{name}"] = float(np.mean(values))
            self.record.metrics[f"cv_{name}_std"] = float(np.std(values, ddof=1))
        self._score("validation", self.split.validation)

    def _test(self) -> None:
        said = self._score("test", self.split.test)
        for name, score in self.scores.items():
            self.record.intervals[f"test_{name}"] = interval(score, said, seed=self.config.random_seed)
        predictions = pd.DataFrame({"actual": said.y_true, "predicted": said.y_pred})
        if said.probabilities is not None:
            for place, label in enumerate(said.classes):
                predictions[f"probability_{label}"] = said.probabilities[:, place]
        self.outbox.frame("test_predictions.csv", predictions)

    def _score(self, part_name: str, part: Part) -> Any:
        said = evaluation.answers(
            self.pipeline,
            self._inputs(part.inputs),
            part.target.to_numpy(),
            classes=self.fitter.classes,
            with_probabilities=True,
        )
        for name, score in self.scores.items():
            self.record.metrics[f"{part_name}_{name}"] = score(said)
        return said

    def _export(self) -> None:
        self.outbox.pickled("model.pkl", self.pipeline.named_steps["model"])
        self.outbox.pickled("feature_engineer.pkl", self.pipeline.named_steps["prepare"])
        inputs = self._inputs(self.split.train.inputs)
        said = np.asarray(self.pipeline.predict(inputs))
        info = export.package(
            self.pipeline, inputs, said, self.outbox.path(export.PACKAGE), nullable=self.preparation.nullable
        )
        self.outbox.json(
            "model_metadata.json",
            {
                "pipeline": self.config.name,
                "package_sha256": info.sha256,
                "model_class": self.fitter.cls.__name__,
                "task": self.record.task,
                "classes": info.classes,
                "signature": None if info.signature is None else info.signature.to_json(),
                "metrics": self.record.metrics,
                "hyperparameters": as_json(self.record.hyperparameters, non_finite=str),
                "packages": dict(info.packages),
            },
        )
        self.record.reference = reference.make(
            self.pipeline, self.split, self.preparation.columns, seed=self.config.random_seed
        )

    def _prepare_deployment(self) -> None:
        from dwcp_jupyter import flavors

        loaded = flavors.load_model(self.outbox.path(export.PACKAGE))
        part = self._inputs(self.split.test.inputs)
        again = loaded.predict(part).values
        if not _agree(again, np.asarray(self.pipeline.predict(part))):
            raise PipelineError(
                "The package answers otherwise than the model that was trained. It is not kept.",
                stage=PipelineStage.DEPLOYMENT_PREP.value,
                run_id=self.record.run_id,
            )
        self._log(f"The package answers all {len(part):,} test rows as the trained model does.")

    def _inputs(self, frame: pd.DataFrame) -> pd.DataFrame:
        return frame[list(self.preparation.columns)]

    def _tuned(self) -> dict[str, Any]:
        return {key: value for key, value in self.record.hyperparameters.items() if key in self.config.param_space}


_ROLES = {
    "model.pkl": "model",
    "feature_engineer.pkl": "feature_engineer",
    "model_metadata.json": "model_metadata",
    "data_raw.parquet": "data_raw",
    "data_engineered.parquet": "data_engineered",
    "test_predictions.csv": "test_predictions",
}


def _agree(left: np.ndarray[Any, Any], right: np.ndarray[Any, Any]) -> bool:
    if np.issubdtype(right.dtype, np.floating):
        return bool(np.allclose(left, right, rtol=1e-9, atol=1e-9))
    return bool((left == right).all())
