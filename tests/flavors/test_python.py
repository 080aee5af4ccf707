"""Functions as models: what travels with them, what is refused, and who may run them."""

import functools
import importlib
import json
import subprocess
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest
import xgboost
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from dwcp_jupyter import hashing
from dwcp_jupyter.exceptions import FlavorError, IntegrityError, PredictionError, UntrustedArtifactError
from dwcp_jupyter.flavors import adopt_file, flavor_of, load_model, read_package, save_model
from dwcp_jupyter.flavors.python.literals import Literals
from dwcp_jupyter.flavors.python.proof import Proof

WEIGHT = 0.25
RATES = {"low": 1.0, "high": [2.5, float("inf")]}
FRAME = pd.DataFrame({"amount": np.linspace(-2, 2, 40), "age": np.arange(40.0)})
SPLIT = (FRAME["amount"] > 0.3).astype(int)
forest = RandomForestClassifier(n_estimators=3, random_state=0).fit(FRAME, SPLIT)
trees = xgboost.XGBClassifier(n_estimators=3).fit(FRAME, SPLIT)


def is_even(number):
    return True if number == 0 else is_odd(number - 1)


def is_odd(number):
    return False if number == 0 else is_even(number - 1)


class Scale:
    """A class of the notebook."""

    factor = WEIGHT

    def __init__(self, by):
        self.by = by

    def __call__(self, values):
        return values * self.by * self.factor


def blend(frame):
    """Weigh two fitted models and a rule."""
    first = forest.predict_proba(frame)[:, 1]
    second = trees.predict_proba(frame)[:, 1]
    extra = RATES["high"][0] if is_even(4) else 0.0
    return WEIGHT * first + (1 - WEIGHT) * second + Scale(extra)(np.log1p(frame["age"]))


def module_of(folder):
    """Return the text that a package keeps."""
    with zipfile.ZipFile(folder / "function.zip") as archive:
        return archive.read("model.py").decode()


def defined(text, name="score", **names):
    """Return a function as `exec` defines it, with a text that is known as a cell's is."""
    import linecache

    file = f"<cell {hashing.sha256_bytes(text.encode())[:8]}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    space = {"__name__": "__main__", "pd": pd, "np": np, **names}
    exec(compile(text, file, "exec"), space)
    return space[name]


def kept(text, folder, **names):
    """Return the function of a text, kept in `folder` and loaded again."""
    info = save_model(defined(text, **names), folder)
    return load_model(folder, trust=info.sha256)


# -- there and back


