"""The domains over one set of stores."""

from __future__ import annotations

import functools
import os
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dwcp_jupyter import config, store
from dwcp_jupyter._version import __version__
from dwcp_jupyter.events import ChainBreak, Event
from dwcp_jupyter.exceptions import FlavorError
from dwcp_jupyter.workspace.reports import Diagnosis, VersionReport, WorkspaceStatus

if TYPE_CHECKING:
    from dwcp_jupyter.monitoring import DriftReport, MLMonitor
    from dwcp_jupyter.pipeline import PipelineConfig, PipelineRun
    from dwcp_jupyter.registry import GarbageReport, ModelRegistry, ModelVersion, TrashList
    from dwcp_jupyter.registry.names import ModelReference
    from dwcp_jupyter.serving import Endpoint, ModelServer, PredictionResponse
    from dwcp_jupyter.tracking import ActiveRun, RunList, RunRecord, Tracker
    from dwcp_jupyter.workspace.copying import Copied
    from dwcp_jupyter.workspace.trail import AuditTrail, Checkpoint

__all__ = ["Workspace", "find"]

_DEPLOY_OPTIONS = ("compile", "lifetime", "trust", "timeout_s")


@functools.lru_cache(maxsize=16)
def _opened(root: Path) -> Workspace:
    return Workspace(root)


def find(path: str | os.PathLike[str] | None = None) -> Workspace:
    """Return the workspace at `path` or above the working directory; one object as long as it is one folder."""
    return _opened(config.locate(path).root)


