"""Within a burst of calls DuckDB is asked little, and the answers are those of a database that is asked everything."""

import contextlib

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from dwcp_jupyter import config, store
from dwcp_jupyter.exceptions import DwcpError
from dwcp_jupyter.registry import ModelMetadata, ModelRegistry
from dwcp_jupyter.registry.searching import _FEW
from dwcp_jupyter.store import leased, schema


@pytest.fixture
def registry(tmp_path):
    with store.open(tmp_path / "w", settings=config.load(metadata_url="duckdb")) as stores:
        yield ModelRegistry(stores)


@pytest.fixture
def burst(monkeypatch):
    """Let calls of a slow machine be a burst too."""
    monkeypatch.setattr(leased, "BURST_S", 2.0)
    monkeypatch.setattr(leased, "LINGER_S", 2.0)


@pytest.fixture
def filled(registry):
    """A model of 40 drafts, each tenth with the tag rare."""
    with registry._stores.metadata.transaction():
        for number in range(40):
            tags = ["rare"] if number % 10 == 0 else []
            metrics = {"accuracy": number / 40}
            registry.register_model(ModelMetadata(name="m", version=f"1.{number}.0", tags=tags, metrics=metrics))
    return registry


@contextlib.contextmanager
def reads_of_versions():
    """Collect the statements that read all columns of versions."""
    seen = []

    def note(*given):
        if given[2].startswith("SELECT versions.id, versions.model_id"):
            seen.append(given[2])

    sa.event.listen(sa.engine.Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        sa.event.remove(sa.engine.Engine, "before_cursor_execute", note)


def walk(registry, size, between=lambda page: None):
    found, after = [], None
    while page := registry.list_versions("m", limit=size, after=after):
        found.append([version.version for version in page])
        after = page[-1].reference
        between(page)
    return found


@pytest.mark.usefixtures("burst")
def test_pages_that_follow_each_other_are_read_together(filled, monkeypatch):
    monkeypatch.setattr("dwcp_jupyter.registry.listing._AHEAD_ROWS", 20)
    filled.get_model("m@1.0.0")
    with reads_of_versions() as seen:
        pages = walk(filled, 5)
    assert pages == [[f"1.{number}.0" for number in range(top, top - 5, -1)] for top in range(39, 0, -5)]
    assert len(seen) == 4  # the first, four, three, and none after the last


@pytest.mark.parametrize("metadata_url", ["sqlite", "postgresql"], indirect=True)
def test_where_others_can_write_at_any_moment_no_page_is_read_ahead(tmp_path, metadata_url):
    with store.open(tmp_path / "w", settings=config.load(metadata_url=metadata_url)) as stores:
        registry = ModelRegistry(stores)
        for number in range(4):
            registry.register_model(ModelMetadata(name="m", version=f"1.{number}.0"))
        with reads_of_versions() as seen:
            assert walk(registry, 1) == [["1.3.0"], ["1.2.0"], ["1.1.0"], ["1.0.0"]]
        assert len(seen) == 5


@pytest.mark.usefixtures("burst")
def test_pages_that_were_read_ahead_show_what_was_written_since(filled):
    def change(page):
        if page[-1].version == "1.35.0":
            filled.delete_model("m@1.33.0")
            filled.register_model(ModelMetadata(name="m", version="1.32.5"))
            filled.update_model("m@1.31.0", {"description": "new"})
            filled.set_alias("m@1.30.0", "best")

    seen = {}
    pages = walk(filled, 5, between=lambda page: (change(page), seen.update((v.version, v) for v in page)))
    assert pages[1] == ["1.34.0", "1.32.5", "1.32.0", "1.31.0", "1.30.0"]
    assert seen["1.31.0"].description == "new"
    assert seen["1.30.0"].aliases == ("best",)


@pytest.mark.usefixtures("burst")
def test_a_search_reads_the_versions_that_are_not_at_hand(filled):
    rare = [f"m@1.{number}.0" for number in (30, 20, 10, 0)]
    with reads_of_versions() as seen:
        assert [v.reference for v in filled.search_versions("tag = 'rare'")] == rare
        assert len(seen) == 1
        assert [v.reference for v in filled.search_versions("tag = 'rare' and metrics.accuracy < 0.6")] == rare[1:]
        assert [v.reference for v in filled.search_versions("tag = 'rare'", order_by="metrics.accuracy")] == rare[::-1]
        assert filled.get_model(filled.search_versions("tag = 'rare'", limit=1)[0].id).reference == rare[0]
        assert len(seen) == 1
        assert [v.reference for v in filled.search_versions("version = '1.5.0' or version = '1.10.0'")] == [
            "m@1.10.0",
            "m@1.5.0",
        ]
        assert len(seen) == 2
        assert "versions.id IN" in seen[-1]
        assert len(filled.search_versions("")) == 40 > _FEW
        assert len(seen) == 3


@pytest.mark.usefixtures("burst")
def test_an_alias_that_was_set_is_known_without_asking(filled):
    asked = []
    note = lambda *given: asked.append(given[2])  # noqa: E731
    filled.set_alias("m@1.1.0", "b")
    sa.event.listen(sa.engine.Engine, "before_cursor_execute", note)
    try:
        filled.set_alias("m@1.2.0", "a")
        filled.set_alias("m@1.2.0", "b")
        assert filled.get_model("m@b").aliases == ("a", "b")
    finally:
        sa.event.remove(sa.engine.Engine, "before_cursor_execute", note)
    assert not [statement for statement in asked if statement.startswith("SELECT") and "FROM aliases" in statement]
    stored = sa.select(schema.aliases.c.alias).order_by(schema.aliases.c.alias)
    with filled._stores.metadata.read() as connection:
        assert connection.execute(stored).scalars().all() == ["a", "b"]


def test_an_alias_whose_setting_is_rolled_back_means_what_it_did(filled):
    filled.set_alias("m@1.1.0", "b")

    def give_up():
        with filled._stores.metadata.transaction():
            filled.set_alias("m@1.2.0", "b")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        give_up()
    assert filled.get_model("m@b").version == "1.1.0"


VERSIONS = st.integers(0, 7).map(lambda number: f"1.{number}.0")
NAMES = st.sampled_from(["a", "b"])
REFERENCES = st.builds("{}@{}".format, NAMES, VERSIONS)
TAGS = st.lists(st.sampled_from(["x", "xy", 'q"', "é", "\\"]), max_size=2, unique=True)
CONDITIONS = st.sampled_from(
    ["", "tag = 'x'", "tag != 'é'", "metrics.f1 >= 3 and tag = 'xy'", "name = 'a' or tag = 'q\"'", "alias = 'best'"]
)
SEARCHES = st.tuples(st.just("search"), CONDITIONS, st.none(), st.none())
CALLS = st.one_of(
    st.tuples(st.just("register"), NAMES, VERSIONS, TAGS, st.integers(0, 6)),
    st.tuples(st.just("tag"), REFERENCES, TAGS),
    st.tuples(st.just("alias"), REFERENCES, st.sampled_from(["best", "next"])),
    st.tuples(st.just("delete"), REFERENCES),
    SEARCHES,
    SEARCHES,
    st.tuples(st.just("search"), CONDITIONS, st.sampled_from([None, "metrics.f1 desc", "version"]), st.integers(1, 9)),
    st.tuples(st.just("page"), NAMES, st.none() | VERSIONS, st.integers(1, 3)),
    st.tuples(st.just("get"), REFERENCES),
)


def answer(registry, kind, *given):
    """Return what a call says, or the name of its error."""
    calls = {
        "register": lambda name, version, tags, f1: registry.register_model(
            ModelMetadata(name=name, version=version, tags=tags, metrics={"f1": f1})
        ),
        "tag": lambda reference, tags: registry.update_model(reference, {"tags": tags}),
        "alias": registry.set_alias,
        "delete": registry.delete_model,
        "search": lambda condition, order, limit: registry.search_versions(condition, order_by=order, limit=limit),
        "page": lambda name, after, limit: registry.list_versions(name, after=after, limit=limit),
        "get": registry.get_model,
    }
    try:
        found = calls[kind](*given)
    except DwcpError as exc:
        return type(exc).__name__
    if kind in {"search", "page", "get"}:
        return [(v.reference, v.tags, v.aliases, dict(v.metrics)) for v in ([found] if kind == "get" else found)]
    return None


@settings(max_examples=25)
@given(calls=st.lists(CALLS, min_size=20, max_size=60))
def test_bursts_of_any_calls_are_answered_as_without_memory(tmp_path_factory, calls):
    folder = tmp_path_factory.mktemp("bursts")
    with (
        store.open(folder / "kept", settings=config.load(metadata_url="duckdb")) as kept,
        store.open(folder / "asked", settings=config.load(metadata_url="sqlite")) as asked,
    ):
        for call in calls:
            assert answer(ModelRegistry(kept), *call) == answer(ModelRegistry(asked), *call), call