def test_another_interpreter_answers_alike_with_nothing_but_the_package(tmp_path):
    info = save_model(blend, tmp_path / "package", input_example=FRAME)
    FRAME.to_parquet(tmp_path / "frame.parquet")
    code = (
        "import json, sys, pandas as pd; from dwcp_jupyter import flavors;"
        "loaded = flavors.load_model(sys.argv[1], trust=sys.argv[2]);"
        "print(json.dumps(loaded.predict(pd.read_parquet(sys.argv[3])).values.tolist()))"
    )
    arguments = [str(tmp_path / "package"), info.sha256, str(tmp_path / "frame.parquet")]
    done = subprocess.run([sys.executable, "-I", "-c", code, *arguments], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(json.loads(done.stdout), blend(FRAME))


def test_the_package_says_what_it_holds(tmp_path):
    info = save_model(blend, tmp_path / "package", input_example=FRAME)
    assert (info.framework, info.format, info.is_safe) == ("python_function", "python", False)
    assert info.signature.names == ("amount", "age")
    assert info.detail == {"function": "blend"}
    assert {"scikit-learn", "numpy", "pandas"} <= set(info.packages)
    assert {"xgboost", "xgboost-cpu"} & set(info.packages)
    assert info.packages["numpy"] == np.__version__
    assert read_package(tmp_path / "package") == info


def test_a_reviewer_reads_the_source_and_finds_the_models_in_their_own_safe_formats(tmp_path):
    save_model(blend, tmp_path / "package")
    text = module_of(tmp_path / "package")
    assert '"""Weigh two fitted models and a rule."""' in text
    assert "\nWEIGHT = 0.25\n" in text
    assert "RATES = {'low': 1.0, 'high': [2.5, float('inf')]}" in text
    assert "# forest: the RandomForestClassifier in parts/forest/" in text
    assert text.index("class Scale") < text.index("def blend")
    with zipfile.ZipFile(tmp_path / "package" / "function.zip") as archive:
        names = archive.namelist()
    assert {"parts/forest/model.skops", "parts/trees/model.ubj", "function.json", "model.py"} < set(names)


def test_the_same_function_gives_the_same_bytes(tmp_path):
    def score(frame):
        return trees.predict(frame) + len(RATES) + WEIGHT

    sums = {save_model(score, tmp_path / name).sha256 for name in "ab"}
    assert len(sums) == 1


def test_a_function_that_was_loaded_can_be_kept_again(tmp_path):
    info = save_model(blend, tmp_path / "first")
    native = load_model(tmp_path / "first", trust=info.sha256).native
    again = save_model(native, tmp_path / "second")
    loaded = load_model(tmp_path / "second", trust=again.sha256)
    np.testing.assert_array_equal(loaded.predict(FRAME).values, blend(FRAME))
    assert module_of(tmp_path / "first") == module_of(tmp_path / "second")


def test_nothing_of_a_loaded_function_can_be_imported(tmp_path):
    info = save_model(blend, tmp_path / "package")
    before = set(sys.modules)
    load_model(tmp_path / "package", trust=info.sha256)
    assert not {name for name in set(sys.modules) - before if "function" in name or name == "model"}


def test_a_traceback_shows_the_line_that_failed(tmp_path):
    import traceback

    loaded = kept("def score(frame):\n    return frame['a'] / frame['missing']\n", tmp_path / "package")
    with pytest.raises(PredictionError, match="KeyError: 'missing'") as caught:
        loaded.predict({"a": [1.0]})
    lines = traceback.format_exception(caught.value.__cause__)
    assert any("return frame['a'] / frame['missing']" in line for line in lines)


# -- names


def test_constants_come_back_with_their_types_and_every_bit(tmp_path):
    import datetime as dt
    import decimal
    import fractions
    import re
    import zoneinfo

    berlin = zoneinfo.ZoneInfo("Europe/Berlin")
    values = {
        "plain": (
            None,
            True,
            -3,
            0.1 + 0.2,
            -0.0,
            "ü\n'\"",
            b"\x00\xff",
            2 - 1j,
            ...,
            range(3),
            slice(1, None),
        ),
        "huge": -(10**6000),
        "limits": [float("nan"), float("inf"), -float("inf"), 5e-324],
        "nested": {"a": [(), (1,), {2: {"x"}}], 3: frozenset({1}), (1, 2): set()},
        "times": (
            dt.date(2024, 2, 29),
            dt.datetime(2024, 10, 27, 2, 30, tzinfo=berlin, fold=1),
            dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
            dt.timedelta(days=-1, microseconds=3),
            dt.time(1, 2, tzinfo=dt.timezone(dt.timedelta(hours=2), "X")),
        ),
        "exact": (decimal.Decimal("1.10"), decimal.Decimal("NaN"), fractions.Fraction(1, 3)),
        "numbers": [np.float64(0.1), np.float32(0.1), np.int8(3), np.bool_(True), np.str_("s"), np.float64("nan")],
        "pattern": re.compile(r"\d+[a-z]", re.IGNORECASE),
        "long": {f"key {number}": number / 7 for number in range(100)},
    }
    text = f"def score(frame):\n    return {', '.join(values)}\n"
    found = kept(text, tmp_path / "package", **values).native(None)
    for value, other in zip(values.values(), found, strict=True):
        assert other == value or repr(other) == repr(value)
    assert [type(value) for value in found[6]] == [type(value) for value in values["numbers"]]
    assert found[4][1].utcoffset() == values["times"][1].utcoffset()


_SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.complex_numbers(), st.text(), st.binary(), st.dates(),
    st.datetimes(timezones=st.none() | st.timezones()), st.timedeltas(), st.decimals(), st.fractions(),
    st.floats(width=32).map(np.float32), st.integers(0, 255).map(np.uint8),
)  # fmt: skip
_KEYS = st.text() | st.integers() | st.tuples(st.booleans(), st.dates())
_CONSTANTS = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.tuples(inner, inner) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(_CONSTANTS)
def test_every_constant_is_written_as_what_gives_it_back(value):
    modules = {}

    def module(name):
        modules[name] = importlib.import_module(name)
        return name

    text = Literals(module=module, place=pytest.fail).expression(value, "value")
    assert [*Proof().differences(value, eval(text, modules))] == []


def test_a_set_is_written_in_one_order_whatever_its_hashes_are(tmp_path):
    code = (
        "import sys; from dwcp_jupyter.flavors.python.literals import Literals;"
        "print(Literals(module=str, place=str).expression({'a', 'b', 'c', ('d', 'e')}, ''))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in "123"
    }
    assert said == {"{'a', 'b', 'c', ('d', 'e')}\n"}


