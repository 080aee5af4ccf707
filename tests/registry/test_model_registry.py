"""Versions are registered once, found by what they are called, and moved only where they may go."""

import multiprocessing
import os
import pathlib
import pickle
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import sqlalchemy as sa

from dwcp_jupyter import config, flavors, store
from dwcp_jupyter.events import Actor
from dwcp_jupyter.exceptions import (
    AmbiguousModelError,
    ApprovalError,
    FlavorError,
    IntegrityError,
    InvalidMetadataError,
    InvalidNameError,
    InvalidVersionError,
    ModelNotFoundError,
    TransitionError,
    UntrustedArtifactError,
    VersionExistsError,
)
from dwcp_jupyter.registry import Framework, ModelMetadata, ModelRegistry, Stage
from dwcp_jupyter.store import schema


@pytest.fixture
def stores(registry):
    return registry._stores


def register(registry, name="churn", version=None, **said):
    return registry.register_model(ModelMetadata(name=name, version=version, **said))


def count(stores, table):
    with stores.metadata.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar()


class TestRegistering:
    def test_all_that_the_guide_says_of_a_model_is_kept(self, registry):
        registry.register_model(
            ModelMetadata(
                name="fraud_detector",
                version="v1.0.0",
                framework=Framework.PYTORCH,
                framework_version="1.12.0",
                description="Credit card fraud detection model",
                author="ml-team",
                training_dataset="fraud_transactions_2024",
                metrics={"accuracy": 0.95, "precision": 0.92, "recall": 0.89, "f1_score": 0.90},
                hyperparameters={"learning_rate": 0.001, "batch_size": 64, "epochs": 50},
                tags=["champion", "été"],
                custom_metadata={"team": {"size": 3}},
                git_commit="abc123",
            )
        )
        found = registry.get_model("fraud_detector@1.0.0")
        assert found.version == "1.0.0"
        assert found.framework is Framework.PYTORCH
        assert found.metrics == {"accuracy": 0.95, "precision": 0.92, "recall": 0.89, "f1_score": 0.90}
        assert found.hyperparameters["epochs"] == 50
        assert found.custom_metadata == {"team": {"size": 3}}
        assert (found.author, found.training_dataset, found.git_commit) == (
            "ml-team",
            "fraud_transactions_2024",
            "abc123",
        )
        assert found.tags == ("champion", "été")
        assert found.stage is Stage.DEVELOPMENT
        assert found.is_draft

    def test_a_model_comes_back_and_predicts_the_same(self, registry, classifier, iris):
        features, _ = iris
        version = registry.register_model(ModelMetadata(name="iris"), classifier, input_example=features.head(5))
        assert version.version == "1.0.0"
        assert version.framework is Framework.SKLEARN
        assert [column.name for column in version.signature.inputs] == list(features.columns)
        loaded = registry.load_model("iris@1.0.0")
        assert np.array_equal(loaded.predict(features).values, classifier.predict(features))

    def test_equal_packages_share_their_bytes(self, registry, stores, classifier, iris, tmp_path):
        flavors.save_model(classifier, tmp_path / "package", input_example=iris[0].head(2))
        first = registry.register_model(ModelMetadata(name="iris"), artifact_path=tmp_path / "package")
        files = sum(path.is_file() for path in (stores.root / "artifacts").rglob("*"))
        second = registry.register_model(ModelMetadata(name="iris"), artifact_path=tmp_path / "package")
        assert second.sha256 == first.sha256
        assert sum(path.is_file() for path in (stores.root / "artifacts").rglob("*")) == files

    def test_versions_follow_each_other_by_the_bump(self, registry):
        assert [register(registry).version for _ in range(2)] == ["1.0.0", "1.1.0"]
        assert registry.register_model(ModelMetadata(name="churn"), bump="major").version == "2.0.0"
        assert registry.register_model(ModelMetadata(name="churn"), bump="patch").version == "2.0.1"

    def test_bump_auto_reads_the_signatures(self, registry, iris):
        from sklearn.linear_model import LogisticRegression

        features, species = iris
        for columns, expected in ((4, "1.0.0"), (4, "1.0.1"), (3, "2.0.0")):
            data = features.iloc[:, :columns]
            model = LogisticRegression(max_iter=500).fit(data, species)
            version = registry.register_model(
                ModelMetadata(name="iris"), model, input_example=data.head(3), bump="auto"
            )
            assert version.version == expected

    def test_the_parent_is_the_highest_before(self, registry):
        first, second = register(registry, version="1.0.0"), register(registry, version="2.0.0")
        assert second.parent_id == first.id
        assert register(registry, version="3.0.0", parent="churn@1.0.0").parent_id == first.id

    @pytest.mark.parametrize("again", ["1.0.0", "v1.0.0"])
    def test_a_version_cannot_be_registered_twice(self, registry, stores, again):
        register(registry, version="1.0.0")
        events = stores.metadata.head()
        with pytest.raises(VersionExistsError, match=r"Register 1\.0\.1 instead"):
            register(registry, version=again)
        assert count(stores, schema.versions) == 1
        assert stores.metadata.head() == events

    @pytest.mark.parametrize(
        "name", ["", " ", "a/b", "../../etc", "a..b", ".hidden", "a@b", "a b", "a\n", "x" * 10_000, "a.", None]
    )
    def test_a_name_that_cannot_be_one_is_refused(self, registry, stores, name):
        with pytest.raises(InvalidNameError, match="is no model name") as caught:
            register(registry, name=name)
        assert len(str(caught.value)) < 300
        assert not stores.metadata.exists

    @pytest.mark.parametrize("name", ["churn", "模型", "модель_2", "größe", "a.b-c_d"])
    def test_names_in_any_script_are_kept(self, registry, name):
        register(registry, name=name)
        assert registry.get_model(name).name == name

    def test_two_spellings_of_one_name_are_one_model(self, registry):
        register(registry, name="größe")
        assert register(registry, name="gro\u0308ße").version == "1.1.0"

    def test_a_version_that_is_none_is_refused(self, registry, stores):
        with pytest.raises(InvalidVersionError):
            register(registry, version="1.0")
        assert not stores.metadata.exists

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), "high", None])
    def test_a_metric_that_is_no_number_is_named(self, registry, stores, value):
        with pytest.raises(ValueError, match="Metric 'auc'"):
            register(registry, metrics={"auc": value})
        assert not stores.metadata.exists

    def test_what_no_flavor_knows_is_refused_and_leaves_nothing(self, registry, stores):
        with pytest.raises(FlavorError):
            registry.register_model(ModelMetadata(name="x"), object())
        assert not stores.metadata.exists

    def test_a_missing_file_is_named(self, registry, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"nothing\.onnx"):
            registry.register_model(ModelMetadata(name="x"), artifact_path=tmp_path / "nothing.onnx")


