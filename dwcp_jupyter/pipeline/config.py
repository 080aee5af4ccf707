"""What a pipeline is to do.

The configuration can be changed until it runs, since that is how people work in notebooks; but a field that does not
exist is refused when it is assigned, not ignored. It is checked as a whole when it runs, all faults at once, and frozen
into the run.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from dwcp_jupyter.exceptions import InvalidNameError, PipelineConfigError, did_you_mean
from dwcp_jupyter.pipeline.as_json import as_json
from dwcp_jupyter.registry.names import check_name

__all__ = ["PipelineConfig"]

MODEL_TYPES = ("sklearn", "xgboost", "pytorch", "tensorflow")
TUNING_METHODS = ("optuna", "grid_search", "random_search")
BACKENDS = ("gloo", "nccl", "mpi")
TRANSFORMS = ("scale", "encode", "polynomial", "impute")
_LATER = ("pytorch", "tensorflow")


@dataclass
class PipelineConfig:
    """The configuration of one pipeline.

    Attributes
    ----------
    name : str
        The pipeline's name; it becomes a folder's and a model's, so it is checked at once.
    data_source : str, path, DataFrame or Arrow table
        A ``.csv`` or ``.parquet`` file, or the data themselves.
    target_column : str
        What is to be predicted.
    task : str, optional
        ``"classification"`` or ``"regression"``; inferred from the target without it.
    test_size, validation_size : float
        Shares of the rows, in (0, 1).
    model_type : str
        ``"sklearn"`` or ``"xgboost"``.
    model_class : str
        A class name of the library, such as ``"RandomForestClassifier"``, or its short name, ``"RandomForest"``.
    param_space : mapping
        Per parameter ``{"type": "int" | "float", "low":, "high":, "log":, "step":}``, ``{"type": "categorical",
        "choices":}`` or a list of values. With ``step`` the values are low, low + step, … up to high.
    tuning_timeout : float
        Longest time for tuning, in seconds.
    metrics : sequence of str
        Names from `statistics.scores`; the first one decides in tuning. By default accuracy, precision, recall and
        F1 for classification, R², MAE and RMSE for regression.
    output_dir : path
        Where the files of a run are written; ``./ml_output/<name>`` by default.

    Examples
    --------
    >>> config = PipelineConfig(name="churn", target_column="churned")
    >>> config.test_size, config.tuning_trials
    (0.2, 100)
    """

    name: str
    data_source: Any = None
    target_column: str | None = None
    description: str = ""
    task: str | None = None
    test_size: float = 0.2
    validation_size: float = 0.1
    random_seed: int = 42
    model_type: str = "sklearn"
    model_class: str = "RandomForest"
    model_params: Mapping[str, Any] = field(default_factory=dict)
    enable_tuning: bool = False
    tuning_method: str = "optuna"
    tuning_trials: int = 100
    tuning_timeout: float = 3600
    param_space: Mapping[str, Any] = field(default_factory=dict)
    feature_transforms: Sequence[Mapping[str, Any]] = field(default_factory=list)
    enable_auto_feature_engineering: bool = False
    enable_distributed: bool = False
    num_workers: int = 1
    backend: str = "gloo"
    cross_validation_folds: int = 5
    metrics: Sequence[str] | None = None
    early_stopping: bool = True
    early_stopping_patience: int = 10
    checkpoint_interval: int = 10
    output_dir: str | Path | None = None
    save_intermediate: bool = True

    def __setattr__(self, name: str, value: Any) -> None:
        known = self.__dataclass_fields__
        if name not in known:
            raise PipelineConfigError(
                f"PipelineConfig has no field '{name}'.{did_you_mean(name, known)} Fields: {', '.join(known)}."
            )
        if self.__dict__.get("_is_frozen"):
            raise PipelineConfigError(
                "This configuration belongs to a run and does not change. Change the pipeline's own."
            )
        object.__setattr__(self, name, _name(value) if name == "name" else value)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """Return the configuration with these fields.

        Raises
        ------
        PipelineConfigError
            For unknown fields, all at once.
        """
        known = [entry.name for entry in fields(cls)]
        strange = [str(name) for name in values if name not in known]
        if strange:
            hints = "".join(did_you_mean(name, known) for name in strange)
            raise PipelineConfigError(
                f"PipelineConfig has no field {', '.join(map(repr, strange))}.{hints} Fields: {', '.join(known)}."
            )
        if not values.get("name"):
            raise PipelineConfigError("A pipeline needs a name.")
        return cls(**values)

    @classmethod
    def from_yaml(cls, text: str) -> Self:
        """Return the configuration that a YAML text describes."""
        import yaml

        try:
            values = yaml.safe_load(text)
        except yaml.YAMLError as exc:
            raise PipelineConfigError(f"The text is no YAML: {exc}") from exc
        if not isinstance(values, Mapping):
            raise PipelineConfigError("The YAML holds no fields. Write one 'field: value' a line.")
        return cls.from_mapping(values)

    def freeze(self) -> Self:
        """Return a checked copy that does not change any more; the data are not copied.

        Raises
        ------
        PipelineConfigError
            It names every fault.
        """
        faults = self._faults()
        if faults:
            raise PipelineConfigError(" ".join(faults))
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        kept = {name: value if name == "data_source" else copy.deepcopy(value) for name, value in values.items()}
        frozen = type(self)(**kept)
        frozen.__dict__["_is_frozen"] = True
        return frozen

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON; data are named by their type and shape."""
        return {entry.name: as_json(getattr(self, entry.name), non_finite=str) for entry in fields(self)}

    @property
    def folder(self) -> Path:
        """Where the run's files are written."""
        return Path(self.output_dir) if self.output_dir is not None else Path("ml_output") / self.name

    def _faults(self) -> list[str]:
        return [*self._data_faults(), *self._model_faults(), *self._number_faults(), *self._transform_faults()]

    def _data_faults(self) -> list[str]:
        faults = []
        if self.data_source is None:
            faults.append("data_source is missing: name a .csv or .parquet file, or give a data frame.")
        if not self.target_column:
            faults.append("target_column is missing: name the column to predict.")
        sizes = (self.test_size, self.validation_size)
        if not all(isinstance(size, (int, float)) and 0 < size < 1 for size in sizes) or sum(sizes) >= 1:
            faults.append(
                f"test_size={sizes[0]} and validation_size={sizes[1]} must each be in (0, 1) and sum to less than 1."
            )
        if self.task not in {None, "classification", "regression"}:
            faults.append(f"task='{self.task}' must be 'classification' or 'regression'.")
        return faults

    def _model_faults(self) -> list[str]:
        faults = [
            _choice("model_type", self.model_type, MODEL_TYPES),
            _choice("tuning_method", self.tuning_method, TUNING_METHODS),
            _choice("backend", self.backend, BACKENDS),
        ]
        if self.model_type in _LATER:
            faults.append(f"model_type='{self.model_type}' is not part of this release. Use 'sklearn' or 'xgboost'.")
        if self.enable_distributed or self.num_workers != 1:
            faults.append(
                "Distributed training is not part of this release. Leave enable_distributed and num_workers out."
            )
        if self.enable_tuning and not self.param_space:
            faults.append("enable_tuning needs a param_space to search.")
        return [fault for fault in faults if fault]

    def _number_faults(self) -> list[str]:
        faults = []
        for name, least in (("tuning_trials", 1), ("cross_validation_folds", 2), ("early_stopping_patience", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                faults.append(f"{name}={value!r} must be a whole number of at least {least}.")
        if not isinstance(self.tuning_timeout, (int, float)) or not self.tuning_timeout > 0:
            faults.append(f"tuning_timeout={self.tuning_timeout!r} must be a number of seconds above 0.")
        return faults

    def _transform_faults(self) -> list[str]:
        faults = []
        for number, transform in enumerate(self.feature_transforms, start=1):
            kind = transform.get("type")
            if kind not in TRANSFORMS:
                near = did_you_mean(str(kind), TRANSFORMS)
                faults.append(f"feature_transforms[{number}]: no type '{kind}'.{near} Types: {', '.join(TRANSFORMS)}.")
            if not transform.get("columns"):
                faults.append(f"feature_transforms[{number}]: name its columns.")
            if self.target_column in (transform.get("columns") or ()):
                faults.append(
                    f"feature_transforms[{number}] names the target '{self.target_column}', which is no input."
                )
        return faults


def _name(value: Any) -> str:
    try:
        return check_name(value, what="pipeline")
    except InvalidNameError as exc:
        raise PipelineConfigError(str(exc)) from exc


def _choice(name: str, value: Any, choices: Sequence[str]) -> str:
    if value in choices:
        return ""
    return f"{name}='{value}' is none of {', '.join(choices)}.{did_you_mean(str(value), choices)}"