def test_arrays_frames_and_series_come_back_as_they_are(tmp_path):
    tables = {
        "weights": np.array([[1, 2], [3, 4]], dtype=np.int16),
        "rates": pd.Series([0.1, 0.2], index=["x", "y"], name="rate"),
        "nameless": pd.Series(["a", None, "b"]),
        "zones": pd.DataFrame(
            {"zone": ["n", "s"], "since": pd.to_datetime(["2024-01-01", "2025-01-01"])}, index=[7, 9]
        ),
    }
    text = f"def score(frame):\n    return {', '.join(tables)}\n"
    found = dict(zip(tables, kept(text, tmp_path / "package", **tables).native(None), strict=True))
    assert found["weights"].dtype == np.int16
    np.testing.assert_array_equal(found["weights"], tables["weights"])
    for name in ("rates", "nameless"):
        pd.testing.assert_series_equal(found[name], tables[name])
    pd.testing.assert_frame_equal(found["zones"], tables["zones"])
    assert "# zones: the DataFrame of shape (2, 2) in tables/zones" in module_of(tmp_path / "package")


def test_models_in_containers_are_kept_once(tmp_path):
    text = "def score(frame):\n    return sum(m.predict(frame) for m in models.values()) + forest.predict(frame)\n"
    loaded = kept(text, tmp_path / "package", models={"n": forest, "s": trees}, forest=forest)
    expected = 2 * forest.predict(FRAME) + trees.predict(FRAME)
    np.testing.assert_array_equal(loaded.predict(FRAME).values, expected)
    with zipfile.ZipFile(tmp_path / "package" / "function.zip") as archive:
        assert sum(name.endswith("model.skops") for name in archive.namelist()) == 1


def test_a_model_that_was_loaded_from_a_package_stays_one(tmp_path):
    save_model(forest, tmp_path / "forest", input_example=FRAME)
    champion = load_model(tmp_path / "forest")
    text = "def score(frame):\n    return champion.predict(frame).probabilities[:, 1]\n"
    loaded = kept(text, tmp_path / "package", champion=champion)
    np.testing.assert_array_equal(loaded.predict(FRAME).values, forest.predict_proba(FRAME)[:, 1])


def limited(limit, models):
    text = """two
    lines"""

    def rule(frame):
        """Say which are above.

        With an indent of its own."""
        return (models[0].predict(frame) > limit) * len(text)

    return rule


low, high = limited(0.5, [forest]), limited(1.5, [trees])


def test_functions_made_by_functions_keep_what_they_took_from_there(tmp_path):
    def score(frame):
        return low(frame) + 10 * high(frame)

    info = save_model(score, tmp_path / "package")
    loaded = load_model(tmp_path / "package", trust=info.sha256)
    np.testing.assert_array_equal(loaded.predict(FRAME).values, score(FRAME))
    assert "low = _make_low(limit=0.5, models=[models_0], text='two\\n    lines')" in module_of(tmp_path / "package")


def test_a_function_inside_of_another_may_call_itself(tmp_path):
    def factorial(number):
        return 1 if number < 2 else number * factorial(number - 1)

    def score(frame):
        return frame["age"] * factorial(4)

    info = save_model(score, tmp_path / "package")
    loaded = load_model(tmp_path / "package", trust=info.sha256)
    np.testing.assert_array_equal(loaded.predict(FRAME).values, FRAME["age"] * 24)


def doubled(function):
    @functools.wraps(function)
    def twice(*args):
        return 2 * function(*args)

    return twice


def tripled(function):
    def thrice(*args):
        return 3 * function(*args)

    return thrice


@doubled
def decorated(frame, *, offset=WEIGHT):
    return frame["age"] + offset


@tripled
@doubled
def decorated_without_a_trace(frame):
    return frame["age"]


@functools.lru_cache(maxsize=8)
def remembered(number):
    return number + 1


@pytest.mark.parametrize("function", [decorated, decorated_without_a_trace], ids=lambda function: function.__name__)
def test_decorators_apply_as_often_as_they_did(function, tmp_path):
    info = save_model(function, tmp_path / "package")
    loaded = load_model(tmp_path / "package", trust=info.sha256)
    np.testing.assert_array_equal(loaded.predict(FRAME).values, function(FRAME))


def test_a_cached_helper_is_kept_with_its_decorator(tmp_path):
    def score(frame):
        return frame["age"] * remembered(1)

    info = save_model(score, tmp_path / "package")
    loaded = load_model(tmp_path / "package", trust=info.sha256)
    np.testing.assert_array_equal(loaded.predict(FRAME).values, FRAME["age"] * 2)
    assert "@functools.lru_cache(maxsize=8)" in module_of(tmp_path / "package")


def test_imports_are_written_by_the_path_that_a_library_shows(tmp_path):
    import scipy.stats
    from sklearn.metrics import pairwise_distances as distances

    text = "def score(frame):\n    return scipy.stats.norm.cdf(distances(frame)[0]) + np.log1p(frame['age'])\n"
    loaded = kept(text, tmp_path / "package", scipy=scipy, distances=distances)
    expected = scipy.stats.norm.cdf(distances(FRAME)[0]) + np.log1p(FRAME["age"])
    np.testing.assert_array_equal(loaded.predict(FRAME).values, expected)
    text = module_of(tmp_path / "package")
    assert "import scipy.stats\n" in text
    assert "from sklearn.metrics import pairwise_distances as distances\n" in text
    assert loaded.info.packages["scipy"] == scipy.__version__