class TestDrafts:
    def test_a_draft_is_completed_once(self, registry, classifier, iris, tmp_path):
        register(registry, version="1.0.0")
        draft = registry.create_version("churn", "v1.1.0", "Improved feature engineering, +2% accuracy")
        assert draft.is_draft
        assert draft.changelog.startswith("Improved")
        flavors.save_model(classifier, tmp_path / "package", input_example=iris[0].head(2))
        sealed = registry.store_model_artifact("churn@1.1.0", tmp_path / "package")
        assert not sealed.is_draft
        assert registry.promote_model("churn@1.1.0", "staging").stage is Stage.STAGING
        with pytest.raises(VersionExistsError, match="already"):
            registry.store_model_artifact("churn@1.1.0", tmp_path / "package")

    def test_a_draft_is_not_promoted_and_not_loaded(self, registry):
        register(registry)
        with pytest.raises(TransitionError, match="draft"):
            registry.promote_model("churn", "staging")
        with pytest.raises(ModelNotFoundError, match="draft"):
            registry.load_model("churn")


class TestFinding:
    def test_every_way_to_name_a_version_finds_it(self, registry, classifier, iris):
        first = registry.register_model(ModelMetadata(name="m"), classifier, input_example=iris[0].head(2))
        second = register(registry, name="m")
        registry.promote_model("m@1.0.0", "staging")
        registry.set_alias("m@1.0.0", "champion")
        for reference in ("m@1.0.0", "m@v1.0.0", "m@champion", "m@staging", "m@STAGING", first.id):
            assert registry.get_model(reference).id == first.id
        assert registry.get_model("m").id == second.id

    def test_a_models_id_leaves_a_choice_as_its_name_does(self, registry):
        first = register(registry)
        assert registry.resolve(first.model_id).id == first.id
        register(registry)
        assert registry.get_model(first.model_id).version == "1.1.0"
        with pytest.raises(AmbiguousModelError):
            registry.promote_model(first.model_id, "archived")

    def test_two_spellings_that_look_the_same_are_one_name(self, registry):
        composed, decomposed = "caf\u00e9", "cafe\u0301"
        register(registry, name=decomposed)
        assert registry.describe_model(decomposed).name == composed
        assert len(registry.list_versions(decomposed)) == 1
        assert registry.get_model(composed).name == registry.get_model(decomposed).name == composed
        registry.update_model(decomposed, {"description": "noir"})
        registry.delete_model(decomposed)
        assert registry.list_models() == ()

    def test_a_tag_of_any_version_finds_its_model(self, registry):
        register(registry, name="a", tags=["eu"])
        register(registry, name="a", tags=['50%_"off"'])
        register(registry, name="b", tags=["europe"])
        for tag, names in (("eu", ["a"]), ('50%_"off"', ["a"]), ("europe", ["b"]), ("%", []), ("50", [])):
            assert [m.name for m in registry.list_models({"tag": tag})] == names

    def test_the_highest_is_by_number_not_by_text_or_time(self, registry):
        for version in ("1.10.0", "1.9.0", "1.10.0-rc.1"):
            register(registry, version=version)
        assert registry.get_model("churn").version == "1.10.0"
        assert [v.version for v in registry.list_versions("churn")] == ["1.10.0", "1.10.0-rc.1", "1.9.0"]

    def test_a_change_refuses_a_name_that_leaves_a_choice(self, registry):
        register(registry)
        register(registry)
        with pytest.raises(AmbiguousModelError, match=r"churn@1\.1\.0, churn@1\.0\.0") as caught:
            registry.promote_model("churn", "staging")
        assert caught.value.candidates == ("churn@1.1.0", "churn@1.0.0")

    @pytest.mark.parametrize(
        ("reference", "hint"),
        [
            ("chrun", "Did you mean 'churn'"),
            ("churn@1.0.1", r"Did you mean '1\.0\.0'"),
            ("churn@chmpion", "Did you mean 'champion'"),
            ("churn@production", "No version of 'churn' is in production"),
        ],
    )
    def test_what_is_not_found_says_what_is_near(self, registry, reference, hint):
        register(registry)
        registry.set_alias("churn@1.0.0", "champion")
        with pytest.raises(ModelNotFoundError, match=hint):
            registry.get_model(reference)

    def test_an_empty_workspace_lists_nothing_and_is_not_created(self, registry, stores):
        assert registry.list_models() == ()
        with pytest.raises(ModelNotFoundError):
            registry.get_model("churn")
        assert not stores.root.exists()

    def test_models_are_filtered(self, registry):
        register(registry, name="a", tags=["x"], framework="xgboost")
        register(registry, name="B")
        assert [m.name for m in registry.list_models({"name": "b"})] == ["B"]
        assert [m.name for m in registry.list_models({"tag": "x"})] == ["a"]
        assert [m.name for m in registry.list_models({"framework": "xgboost"})] == ["a"]
        assert [m.name for m in registry.list_models({"stage": "production"})] == []
        with pytest.raises(ValueError, match="Did you mean 'stage'"):
            registry.list_models({"stag": "x"})


