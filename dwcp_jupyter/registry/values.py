"""What the registry takes and gives: plain values.

`ModelMetadata` is what a user says of a version when it is registered; `ModelVersion` is what is kept of it, and
changes only in its stage, tags, description and custom metadata. Lists know how to show themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dwcp_jupyter.flavors import Framework, Signature
from dwcp_jupyter.registry.stages import Stage
from dwcp_jupyter.rendering import Displayed, Facts, Listed, Note, Table, View
from dwcp_jupyter.rendering.formats import byte_size, clip, duration_ms, moment

__all__ = ["Model", "ModelList", "ModelMetadata", "ModelVersion", "VersionList"]

_ROWS_SHOWN = 12
_CONDITION_SHOWN = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelMetadata:
    """What is said of a version when it is registered.

    Attributes
    ----------
    name : str
        The model's name.
    version : str, optional
        A semantic version, ``"v1.0.0"`` or ``"1.0.0"``. Without one: ``1.0.0`` for a new model, else the next one by
        the `bump` given to `register_model`.
    framework, framework_version : str, optional
        Taken from the model where it is given.
    metrics : mapping of str to float
        Finite numbers.
    parent : str, optional
        Reference of the version that this one came from. By default the highest before it.
    code : str, optional
        Source that made the model; kept as an artifact.
    """

    name: str
    version: str | None = None
    framework: Framework | str | None = None
    framework_version: str | None = None
    description: str = ""
    author: str | None = None
    training_dataset: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    tags: Sequence[str] = ()
    task_type: str | None = None
    training_started_at: datetime | None = None
    training_ended_at: datetime | None = None
    environment: Mapping[str, Any] = field(default_factory=dict)
    git_commit: str | None = None
    custom_metadata: Mapping[str, Any] = field(default_factory=dict)
    changelog: str = ""
    parent: str | None = None
    code: str | None = None
    run_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion(Displayed):
    """One registered version.

    Attributes
    ----------
    id, model_id : str
        Of the version, and of the model that it belongs to.
    sha256 : str or None
        Sum of the artifact; None for a draft.
    size_bytes : int or None
        Size of the artifact.
    """

    id: str
    model_id: str
    name: str
    version: str
    stage: Stage
    framework: Framework | None = None
    framework_version: str | None = None
    flavor: str | None = None
    sha256: str | None = None
    size_bytes: int | None = None
    signature: Signature | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    description: str = ""
    changelog: str = ""
    author: str | None = None
    task_type: str | None = None
    training_dataset: str | None = None
    training_started_at: datetime | None = None
    training_ended_at: datetime | None = None
    environment: Mapping[str, Any] = field(default_factory=dict)
    git_commit: str | None = None
    code_sha256: str | None = None
    run_id: str | None = None
    parent_id: str | None = None
    custom_metadata: Mapping[str, Any] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    created_at: datetime | None = None
    created_by: str = ""

    @property
    def reference(self) -> str:
        """``name@version``."""
        return f"{self.name}@{self.version}"

    @property
    def is_draft(self) -> bool:
        """Whether it has no artifact yet."""
        return self.sha256 is None

    def __repr__(self) -> str:
        return f"ModelVersion({self.reference}, stage={self.stage}{', draft' if self.is_draft else ''})"

    def _view(self) -> View:
        facts = {
            "Stage": str(self.stage) + (" (draft: no model file yet)" if self.is_draft else ""),
            "Aliases": ", ".join(self.aliases),
            "Description": self.description,
            "Changelog": self.changelog,
            "Tags": ", ".join(self.tags),
            "Author": self.author,
            "Registered": _registered(self.created_at, self.created_by),
            "Task": self.task_type,
            "Framework": " ".join(filter(None, (self.framework, self.framework_version))),
            "Training data": self.training_dataset,
            "Trained": _period(self.training_started_at, self.training_ended_at),
            "Run": self.run_id,
            "Git commit": self.git_commit,
            "Parent": self.parent_id,
            "SHA-256": self.sha256,
            "Size": None if self.size_bytes is None else byte_size(self.size_bytes),
        }
        blocks: list[Facts | Table] = [_facts(facts), Table(("Metric", "Value"), sorted(self.metrics.items()))]
        blocks += [_pairs_table("Hyperparameter", self.hyperparameters), _pairs_table("Metadata", self.custom_metadata)]
        if self.signature is not None:
            inputs = ((c.name, str(c.type), "yes" if c.nullable else "no") for c in self.signature.inputs)
            outputs = ((c.name, str(c.type)) for c in self.signature.outputs)
            blocks.append(_foldable(("Input", "Type", "May be missing"), inputs))
            blocks.append(_foldable(("Output", "Type"), outputs))
        return View(self.reference, _filled(blocks))


@dataclass(frozen=True, slots=True, kw_only=True)
class Model(Displayed):
    """A model: the name that its versions share.

    Attributes
    ----------
    latest : str or None
        Its highest version.
    stages : mapping of str to str
        The highest version in each stage that has one.
    """

    id: str
    name: str
    description: str
    task_type: str | None
    tags: tuple[str, ...]
    custom_metadata: Mapping[str, Any]
    created_at: datetime
    updated_at: datetime
    version_count: int
    latest: str | None
    stages: Mapping[str, str]
    aliases: Mapping[str, str]
    metrics: Mapping[str, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Model({self.name}, latest={self.latest}, versions={self.version_count})"

    def _view(self) -> View:
        facts = {
            "Description": self.description,
            "Tags": ", ".join(self.tags),
            "Task": self.task_type,
            "Versions": self.version_count,
            "Latest": self.latest,
            "Stages": _pairs(self.stages),
            "Aliases": _pairs(self.aliases),
            "Created": self.created_at,
            "Updated": self.updated_at,
        }
        metrics = Table((f"Metric of {self.latest}", "Value"), sorted(self.metrics.items()))
        return View(self.name, _filled([_facts(facts), metrics, _pairs_table("Metadata", self.custom_metadata)]))


class ModelList(Listed[Model]):
    """Models in order of their names; `wanted` is what they were filtered by."""

    __slots__ = ("_wanted",)

    def __init__(self, values: Iterable[Model] = (), *, wanted: Mapping[str, str] | None = None) -> None:
        super().__init__(values)
        self._wanted = dict(wanted or {})

    def _view(self) -> View:
        rows = [
            (
                m.name,
                m.latest or "",
                m.version_count,
                _pairs(m.stages),
                _pairs(m.aliases),
                _metrics(m.metrics),
                m.updated_at,
            )
            for m in self
        ]
        columns = ("Model", "Latest", "Versions", "Stages", "Aliases", "Metrics", "Updated")
        return View("Models", [Table(columns, rows)] if rows else [_empty("model", self._wanted)])


class VersionList(Listed[ModelVersion]):
    """Versions, the highest first; `wanted` is what they were filtered by."""

    __slots__ = ("_wanted",)

    def __init__(self, values: Iterable[ModelVersion] = (), *, wanted: Mapping[str, str] | None = None) -> None:
        super().__init__(values)
        self._wanted = dict(wanted or {})

    def only(self, *, stage: str | None = None, tag: str | None = None) -> VersionList:
        """Return those in a stage and with a tag, where given."""
        wanted = self._wanted | {name: value for name, value in (("stage", stage), ("tag", tag)) if value is not None}
        found = (v for v in self if stage in (None, v.stage) and (tag is None or tag in v.tags))
        return VersionList(found, wanted=wanted)

    def _view(self) -> View:
        is_mixed = len({v.name for v in self}) > 1
        rows = [
            (
                *([v.name] if is_mixed else []),
                v.version,
                f"{v.stage} (draft)" if v.is_draft else str(v.stage),
                ", ".join(v.aliases),
                _metrics(v.metrics),
                v.framework or "",
                v.changelog,
                v.created_at,
            )
            for v in self
        ]
        columns = ["Version", "Stage", "Aliases", "Metrics", "Framework", "Changelog", "Registered"]
        columns = ["Model", *columns] if is_mixed else columns
        title = f"Versions of {self[0].name}" if rows and not is_mixed else "Versions"
        return View(title, [Table(columns, rows)] if rows else [_empty("version", self._wanted)])


def _empty(what: str, wanted: Mapping[str, str]) -> Note:
    if not wanted:
        return Note(f"There is no {what} yet. Register one with %%register.", "info")
    had = " and ".join(f"the {name} '{value}'" for name, value in wanted.items() if name != "condition")
    met = f"meets the condition {clip(wanted['condition'], _CONDITION_SHOWN)}" if "condition" in wanted else ""
    return Note(f"No {what} {' and '.join(filter(None, (had and f'has {had}', met)))}.", "info")


def _facts(facts: Mapping[str, Any]) -> Facts:
    """Return the facts that there are."""
    return Facts({name: value for name, value in facts.items() if value not in (None, "")})


def _filled(blocks: Iterable[Facts | Table]) -> list[Facts | Table]:
    """Return the blocks that show something."""
    return [block for block in blocks if not isinstance(block, Table) or block.rows]


def _foldable(columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> Table:
    return Table(columns, rows, limit=_ROWS_SHOWN, is_foldable=True)


def _pairs_table(what: str, values: Mapping[str, Any]) -> Table:
    return _foldable((what, "Value"), sorted(values.items()))


def _registered(at: datetime | None, by: str) -> str:
    return " ".join(filter(None, ("" if at is None else moment(at), f"by {by}" if by else "")))


def _period(started: datetime | None, ended: datetime | None) -> str:
    """Return when a training began and ended, and how long it took."""
    said = [f"{word} {moment(at)}" for word, at in (("from", started), ("to", ended)) if at is not None]
    if started is not None and ended is not None:
        said.append(f"({duration_ms((ended - started).total_seconds() * 1000)})")
    return " ".join(said)


def _pairs(mapping: Mapping[str, str]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in mapping.items())


def _metrics(metrics: Mapping[str, float]) -> str:
    """Return the first metrics as text; those of the test where a version has any."""
    tested = {name: value for name, value in metrics.items() if name.startswith("test_")}
    chosen = tested or metrics
    shown = [f"{name} {value:.4g}" for name, value in sorted(chosen.items())[:3]]
    return ", ".join(shown) + (" …" if len(chosen) > 3 else "")