def test_what_a_function_imports_inside_is_named_among_its_packages(tmp_path):
    loaded = kept("def score(frame):\n    import yaml\n    return yaml.safe_load('[1]') * len(frame)\n", tmp_path / "p")
    assert "PyYAML" in loaded.info.packages


def test_names_need_not_be_ascii(tmp_path):
    text = "def größe(frame):\n    return frame['größe'] * μ\n"
    function = defined(text, "größe", μ=3.0)
    info = save_model(function, tmp_path / "package")
    loaded = load_model(tmp_path / "package", trust=info.sha256)
    assert loaded.predict({"größe": [1.0, 2.0]}).values.tolist() == [3.0, 6.0]


def test_an_older_function_of_the_same_name_may_be_used_by_the_newer(tmp_path):
    before = defined("def score(frame):\n    return frame['age'] + 1\n")
    loaded = kept("def score(frame):\n    return before(frame) * 2\n", tmp_path / "package", before=before)
    np.testing.assert_array_equal(loaded.predict(FRAME).values, (FRAME["age"] + 1) * 2)


def test_classes_and_defaults_come_before_those_who_need_them(tmp_path):
    text = """
import enum

def pick(n, kind=None):
    return (kind or Level).HIGH.value * n

class Level(enum.Enum):
    HIGH = 3

def score(frame, level=Level.HIGH):
    return frame['age'] * pick(level.value)
"""
    loaded = kept(text, tmp_path / "package")
    np.testing.assert_array_equal(loaded.predict(FRAME).values, FRAME["age"] * 9)
    text = module_of(tmp_path / "package")
    assert text.index("class Level") < text.index("def score")


def test_a_module_of_pytorch_is_refused_and_its_weights_travel(tmp_path):
    import torch

    text = """
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def forward(self, x):
        return self.layer(x)[:, 0]

net = Net()
weights = {name: tensor.numpy().copy() for name, tensor in net.state_dict().items()}

def direct(frame):
    return net(torch.tensor(frame.to_numpy(dtype="float32")))

def score(frame):
    built = Net()
    built.load_state_dict({name: torch.tensor(array) for name, array in weights.items()})
    with torch.inference_mode():
        return built(torch.tensor(frame.to_numpy(dtype="float32")))
"""
    with pytest.raises(FlavorError, match=r"'net', which 'direct' uses, .*weights as NumPy arrays"):
        save_model(defined(text, "direct", torch=torch), tmp_path / "direct")
    function = defined(text, torch=torch)
    info = save_model(function, tmp_path / "package")
    loaded = load_model(tmp_path / "package", trust=info.sha256)
    np.testing.assert_array_equal(loaded.predict(FRAME).values, function(FRAME).numpy())
    assert info.packages["torch"] == torch.__version__


# -- files beside the notebook


@pytest.fixture
def neighbour(tmp_path, monkeypatch):
    """A file of one's own, which is imported and is no installed package."""
    folder = tmp_path / "beside"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)

    def write(text, name="own_rules"):
        (folder / f"{name}.py").write_text(text)
        sys.modules.pop(name, None)
        return importlib.import_module(name)

    yield write
    sys.modules.pop("own_rules", None)


NEIGHBOUR = """
from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nowhere import Absent

LIMIT = 3


@dataclasses.dataclass
class Rule:
    limit: float = LIMIT
    notes: Absent | None = None

    def over(self, values: Absent) -> dataclasses.Field:
        return values > self.limit


def over(values: Absent) -> Absent:
    return Rule().over(values)
"""


def test_functions_of_a_file_beside_the_notebook_are_kept_by_their_source(neighbour, tmp_path):
    module = neighbour(NEIGHBOUR)
    loaded = kept("def score(frame):\n    return over(frame['age'])\n", tmp_path / "package", over=module.over)
    np.testing.assert_array_equal(loaded.predict(FRAME).values, FRAME["age"] > 3)
    text = module_of(tmp_path / "package")
    assert "own_rules" not in text
    assert text.index("LIMIT = 3") < text.index("class Rule") < text.index("def over")


def test_the_file_itself_is_refused_and_so_is_its_import_inside(neighbour, tmp_path):
    module = neighbour(NEIGHBOUR)
    with pytest.raises(FlavorError, match=r"'own_rules', which 'score' uses, .*not an installed package"):
        kept("def score(frame):\n    return own_rules.over(frame)\n", tmp_path / "a", own_rules=module)
    with pytest.raises(FlavorError, match=r"'own_rules', which 'score' uses, .*no installed package"):
        kept("def score(frame):\n    import own_rules\n    return own_rules.over(frame)\n", tmp_path / "b")