class TestPages:
    @pytest.fixture
    def drafts(self, registry):
        for name in ("ß", "a", "Zebra", "b", "ABBA"):
            registry.register_model(ModelMetadata(name=name, version="1.0.0", tags=("x",) if name < "b" else ()))
        for number in (10, 2, 1, 11):
            registry.register_model(ModelMetadata(name="b", version=f"1.{number}.0", metrics={"accuracy": number / 20}))
        return registry

    def test_pages_put_together_are_the_whole_list(self, drafts):
        whole = [model.name for model in drafts.list_models()]
        assert whole == sorted(whole)
        assert len(whole) == 5
        found, page = [], drafts.list_models(limit=2)
        while page:
            found += [model.name for model in page]
            page = drafts.list_models(limit=2, after=page[-1].name)
        assert found == whole

    def test_pages_of_what_is_filtered(self, drafts):
        assert [m.name for m in drafts.list_models({"name": "B"}, limit=1)] == ["ABBA"]
        assert [m.name for m in drafts.list_models({"name": "B"}, limit=9, after="ABBA")] == ["Zebra", "b"]
        assert [m.name for m in drafts.list_models({"name": "SS"})] == ["ß"]
        assert [m.name for m in drafts.list_models({"tag": "x"}, limit=2, after="ABBA")] == ["Zebra", "a"]

    def test_versions_follow_each_other_over_pages_by_their_order_not_their_text(self, drafts):
        page = drafts.list_versions("b", limit=2)
        assert [v.version for v in page] == ["1.11.0", "1.10.0"]
        drafts.register_model(ModelMetadata(name="b", version="2.0.0"))  # moves no page
        rest = drafts.list_versions("b", limit=9, after=page[-1].reference)
        assert [v.version for v in rest] == ["1.2.0", "1.1.0", "1.0.0"]
        assert drafts.list_versions("b", after="1.0.0") == ()

    def test_a_model_says_what_its_highest_version_and_stages_are(self, drafts, classifier, iris):
        drafts.register_model(ModelMetadata(name="b", version="1.3.0"), classifier, input_example=iris[0].head(2))
        drafts.promote_model("b@1.3.0", "staging")
        drafts.set_alias("b@1.3.0", "best")
        drafts.set_alias("b@1.1.0", "first")
        model = drafts.describe_model("b")
        assert (model.version_count, model.latest, model.metrics) == (6, "1.11.0", {"accuracy": 0.55})
        assert model.stages == {"staging": "1.3.0", "development": "1.11.0"}
        assert model.aliases == {"best": "1.3.0", "first": "1.1.0"}

    @pytest.mark.parametrize("limit", [0, -1, True, 2.5, "3"])
    def test_a_page_has_a_number_of_items(self, drafts, limit):
        for ask in (drafts.list_models, lambda limit: drafts.list_versions("b", limit=limit)):
            with pytest.raises(ValueError, match="Give 1 or more, or None"):
                ask(limit=limit)

    def test_a_page_after_what_is_no_version_is_refused(self, drafts):
        with pytest.raises(InvalidVersionError):
            drafts.list_versions("b", after="1.0")
        with pytest.raises(InvalidMetadataError, match="no version of 'b'"):
            drafts.list_versions("b", after="a@1.0.0")

    def test_a_list_is_read_in_as_many_statements_however_many_models_there_are(self, drafts):
        def statements():
            seen = []
            listener = lambda *given: seen.append(given[2])  # noqa: E731
            sa.event.listen(sa.engine.Engine, "before_cursor_execute", listener)
            try:
                drafts.list_models()
            finally:
                sa.event.remove(sa.engine.Engine, "before_cursor_execute", listener)
            return len(seen)

        statements()  # opens what is opened once
        before = statements()
        for number in range(9):
            drafts.register_model(ModelMetadata(name=f"more-{number}", version="1.0.0"))
        assert statements() == before