class Workspace:
    """One project's models, runs, endpoints and their history.

    Parameters
    ----------
    storage : Stores or path, optional
        The workspace folder, or a project folder that holds one; found from the working directory without it.

    Examples
    --------
    ::

        ws = Workspace()
        version = ws.register("churn", model, version="1.0.0")
        endpoint = ws.deploy("churn@1.0.0")
        ws.predict("churn", {"age": 42, "balance": 10.5})
    """

    def __init__(self, storage: store.Stores | str | os.PathLike[str] | None = None) -> None:
        self.stores = store.as_stores(storage)

    @functools.cached_property
    def registry(self) -> ModelRegistry:
        """Models and their versions."""
        from dwcp_jupyter.registry import ModelRegistry

        return ModelRegistry(self.stores)

    @functools.cached_property
    def serving(self) -> ModelServer:
        """Endpoints."""
        from dwcp_jupyter.serving import ModelServer

        return ModelServer(self.stores)

    @functools.cached_property
    def tracker(self) -> Tracker:
        """Runs of experiments and pipelines."""
        from dwcp_jupyter.tracking import Tracker

        return Tracker(self.stores)

    def run(self, name: str, **said: Any) -> ActiveRun:
        """Return a run to log parameters, metrics and files to; see `Tracker.start`.

        Examples
        --------
        ::

            with ws.run("churn-forest", params={"depth": 8}) as run:
                run.log_metrics({"val_loss": 0.31}, step=1)
        """
        return self.tracker.start(name, **said)

    def runs(self, condition: str | None = "", **options: Any) -> RunList:
        """Return the runs that meet a condition, the latest first; see `Tracker.search_runs`."""
        return self.tracker.search_runs(condition or "", **options)

    def monitor(self, model_id: ModelReference, model_version: str | None = None) -> MLMonitor:
        """Return the monitor of one version."""
        from dwcp_jupyter.monitoring import MLMonitor
        from dwcp_jupyter.registry.names import reference_of

        said = reference_of(model_id)
        version = self.registry.get_model(said if model_version is None else f"{said}@{model_version}")
        return MLMonitor(version.name, version.version, self.stores)

    def run_pipeline(self, pipeline_config: PipelineConfig, **options: Any) -> PipelineRun:
        """Return the finished run of a configuration; `options` go to `MLPipeline.run`."""
        from dwcp_jupyter.pipeline import MLPipeline

        return MLPipeline(pipeline_config, self.stores).run(**options)

    def register(
        self,
        name: str,
        model: Any,
        *,
        version: str | None = None,
        bump: str = "minor",
        metrics: Mapping[str, float] | None = None,
        data: Any = None,
        tags: Iterable[str] | None = (),
        stage: str = "development",
        changelog: str = "",
        code: str | None = None,
        run: str | RunRecord | ActiveRun | None = None,
    ) -> ModelVersion:
        """Return a fitted model's new version.

        Parameters
        ----------
        name : str
            The model's name.
        model : object
            Fitted, of a framework that a flavor keeps.
        version : str, optional
            A semantic version; the next one by `bump` without it.
        data : pandas.DataFrame, mapping, sequence or array, optional
            Training inputs, shape (n_samples, n_features): the signature and the example are inferred from them, and
            they are kept as reference for drift.
        tags : iterable of str
            Such as ``["risk", "eu"]``.
        stage : str
            ``"development"`` or ``"staging"``.
        code : str, optional
            Source that made the model.
        run : RunRecord, ActiveRun or str, optional
            The run in which it was made: the version keeps it in its lineage, with its parameters, times and commit,
            and with its metrics where `metrics` says none.

        Raises
        ------
        FlavorError
            If no flavor keeps the model, or it is None.
        VersionExistsError, InvalidMetadataError, TransitionError, GateError, ApprovalError
            If the version is there already, something cannot be kept, or it may not enter the stage. Nothing is
            registered then.
        """
        from dwcp_jupyter.registry import ModelMetadata
        from dwcp_jupyter.registry.checking import check_tags

        if model is None:
            raise FlavorError(
                f"The model to register as '{name}' is None. Fit it first; a version that gets its model later is a "
                "draft, which registry.create_version makes."
            )

        said = ModelMetadata(
            name=name,
            version=version,
            metrics={} if metrics is None else metrics,
            tags=check_tags(tags),
            changelog=changelog,
            code=code,
            environment={"python": platform.python_version(), "dwcp_jupyter": __version__},
        )
        if run is not None:
            from dwcp_jupyter.workspace import runs

            said = runs.describe(said, self.tracker.get_run(run))
        return self.registry.register_model(
            said, model, input_example=data, bump=bump, reference_data=data, stage=stage
        )

    def register_run(
        self,
        run: PipelineRun | ActiveRun | RunRecord | str,
        name: str | None = None,
        *,
        version: str | None = None,
        bump: str = "minor",
        stage: str = "development",
    ) -> ModelVersion:
        """Return the version registered from a run.

        Of a pipeline's run the package holds preprocessing and model together, and its training data stay with it as
        reference for drift. Of another run (or its id) it is what `ActiveRun.log_model` kept.

        Raises
        ------
        PipelineError
            If the pipeline's run did not complete.
        RunError
            If the run kept no model, or several.
        """
        from dwcp_jupyter.pipeline import PipelineRun
        from dwcp_jupyter.workspace import runs

        if isinstance(run, PipelineRun):
            return runs.register(self.registry, run, name=name, version=version, bump=bump, stage=stage)
        return runs.register_logged(
            self.registry, self.tracker, run, name=name, version=version, bump=bump, stage=stage
        )

    def deploy(self, reference: ModelReference, *, name: str | None = None, **endpoint_config: Any) -> Endpoint:
        """Return the endpoint that serves a version, under the model's name unless `name` gives another.

        Deploying another version of the model is then a rolling update of the same endpoint. ``compile``, ``lifetime``,
        ``trust`` and ``timeout_s`` are taken as in `ModelServer.deploy`; the rest is the endpoint's configuration.
        """
        options = {key: endpoint_config.pop(key) for key in _DEPLOY_OPTIONS if key in endpoint_config}
        version = self.registry.resolve(reference)
        return self.serving.deploy(
            version.name, version.version, endpoint_config=endpoint_config, name=name or version.name, **options
        )

    def predict(self, endpoint: str, data: Any) -> PredictionResponse:
        """Return an endpoint's answer, asked over HTTP.

        Parameters
        ----------
        data : pandas.DataFrame, mapping, sequence or array
            A frame, a dict of features or a list of them; or an array, shape (n_samples, n_inputs), whose columns are
            the model's inputs in their order.

        Raises
        ------
        SignatureError
            For what is no table, or does not fit the model.
        """
        from dwcp_jupyter.workspace.asking import to_rows

        rows = to_rows(data, lambda: self._inputs(endpoint))
        return self.serving.invoke_batch(endpoint, rows, batch_size=max(1, len(rows)))[0]

    def _inputs(self, endpoint: str) -> list[str]:
        served = self.serving.get_endpoint(endpoint)
        signature = self.registry.get_model(f"{served.model}@{served.version}").signature
        return [] if signature is None else [column.name for column in signature.inputs]

    def drift(self, target: ModelReference | Endpoint, data: Any = None) -> DriftReport:
        """Return how far current data are from a version's reference data.

        Parameters
        ----------
        target : str, ModelVersion or Endpoint
            An endpoint's name, or a model's reference.
        data : pandas.DataFrame, mapping, sequence or array, optional
            Current data; the version's prediction log without it.
        """
        from dwcp_jupyter.registry.names import reference_of

        target = reference_of(target)
        self.serving.flush_logs()
        served = {endpoint.name: endpoint for endpoint in self.serving.list_endpoints()}
        if target not in served:
            return self.monitor(target).check_drift(data)
        return self.monitor(served[target].model, served[target].version).check_drift(data)

    def audit(
        self,
        subject: ModelReference | None = None,
        *,
        last: int = 50,
        checkpoint: Checkpoint | str | tuple[int, str] | None = None,
    ) -> AuditTrail:
        """Return who changed what and when, of a model, a version, ``endpoint:NAME`` or everything.

        The whole record is checked, as `verify` does. The trail's checkpoint, kept elsewhere and given back here,
        proves later that nothing was cut off or rewritten; `AuditTrail.verify` checks again.

        Parameters
        ----------
        last : int
            How many events are shown.
        checkpoint : Checkpoint, str or tuple, optional
            An earlier one, as ``%audit`` shows it: ``"number:hash"``.

        Raises
        ------
        SettingError
            If the checkpoint is none.
        """
        from dwcp_jupyter.registry.names import reference_of
        from dwcp_jupyter.workspace.trail import read_trail

        subject = None if subject is None else reference_of(subject)
        return read_trail(self.stores, subject, last=last, checkpoint=checkpoint)

    def verify(
        self, *, checkpoint: Checkpoint | str | tuple[int, str] | None = None, runs: int | None = 20
    ) -> bool | ChainBreak:
        """Return True, or the first place where the record of the workspace does not hold.

        That is an event that breaks the chain or makes no sense, then a row that the events do not explain: of models
        and all that belongs to them, of the trash, of runs, endpoints and references to files; and at last the values
        that runs logged.

        Parameters
        ----------
        checkpoint : Checkpoint, str or tuple, optional
            One that was kept elsewhere: without it a chain that was cut at its end, or rewritten as a whole, cannot be
            told from a sound one.
        runs : int, optional
            How many runs' logged values are read, of those that ended last; None for all. `Tracker.verify_run` reads
            those of one.

        Raises
        ------
        SettingError
            If the checkpoint is none.
        """
        from dwcp_jupyter.workspace.trail import check

        return check(self.stores, checkpoint=checkpoint, runs=runs)

    @property
    def events(self) -> list[Event]:
        """Every recorded state change, in order."""
        return self.stores.metadata.events()

    def init(self) -> WorkspaceStatus:
        """Return the status of the workspace, created here if there was none."""
        with self.stores.metadata.transaction():
            pass
        return self.status()

    def status(self) -> WorkspaceStatus:
        """Return what the workspace holds and what runs for it."""
        from dwcp_jupyter.workspace import reports

        return reports.status(self.stores)

    def trash(self) -> TrashList:
        """Return the deleted versions that `registry.restore_model` can bring back."""
        return self.registry.list_trash()

    def gc(self, *, dry_run: bool = False, gone: Iterable[str] = ()) -> GarbageReport:
        """Return what was freed, or would be: versions deleted over thirty days ago, and files that nothing needs.

        Parameters
        ----------
        gone : iterable of str
            Other databases that kept files in the same artifact store and are there no more; see
            `ModelRegistry.collect_garbage`.
        """
        return self.registry.collect_garbage(dry_run=dry_run, gone=gone)

    def doctor(self) -> Diagnosis:
        """Return the result of checking the installation and the workspace."""
        from dwcp_jupyter.workspace import diagnosis

        return diagnosis.diagnose(self.stores)

    def copy(self, to: str) -> Copied:
        """Return what was copied: all metadata as they are now, into another database.

        Model files stay where they are. Whoever opens the workspace with that ``DWCP_METADATA_URL`` uses the copy.

        Parameters
        ----------
        to : str
            What ``DWCP_METADATA_URL`` would hold, such as ``postgresql://ana@host/models``; an empty database.

        Raises
        ------
        WorkspaceError
            If the target is not empty or cannot be reached.
        IntegrityError
            If the chain of events does not hold on arrival. Nothing was copied then.
        """
        from dwcp_jupyter.workspace import copying

        return copying.copy(self.stores, to)

    def backup(self, path: str | os.PathLike[str]) -> Copied:
        """Return what was written into a new file: all metadata as they are now. Model files are not in it."""
        from dwcp_jupyter.workspace import copying

        return copying.backup(self.stores, path)

    def restore(self, path: str | os.PathLike[str]) -> Copied:
        """Return what was restored from a file that `backup` wrote, into this empty workspace.

        Raises
        ------
        WorkspaceError
            If the workspace is not empty, or the file is no backup.
        IntegrityError
            If the file was changed. Nothing was restored then.
        """
        from dwcp_jupyter.workspace import copying

        return copying.restore(self.stores, path)

    def grants(self, roles: Iterable[str]) -> str:
        """Return SQL that lets roles of PostgreSQL use the workspace, each in its own name; see `store.grants`.

        Raises
        ------
        WorkspaceError
            If the metadata are not on PostgreSQL.
        """
        from dwcp_jupyter.store.grants import grant_script

        return grant_script(roles, self.stores.metadata.url)

    def stop(self) -> WorkspaceStatus:
        """Return the status after the supervisor and every endpoint of this workspace have ended."""
        from dwcp_jupyter import supervisor

        supervisor.stop(self.stores.root)
        return self.status()

    def version(self) -> VersionReport:
        """Return the installed versions."""
        from dwcp_jupyter.workspace import reports

        return reports.versions()

    def close(self) -> None:
        """Give back what the stores hold open."""
        self.stores.close()

    def __repr__(self) -> str:
        return f"Workspace({str(self.stores.root)!r})"