def test_a_file_that_was_changed_after_it_was_imported_is_noticed(neighbour, tmp_path):
    module = neighbour("def over(values):\n    return values > 3\n")
    (tmp_path / "beside" / "own_rules.py").write_text("def over(values):\n    return values > 40\n")
    with pytest.raises(FlavorError, match="is not what runs"):
        kept("def score(frame):\n    return over(frame['age'])\n", tmp_path / "package", over=module.over)


def test_one_name_for_two_things_is_refused(neighbour, tmp_path):
    module = neighbour("LIMIT = 3\ndef over(values):\n    return values > LIMIT\n")
    text = "def score(frame):\n    return over(frame['age'] * LIMIT)\n"
    with pytest.raises(FlavorError, match="'LIMIT', which 'score' uses, stands for 4 there and for 3 elsewhere"):
        kept(text, tmp_path / "package", over=module.over, LIMIT=4)
    kept(text, tmp_path / "alike", over=module.over, LIMIT=3)


# -- what cannot travel


class Holder:
    def score(self, frame):
        return frame["age"]

    def __call__(self, frame):
        return frame["age"]


async def asynchronous(frame):
    return frame["age"]


def generator(frame):
    yield frame["age"]


@pytest.mark.parametrize(
    ("thing", "why"),
    [
        (lambda frame: frame["age"], "a lambda has no text of its own.*Give it a name: def"),
        (functools.partial(blend), "functools.partial can be called and is no function"),
        (len, "can be called and is no function"),
        (np.log1p, "can be called and is no function"),
        (Holder(), "Holder can be called and is no function"),
        (Holder().score, "'score' is a method of a Holder"),
        (forest.predict, "'predict' is a method of a RandomForestClassifier. Pass the RandomForestClassifier itself"),
        (LogisticRegression, "'LogisticRegression' is a class. Pass a fitted object of it"),
        (asynchronous, "is asynchronous"),
        (generator, "is a generator"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_can_be_called_and_is_no_function_is_told_what_to_be(thing, why, tmp_path):
    assert flavor_of(thing).name == "python"
    with pytest.raises(FlavorError, match=why):
        save_model(thing, tmp_path / "package")
    assert not (tmp_path / "package").exists()


@pytest.mark.parametrize("arguments", ["", "amount, age", "*, frame", "frame, other, *rest"])
def test_a_function_that_does_not_take_one_frame_is_refused(arguments, tmp_path):
    with pytest.raises(FlavorError, match=r"cannot be called with one argument.*def score\(frame\)"):
        save_model(defined(f"def score({arguments}):\n    return 1\n"), tmp_path / "package")


def never_closed():
    yield 1


@pytest.mark.parametrize(
    ("body", "names", "why"),
    [
        ("return nothing(frame)", {}, "'nothing', which 'score' uses, cannot be kept: it is not defined"),
        ("return thing", {"thing": object()}, "'thing', which 'score' uses, .*builtins.object.*Make it inside"),
        ("return thing", {"thing": never_closed()}, "'thing'.*generator.*make a list of it"),
        ("return thing()", {"thing": forest.predict}, "'thing'.*method.*call its method inside"),
        ("return thing()", {"thing": functools.partial(len)}, r"'thing'.*functools\.partial.*Write a function by def"),
        ("return thing(1)", {"thing": lambda x: x}, "'thing'.*a lambda has no text of its own"),
        ("return thing", {"thing": [1, {"a": object()}]}, "'thing_1_a'.*builtins.object"),
        ("return thing", {"thing": "x" * 1_100_000}, "'thing'.*a constant of 1,100,002 characters"),
        ("return thing", {"thing": np.zeros(3_000_000)}, "'thing'.*a table of 24 MB"),
        ("return thing", {"thing": np.array([object()])}, "'thing' cannot be kept.*holds what its file cannot"),
        ("return thing", {"thing": pd.DataFrame({1: [2], "a": [object()]})}, "'thing' cannot be kept"),
        ("return thing.predict(frame)", {"thing": LogisticRegression()}, "'thing', .*not fitted"),
        ("global seen\n    seen = 1\n    return frame", {}, "assigns the global variable 'seen'"),
        ("return __file__", {"__file__": "/x.py"}, "it says where this file lies"),
        ("from . import x\n    return x", {}, r"'\.', which 'score' uses"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_what_cannot_travel_is_named_with_what_to_do(body, names, why, tmp_path):
    function = defined(f"def score(frame):\n    {body}\n", **names)
    with pytest.raises(FlavorError, match=why):
        save_model(function, tmp_path / "package")
    assert not (tmp_path / "package").exists()


def test_a_list_that_holds_itself_is_refused(tmp_path):
    ring = []
    ring.append(ring)
    with pytest.raises(FlavorError, match="a list that holds itself"):
        kept("def score(frame):\n    return ring\n", tmp_path / "package", ring=ring)


def test_names_that_differ_by_capitals_alone_are_refused(tmp_path):
    with pytest.raises(FlavorError, match="'Model' and 'model' differ by capital letters alone"):
        kept("def score(frame):\n    return Model, model\n", tmp_path / "package", Model=forest, model=trees)


def test_a_function_that_counts_its_calls_is_refused(tmp_path):
    def counting():
        count = 0

        def score(frame):
            nonlocal count
            count += 1
            return frame["age"]

        return score

    with pytest.raises(FlavorError, match="assigns 'count' of the function around it"):
        save_model(counting(), tmp_path / "package")


def test_a_function_without_a_text_is_refused(tmp_path):
    space = {}
    exec("def score(frame):\n    return frame", space)
    with pytest.raises(FlavorError, match="its text is not to be found"):
        save_model(space["score"], tmp_path / "package")


@pytest.mark.parametrize(
    ("text", "change", "why"),
    [
        ("def score(frame, limit=LIMIT):\n    return limit\n", {"LIMIT": 2}, "the default of 'limit'.*is 1 and becomes 2"),
        ("def score(frame, *, by=MODEL):\n    return by\n", {"MODEL": trees}, "the default of 'by'.*XGBClassifier"),
        ("def score(frame, by=make()):\n    return by\n", {}, "the default of 'by'.*made anew"),
        ("def score(frame, by=[1, {'a': make()}]):\n    return by\n", {}, "the default of 'by'.*made anew"),
        ("class A:\n    n = LIMIT\ndef score(frame):\n    return A.n\n", {"LIMIT": 5}, "'n' of the class 'A'.*is 1 and becomes 5"),
    ],
    ids=["constant", "model", "object", "container", "class"],
)  # fmt: skip
def test_what_would_not_come_back_as_it_is_now_is_refused(text, change, why, tmp_path):
    function = defined(text, LIMIT=1, MODEL=forest, make=Holder)
    function.__globals__.update(change)
    with pytest.raises(FlavorError, match=f"would not come back as it is: {why}"):
        save_model(function, tmp_path / "package")


def test_another_model_under_the_name_of_a_default_is_noticed(tmp_path):
    function = defined("def score(frame, by=model):\n    return by.predict(frame)\n", model=forest)
    function.__globals__["model"] = RandomForestClassifier(n_estimators=2).fit(FRAME, SPLIT)
    with pytest.raises(FlavorError, match="the default of 'by' in 'score' is another RandomForestClassifier"):
        save_model(function, tmp_path / "package")


def test_an_attribute_that_was_set_later_is_noticed(tmp_path):
    function = defined("def score(frame):\n    return score.limit\n")
    function.limit = 3
    with pytest.raises(FlavorError, match="the attribute 'limit' of 'score' is not in its text"):
        save_model(function, tmp_path / "package")


# -- answers


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        ("frame['a']", [1.0, 2.0, 3.0]),
        ("pd.Series(frame['a'].to_numpy(), index=list('xyz'))", [1.0, 2.0, 3.0]),
        ("list(frame['a'])", [1.0, 2.0, 3.0]),
        ("frame[['a']].assign(b=0.5)", [[1.0, 0.5], [2.0, 0.5], [3.0, 0.5]]),
        ("np.array([[1], [2], [3]])", [[1], [2], [3]]),
        ("['x', None, 'z']", ["x", None, "z"]),
        ("frame['a'].astype('Int64').where(frame['a'] > 1).astype(object)", [None, 2, 3]),
        ("pd.Categorical(['x', 'y', 'x'])", ["x", "y", "x"]),
    ],
)
def test_answers_are_one_a_row(returned, expected, tmp_path):
    loaded = kept(f"def score(frame):\n    return {returned}\n", tmp_path / "package")
    values = loaded.predict({"a": [1.0, 2.0, 3.0]}).values
    assert isinstance(values, np.ndarray)
    assert values.tolist() == expected


@pytest.mark.parametrize(
    ("returned", "why"),
    [
        ("1.0", "gave a float"),
        ("None", "gave a NoneType"),
        ("'text'", "gave a str"),
        ("{'a': [1, 2, 3]}", "gave a dict"),
        ("tuple(frame['a'])", "gave a tuple"),
        ("(x for x in frame['a'])", "gave a generator"),
        ("np.float64(1)", "gave a float64"),
        ("np.zeros((3, 2, 2))", r"shape \(3, 2, 2\)"),
        ("[[1], [2, 3], [4]]", "ValueError"),
        ("frame['a'][:2]", "2 answers to 3 rows"),
        ("frame['a'].sort_values(ascending=False)", "another order"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_what_is_no_answer_is_refused(returned, why, tmp_path):
    loaded = kept(f"def score(frame):\n    return {returned}\n", tmp_path / "package")
    with pytest.raises(PredictionError, match=why):
        loaded.predict({"a": [1.0, 2.0, 3.0]})


def test_the_example_is_tried_and_kept_as_it_was_whatever_the_function_does_to_its_frame(tmp_path):
    text = "def score(frame):\n    frame['b'] = 1\n    frame.loc[0, 'a'] = 9.0\n    return frame['a']\n"
    example = pd.DataFrame({"a": [1.0, 2.0]}, index=[5, 3])
    info = save_model(defined(text), tmp_path / "package", input_example=example)
    loaded = load_model(tmp_path / "package", trust=info.sha256)
    assert loaded.predict(example).values.tolist() == [9.0, 2.0]
    from dwcp_jupyter.flavors import read_example

    assert read_example(tmp_path / "package").to_dict("list") == {"a": [1.0, 2.0]}
    with pytest.raises(PredictionError, match="KeyError"):
        save_model(defined("def score(frame):\n    return frame['z']\n"), tmp_path / "other", input_example=example)
    assert not (tmp_path / "other").exists()


# -- trust


def rewritten(folder, change):
    """Change the members of a package's file, and let its description say the new sum."""
    path = folder / "function.zip"
    with zipfile.ZipFile(path) as archive:
        members = [(member, archive.read(member)) for member in archive.infolist()]
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in change(members):
            archive.writestr(member, data)
    said = json.loads((folder / "model.json").read_text())
    said["sha256"] = hashing.sha256_file(path)
    (folder / "model.json").write_text(json.dumps(said))
    return said["sha256"]


@pytest.fixture
def package(tmp_path):
    def score(frame):
        return forest.predict(frame)

    save_model(score, tmp_path / "package", input_example=FRAME)
    return tmp_path / "package"


@pytest.fixture
def marking(package, tmp_path):
    """A package whose text leaves a file when it runs: (folder, sum, file)."""
    marker = tmp_path / "was here"
    line = f"\nopen({str(marker)!r}, 'w').close()\n".encode()

    def change(members):
        return [(member, data + line if member.filename == "model.py" else data) for member, data in members]

    return package, rewritten(package, change), marker


@pytest.mark.parametrize("trust", ["none", "own", "f" * 64, None])
def test_without_a_decision_nothing_of_a_function_runs(marking, trust):
    folder, total, marker = marking
    with pytest.raises(UntrustedArtifactError) as caught:
        load_model(folder, trust=trust)
    assert f"flavors.load_model(directory, trust='{total}')" in str(caught.value)
    assert caught.value.sha256 == total
    assert not marker.exists()


def test_the_decision_is_told_before_the_function_runs(marking):
    folder, total, marker = marking
    seen = []
    load_model(folder, trust=total, on_trust=lambda decision: seen.append((decision.sha256, marker.exists())))
    assert seen == [(total, False)]
    assert marker.exists()


def test_a_changed_byte_is_noticed_before_anything_runs(package):
    path = package / "function.zip"
    data = path.read_bytes()
    path.write_bytes(data.replace(b"forest.predict", b"forest.prefict"))
    assert path.read_bytes() != data
    with pytest.raises(IntegrityError, match="was changed"):
        load_model(package, trust=hashing.sha256_file(path))


def member(name, *, mode=0o100600, compressed=False):
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    info.compress_type = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    return info


@pytest.mark.parametrize(
    "hostile",
    [
        member("../escaped"),
        member("parts/../../escaped"),
        member("/tmp/escaped"),
        member("parts\\..\\escaped"),
        member("./model.py"),
        member("link", mode=0o120777),
        member("bomb", compressed=True),
        member("folder/", mode=0o40700),
    ],
    ids=lambda info: info.filename,
)
def test_a_hostile_member_is_refused_and_nothing_is_written_or_run(hostile, marking, tmp_path):
    folder, _, marker = marking
    total = rewritten(folder, lambda members: [*members, (hostile, b"0" * 100_000)])
    before = sorted(path for path in tmp_path.rglob("*"))
    with pytest.raises(IntegrityError, match="cannot be unpacked"):
        load_model(folder, trust=total)
    assert sorted(path for path in tmp_path.rglob("*")) == before
    assert not marker.exists()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_is_there_twice_is_refused(marking):
    folder, _, marker = marking
    total = rewritten(folder, lambda members: [*members, members[1]])
    with pytest.raises(IntegrityError, match="cannot be unpacked"):
        load_model(folder, trust=total)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda said: said | {"function": "absent"}, "defines no 'absent'"),
        (lambda said: said | {"format_version": 9}, "this release reads 1"),
        (lambda said: said | {"parts": {"../x": "model"}}, "no name of Python"),
        (lambda said: said | {"parts": {"absent": "model"}}, "no model package"),
        (lambda said: [], "cannot be read as python"),
        (lambda said: {}, "cannot be read as python"),
    ],
    ids=["function", "version", "outside", "absent", "list", "empty"],
)
def test_a_description_that_is_wrong_is_refused(change, why, package):
    def changed(members):
        for info, data in members:
            yield info, json.dumps(change(json.loads(data))) if info.filename == "function.json" else data

    total = rewritten(package, changed)
    with pytest.raises(FlavorError, match=why):
        load_model(package, trust=total)


def test_a_part_that_could_run_code_is_refused_though_the_function_is_trusted(package, tmp_path):
    import pickle

    pickled = pickle.dumps(forest)

    def changed(members):
        for info, data in members:
            if info.filename.endswith("model.skops"):
                yield member("parts/forest/model.pkl"), pickled
            elif info.filename == "parts/forest/model.json":
                record = json.loads(data) | {
                    "format": "pickle",
                    "file": "model.pkl",
                    "sha256": hashing.sha256_bytes(pickled),
                }
                yield info, json.dumps(record)
            else:
                yield info, data

    total = rewritten(package, changed)
    with pytest.raises(FlavorError, match="kept as pickle, which is not safe"):
        load_model(package, trust=total)


@pytest.mark.parametrize("text", ["raise SystemExit(3)", "import nothing_of_that_name", "def"])
def test_a_text_that_cannot_be_run_is_an_error_and_no_end(text, package):
    def changed(members):
        return [(info, text.encode() if info.filename == "model.py" else data) for info, data in members]

    total = rewritten(package, changed)
    with pytest.raises(FlavorError, match=r"ends the process|cannot be read as python"):
        load_model(package, trust=total)


# -- foreign files


def test_a_file_with_a_function_predict_is_adopted_by_trust(tmp_path):
    path = tmp_path / "model.py"
    path.write_text("import numpy as np\nLIMIT = 3\n\ndef predict(frame):\n    return np.asarray(frame['a'] > LIMIT)\n")
    path.chmod(0o600)
    decisions = []
    info = adopt_file(path, tmp_path / "package", framework="python_function", on_trust=decisions.append)
    assert (info.format, info.flavor, info.is_safe) == ("source", "python", False)
    assert (tmp_path / "package" / info.file).read_bytes() == path.read_bytes()
    assert [decision.sha256 for decision in decisions] == [info.sha256]
    assert info.packages["numpy"] == np.__version__
    with pytest.raises(UntrustedArtifactError):
        load_model(tmp_path / "package")
    loaded = load_model(tmp_path / "package", trust=info.sha256)
    assert loaded.predict({"a": [1, 5]}).values.tolist() == [False, True]
    with pytest.raises(UntrustedArtifactError):
        adopt_file(path, tmp_path / "other", trust="none")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("def score(frame):\n    return 1\n", "defines no function 'predict'"),
        ("predict = 3\n", "can be called|no function"),
        ("async def predict(frame):\n    return 1\n", "asynchronous"),
        ("def predict(:\n", "cannot be read as source"),
        ("import tests\n\ndef predict(frame):\n    return 1\n", "imports 'tests', which is a file of yours"),
    ],
)
def test_a_file_without_a_function_to_serve_is_refused(text, why, tmp_path):
    path = tmp_path / "model.py"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(FlavorError, match=why):
        adopt_file(path, tmp_path / "package")
    assert not (tmp_path / "package").exists()


def test_the_file_of_a_function_is_adopted_byte_for_byte(package, tmp_path):
    path = package / "function.zip"
    path.chmod(0o600)
    info = adopt_file(path, tmp_path / "again", input_example=FRAME)
    assert (tmp_path / "again" / info.file).read_bytes() == path.read_bytes()
    assert "scikit-learn" in info.packages
    loaded = load_model(tmp_path / "again", trust=info.sha256)
    np.testing.assert_array_equal(loaded.predict(FRAME).values, forest.predict(FRAME))


COUNTED = {"calls": 0}
SCALE = 2.0


def counting(frame):
    COUNTED["calls"] += 1
    return np.full(len(frame), COUNTED["calls"])


def drawing(frame):
    return np.random.default_rng().normal(size=len(frame))


def reaching(frame):
    return frame["a"].to_numpy() * globals()["SCALE"]


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (counting, "same answers to the same rows"),
        (drawing, "same answers to the same rows"),
        (reaching, "fails where it is kept"),
    ],
)
def test_a_function_that_would_answer_otherwise_where_it_is_kept_is_refused(function, why, tmp_path):
    with pytest.raises(FlavorError, match=why):
        save_model(function, tmp_path / "p", input_example=pd.DataFrame({"a": [1.0, 2.0]}))
    assert not (tmp_path / "p").exists()