class TestStages:
    def sealed(self, registry, classifier, iris):
        return registry.register_model(ModelMetadata(name="m"), classifier, input_example=iris[0].head(2))

    @pytest.mark.parametrize("path", [("staging", "development", "staging", "archived"), ("archived",)])
    def test_allowed_steps(self, registry, classifier, iris, path):
        self.sealed(registry, classifier, iris)
        for stage in path:
            assert registry.promote_model("m", stage).stage == stage

    @pytest.mark.parametrize(
        ("before", "target"),
        [
            ((), "production"),
            ((), "development"),
            (("archived",), "development"),
            (("archived",), "archived"),
            ((), "live"),
        ],
    )
    def test_steps_that_the_life_cycle_lacks(self, registry, classifier, iris, before, target):
        self.sealed(registry, classifier, iris)
        for stage in before:
            registry.promote_model("m", stage)
        with pytest.raises(TransitionError):
            registry.promote_model("m", target)

    def test_production_needs_an_approval(self, registry, classifier, iris):
        self.sealed(registry, classifier, iris)
        registry.promote_model("m", "staging")
        with pytest.raises(ApprovalError, match="nobody was asked to approve"):
            registry.promote_model("m", Stage.PRODUCTION)
        assert registry.get_model("m").stage is Stage.STAGING


