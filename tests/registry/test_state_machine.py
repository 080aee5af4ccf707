"""The registry against a model of it in plain dictionaries, through random lives of a workspace."""

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from dwcp_jupyter import config, flavors, store
from dwcp_jupyter.exceptions import ApprovalError, DwcpError, TransitionError, VersionExistsError
from dwcp_jupyter.registry import ModelMetadata, ModelRegistry, Stage
from dwcp_jupyter.registry.stages import TRANSITIONS
from dwcp_jupyter.registry.versioning import Bump, SemanticVersion

NAMES = ("churn", "fraud", "été")
PEOPLE = ("ana", "bo", "cleo")
ALIASES = ("champion", "challenger")


class _Version:
    def __init__(self, name, number):
        self.name, self.number = name, number
        self.stage = Stage.DEVELOPMENT
        self.entered_production = 0
        self.is_approved = False

    @property
    def reference(self):
        return f"{self.name}@{self.number}"


class RegistryMachine(RuleBasedStateMachine):
    """Rules do one thing to both, the registry and the dictionaries; afterwards both must say the same."""

    database = "duckdb"
    package: Path

    versions = Bundle("versions")
    deleted = Bundle("deleted")
    requests = Bundle("requests")

    @initialize()
    def open(self):
        self.folder = tempfile.TemporaryDirectory(prefix="dwcp-machine-")
        self.time = datetime(2026, 1, 1, tzinfo=UTC)
        self.stores = store.open(
            Path(self.folder.name) / "w", settings=config.load(metadata_url=self.empty_database()), clock=self.now
        )
        self.registry = ModelRegistry(self.stores)
        self.known: dict[str, _Version] = {}
        self.aliases: dict[tuple[str, str], str] = {}
        self.clock = 0

    def empty_database(self):
        """Return what ``DWCP_METADATA_URL`` would hold."""
        return self.database

    def now(self):
        self.time += timedelta(seconds=1)
        return self.time

    def teardown(self):
        if hasattr(self, "stores"):
            self.stores.close()
            self.folder.cleanup()

    def of(self, name):
        return [version for version in self.known.values() if version.name == name]

    @rule(target=versions, name=st.sampled_from(NAMES), bump=st.sampled_from(["major", "minor", "patch"]))
    def register(self, name, bump):
        highest = max((SemanticVersion.parse(v.number) for v in self.of(name)), key=lambda n: n.sort_key, default=None)
        made = self.registry.register_model(ModelMetadata(name=name), artifact_path=self.package, bump=bump)
        assert made.version == ("1.0.0" if highest is None else str(highest.next(Bump(bump))))
        self.known[made.id] = _Version(name, made.version)
        return made.id

    @rule(target=versions, name=st.sampled_from(NAMES), number=st.sampled_from(["0.1.0", "1.0.0", "3.0.0-rc.1"]))
    def register_exactly(self, name, number):
        said = ModelMetadata(name=name, version=number)
        if number in {version.number for version in self.of(name)}:
            with pytest.raises(VersionExistsError):
                self.registry.register_model(said, artifact_path=self.package)
            return multiple()
        made = self.registry.register_model(said, artifact_path=self.package)
        self.known[made.id] = _Version(name, number)
        return made.id

    @rule(version=versions, stage=st.sampled_from(Stage))
    def promote(self, version, stage):
        if version not in self.known:
            return
        expected = self.known[version]
        if stage not in TRANSITIONS[expected.stage]:
            with pytest.raises(TransitionError):
                self.registry.promote_model(version, stage)
        elif stage is Stage.PRODUCTION and not expected.is_approved:
            with pytest.raises(ApprovalError):
                self.registry.promote_model(version, stage)
        else:
            self.registry.promote_model(version, stage)
            self._enter(version, stage)

    def _enter(self, version, stage):
        if stage is Stage.PRODUCTION:
            for other in self.of(self.known[version].name):
                if other.stage is Stage.PRODUCTION:
                    other.stage = Stage.STAGING
            self.clock += 1
            self.known[version].entered_production = self.clock
        self.known[version].stage = stage

    @rule(target=requests, version=versions, person=st.sampled_from(PEOPLE))
    def request(self, version, person):
        if version not in self.known:
            return multiple()
        try:
            made = self.registry.request_approval(version, person)
        except (TransitionError, ApprovalError):
            is_open = any(
                a.state in ("pending", "approved") and a.version_id == version for a in self.registry.list_approvals()
            )
            assert is_open or self.known[version].stage is not Stage.STAGING
            return multiple()
        assert self.known[version].stage is Stage.STAGING
        return (made.id, version, person)

    @rule(request=consumes(requests), person=st.sampled_from(PEOPLE), is_approved=st.booleans())
    def decide(self, request, person, is_approved):
        request_id, version, asked_by = request
        judge = self.registry.approve_model if is_approved else self.registry.reject_model
        if version not in self.known or person == asked_by:
            with pytest.raises(ApprovalError):
                judge(request_id, person)
            return
        judge(request_id, person)
        self.known[version].is_approved |= is_approved

    @rule(name=st.sampled_from(NAMES))
    def rollback(self, name):
        mine = {key: version for key, version in self.known.items() if version.name == name}
        past = sorted(
            (key for key, v in mine.items() if v.entered_production and v.stage is not Stage.PRODUCTION),
            key=lambda key: mine[key].entered_production,
        )
        if not past or mine[past[-1]].stage is not Stage.STAGING:
            with pytest.raises(DwcpError):
                self.registry.rollback(name)
            return
        assert self.registry.rollback(name).id == past[-1]
        self._enter(past[-1], Stage.PRODUCTION)

    @rule(version=versions, alias=st.sampled_from(ALIASES))
    def set_alias(self, version, alias):
        if version in self.known:
            self.registry.set_alias(version, alias)
            self.aliases[(self.known[version].name, alias)] = version

    @rule(target=deleted, version=consumes(versions))
    def delete(self, version):
        if version not in self.known:
            return multiple()
        doomed = self.known[version]
        if doomed.stage is Stage.PRODUCTION:
            with pytest.raises(TransitionError):
                self.registry.delete_model(doomed.reference)
            return multiple()
        self.registry.delete_model(doomed.reference)
        lost = sorted(alias for (name, alias), target in self.aliases.items() if target == version)
        self.aliases = {key: target for key, target in self.aliases.items() if target != version}
        del self.known[version]
        return (version, doomed, tuple(lost))

    @rule(target=versions, item=consumes(deleted))
    def restore(self, item):
        version, former, aliases = item
        if former.number in {other.number for other in self.of(former.name)}:
            with pytest.raises(VersionExistsError):
                self.registry.restore_model(version)
            return multiple()
        self.registry.restore_model(version)
        self.known[version] = former
        for alias in aliases:
            self.aliases.setdefault((former.name, alias), version)
        return version

    @invariant()
    def agrees(self):
        if not hasattr(self, "registry"):
            return
        for name in NAMES:
            expected = {key: v for key, v in self.known.items() if v.name == name}
            if not expected:
                continue
            listed = self.registry.list_versions(name)
            assert {v.id: (v.version, v.stage) for v in listed} == {k: (v.number, v.stage) for k, v in expected.items()}
            assert sum(v.stage is Stage.PRODUCTION for v in listed) <= 1
            assert [v.id for v in listed] == sorted(
                expected, key=lambda key: SemanticVersion.parse(expected[key].number).sort_key, reverse=True
            )
            for version in listed:
                for alias in version.aliases:
                    assert self.aliases[(name, alias)] == version.id
            assert self.registry.as_of(name, self.time) == listed[0]
        assert self.registry.verify() is True


class OnServer(RegistryMachine):
    """Each life in a schema of its own."""

    server = None

    def empty_database(self):
        self.schema = self.server.schema()
        return self.schema.__enter__()

    def teardown(self):
        super().teardown()
        if hasattr(self, "schema"):
            self.schema.__exit__(None, None, None)


@pytest.mark.parametrize("database", ["duckdb", "sqlite", "postgresql"])
def test_random_lives_agree_with_the_model(database, request, tmp_path, classifier, iris):
    flavors.save_model(classifier, tmp_path / "package", input_example=iris[0].head(2))
    lived = {"database": database, "package": tmp_path / "package"}
    if database == "postgresql":
        machine = type("Machine", (OnServer,), {**lived, "server": request.getfixturevalue("postgresql")})
    else:
        machine = type("Machine", (RegistryMachine,), lived)
    machine.TestCase.settings = settings(
        max_examples=8, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
    )
    machine.TestCase().runTest()