class TestAliases:
    def test_an_alias_moves_and_goes(self, registry, stores):
        register(registry)
        register(registry)
        registry.set_alias("churn@1.0.0", "champion")
        assert registry.set_alias("churn@1.1.0", "champion").aliases == ("champion",)
        assert registry.get_model("churn@1.0.0").aliases == ()
        registry.remove_alias("churn", "champion")
        with pytest.raises(ModelNotFoundError):
            registry.remove_alias("churn", "champion")
        kinds = [event.kind for event in stores.metadata.events() if event.kind.startswith("alias")]
        assert kinds == ["alias.set", "alias.set", "alias.removed"]

    def test_an_alias_may_begin_with_a_digit(self, registry):
        register(registry)
        registry.set_alias("churn@1.0.0", "2024-best")
        assert registry.get_model("churn@2024-best").version == "1.0.0"
        registry.remove_alias("churn", "2024-best")

    @pytest.mark.parametrize("alias", ["production", "1.0.0", "v2.0.0", "a/b", "", "Archived", "1.0", "v2", "2024"])
    def test_what_would_be_read_otherwise_is_no_alias(self, registry, alias):
        register(registry)
        with pytest.raises(InvalidNameError):
            registry.set_alias("churn@1.0.0", alias)


class TestChanging:
    def test_only_what_is_said_of_a_version_can_change(self, registry):
        register(registry)
        registry.update_model("churn@1.0.0", {"description": "new", "tags": ("a",), "custom_metadata": {"k": 1}})
        found = registry.get_model("churn")
        assert (found.description, found.tags, found.custom_metadata) == ("new", ("a",), {"k": 1})
        registry.update_model("churn", {"description": "of the model"})
        assert registry.describe_model("churn").description == "of the model"
        with pytest.raises(ValueError, match="cannot be changed"):
            registry.update_model("churn@1.0.0", {"metrics": {"auc": 1.0}})

    @pytest.mark.parametrize(
        "updates",
        [
            {"tags": "prod"},
            {"tags": [1]},
            {"tags": [""]},
            {"tags": 3},
            {"description": 5},
            {"description": "a\0b"},
            {"description": "a\ud800b"},
            {"custom_metadata": [1]},
            {"custom_metadata": {"a": {"b": "\0"}}},
        ],
    )
    @pytest.mark.parametrize("model", ["churn", "churn@1.0.0"])
    def test_a_change_to_what_cannot_be_kept_changes_nothing(self, registry, model, updates):
        register(registry, tags=["a"], description="d")
        with pytest.raises(InvalidMetadataError):
            registry.update_model(model, {"description": "new", **updates})
        with pytest.raises(InvalidMetadataError):
            register(registry, **updates)
        assert registry.get_model("churn").description == "d"
        assert [m.tags for m in registry.list_models()] == [("a",)]
        assert len(registry.list_versions("churn")) == 1

    def test_none_empties_a_field(self, registry):
        register(registry, tags=["a"], description="d", custom_metadata={"k": 1})
        registry.update_model("churn", {"tags": None, "description": None, "custom_metadata": None})
        found = registry.describe_model("churn")
        assert (found.tags, found.description, found.custom_metadata) == ((), "", {})

    def test_hyperparameters_are_kept_as_what_can_be_read_again(self, registry):
        given = {
            "missing": float("nan"),
            "depth": np.int64(3),
            "rate": np.float32(0.5),
            "sizes": np.array([1, 2]),
            "is_fast": np.bool_(True),
            "kinds": {"b", "a"},
            "path": pathlib.PurePosixPath("a/b"),
        }
        kept = register(registry, hyperparameters=given)
        assert kept.hyperparameters == registry.get_model("churn").hyperparameters
        assert kept.hyperparameters == {
            "missing": "nan",
            "depth": 3,
            "rate": 0.5,
            "sizes": [1, 2],
            "is_fast": True,
            "kinds": ["a", "b"],
            "path": "a/b",
        }
        endless = {}
        endless["again"] = endless
        with pytest.raises(InvalidMetadataError, match="nested"):
            register(registry, custom_metadata=endless)

    def test_versions_of_one_model_have_one_task(self, registry):
        register(registry)
        second = register(registry, task_type="classification")
        assert second.task_type == register(registry).task_type == "classification"
        assert registry.get_model("churn@1.0.0").task_type == "classification"
        with pytest.raises(InvalidMetadataError, match=r"for classification, and this version is for regression"):
            register(registry, task_type="regression")
        assert len(registry.list_versions("churn")) == 3

    def test_deleting_removes_rows_and_keeps_the_event(self, registry, stores):
        register(registry, metrics={"auc": 0.5})
        register(registry)
        registry.set_alias("churn@1.0.0", "old")
        registry.delete_model("churn@1.0.0")
        assert [v.version for v in registry.list_versions("churn")] == ["1.1.0"]
        assert count(stores, schema.aliases) == 0
        (event,) = stores.metadata.events(kinds=["version.deleted"])
        assert event.payload["metrics"] == '{"auc":0.5}'
        registry.delete_model("churn")
        assert registry.list_models() == ()
        assert register(registry).version == "1.0.0"

    def test_the_chain_tells_all_that_happened(self, registry, stores):
        register(registry)
        registry.set_alias("churn@1.0.0", "champion")
        registry.update_model("churn", {"tags": ["x"]})
        assert [event.kind for event in stores.metadata.events()] == [
            "model.created",
            "version.registered",
            "alias.set",
            "model.updated",
        ]
        assert stores.metadata.verify() is True


class TestArtifacts:
    def test_a_package_that_was_changed_after_it_was_saved_is_not_registered(
        self, registry, classifier, iris, tmp_path
    ):
        info = flavors.save_model(classifier, tmp_path / "package", input_example=iris[0].head(2))
        path = tmp_path / "package" / info.file
        path.write_bytes(path.read_bytes()[:-1] + b"X")
        with pytest.raises(IntegrityError) as refused:
            registry.register_model(ModelMetadata(name="iris"), artifact_path=tmp_path / "package")
        assert refused.value.expected == info.sha256 != refused.value.actual
        assert registry.list_models() == ()

    def test_changed_bytes_are_refused_naming_both_sums(self, registry, stores, classifier, iris):
        version = registry.register_model(ModelMetadata(name="m"), classifier, input_example=iris[0].head(2))
        blobs = stores.artifacts.list_tree(version.sha256)
        victim = next(blob for name, blob in blobs.items() if name.endswith(".skops"))
        path = stores.root / "artifacts" / "sha256" / victim.sha256[:2] / victim.sha256[2:]
        path.chmod(0o600)
        path.write_bytes(path.read_bytes()[:-1] + b"!")
        with pytest.raises(IntegrityError, match=victim.sha256) as caught:
            registry.load_model("m")
        assert caught.value.actual in str(caught.value)
        assert caught.value.actual != victim.sha256

    @pytest.fixture
    def pickled(self, classifier, tmp_path):
        path = tmp_path / "model.pkl"
        path.write_bytes(pickle.dumps(classifier))
        path.chmod(0o600)
        return path

    def test_a_pickle_from_elsewhere_is_refused_naming_the_line_that_allows_it(self, registry, stores, pickled):
        pickled.chmod(0o666)
        with pytest.raises(UntrustedArtifactError) as caught:
            registry.register_model(ModelMetadata(name="m"), artifact_path=pickled)
        line = f"registry.register_model(metadata, artifact_path='{pickled}', trust='{caught.value.sha256}')"
        assert str(caught.value).endswith(line)
        assert not stores.metadata.exists
        registry.register_model(ModelMetadata(name="m"), artifact_path=pickled, trust=caught.value.sha256)
        (decision,) = stores.metadata.events(kinds=["trust.decided"])
        assert decision.payload["sha256"] == caught.value.sha256
        assert decision.payload["model"] == "m"

    def test_a_pickle_once_trusted_is_loaded_again_by_who_trusted_it(self, registry, stores, pickled):
        registry.register_model(ModelMetadata(name="m"), artifact_path=pickled)
        assert registry.load_model("m").info.flavor == "sklearn"
        assert len(stores.metadata.events(kinds=["trust.decided"])) == 1
        with pytest.raises(UntrustedArtifactError, match="the policy is 'none'"):
            registry.load_model("m", trust="none")
        somebody_else = ModelRegistry(stores, actor=Actor(name="somebody else"))
        with pytest.raises(UntrustedArtifactError) as caught:
            somebody_else.load_model("m")
        line = f"registry.load_model('m@1.0.0', trust='{caught.value.sha256}')"
        assert str(caught.value).endswith(line)
        assert somebody_else.load_model("m", trust=caught.value.sha256).info.flavor == "sklearn"
        assert [event.actor.name for event in stores.metadata.events(kinds=["trust.decided"])][-1] == "somebody else"

    def test_reference_data_stay_with_the_version(self, registry, iris):
        register(registry)
        assert registry.reference_data("churn") is None
        kept = registry.set_reference_data("churn@1.0.0", iris[0], sensitivity=0.01)
        assert registry.reference_data("churn") == kept
        assert kept.rows == len(iris[0])
        with pytest.raises(ValueError, match="sensitivity"):
            registry.set_reference_data("churn@1.0.0", iris[0], sensitivity=5)
        assert registry.reference_data("churn") == kept


def _register_many(root, number, url):
    registry = ModelRegistry(store.open(root, settings=config.load(metadata_url=url)))
    for _ in range(number):
        registry.register_model(ModelMetadata(name="shared"), bump="patch")


def test_processes_at_once_lose_and_double_nothing(tmp_path, metadata_url):
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_register_many, args=(tmp_path / "w", 25, metadata_url)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(200)
    assert [worker.exitcode for worker in workers] == [0] * 4
    stores = store.open(tmp_path / "w", settings=config.load(metadata_url=metadata_url))
    versions = [v.version for v in ModelRegistry(stores).list_versions("shared")]
    assert len(versions) == len(set(versions)) == 100
    assert stores.metadata.verify() is True


REGISTER = """
import sys
from dwcp_jupyter.registry import ModelMetadata, ModelRegistry
registry = ModelRegistry(sys.argv[1])
print("ready", flush=True)
while True:
    print(registry.register_model(ModelMetadata(name="m", code="x" * 1000), bump="patch").version, flush=True)
"""


def test_a_kill_in_the_middle_of_registering_leaves_nothing_half_visible(tmp_path):
    acknowledged = []
    for delay_s in (0.0, 0.013, 0.05, 0.111):
        process = subprocess.Popen(
            [sys.executable, "-c", REGISTER, str(tmp_path / "w")],
            stdout=subprocess.PIPE,
            text=True,
            stderr=subprocess.DEVNULL,
        )
        assert process.stdout.readline() == "ready\n"
        acknowledged.append(process.stdout.readline().strip())
        deadline = time.monotonic() + delay_s  # the kill is to land at another point each time
        while time.monotonic() < deadline:
            pass
        os.kill(process.pid, signal.SIGKILL)
        acknowledged.extend(process.stdout.read().split())
        process.wait()
    stores = store.open(tmp_path / "w")
    found = {v.version: v for v in ModelRegistry(stores).list_versions("m")}
    assert set(filter(None, acknowledged)) <= set(found)
    assert stores.metadata.verify() is True
    registered = stores.metadata.events(kinds=["version.registered"])
    assert {event.payload["version"] for event in registered} == set(found)
    for version in found.values():
        assert stores.artifacts.read(version.code_sha256) == b"x" * 1000


def test_results_show_themselves(registry):
    register(registry, metrics={"auc": 0.9}, changelog="<script>alert(1)</script>")
    for result in (registry.list_models(), registry.list_versions("churn"), registry.get_model("churn")):
        bundle = result._repr_mimebundle_()
        assert set(bundle) == {"text/plain", "text/html"}
        assert "churn" in bundle["text/plain"] or "1.0.0" in bundle["text/plain"]
        assert "<script>" not in bundle["text/html"]
    assert repr(registry.get_model("churn")) == "ModelVersion(churn@1.0.0, stage=development, draft)"
