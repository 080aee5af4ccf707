"""What the package offers is written down where a user looks for it, and nothing else is."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell

import dwcp_jupyter
from dwcp_jupyter import config, events, exceptions, magics
from tests.shells import close_shell

PROJECT = Path(__file__).parents[1]
README = (PROJECT / "README.md").read_text()
SOURCES = {path: ast.parse(path.read_text()) for path in sorted((PROJECT / "dwcp_jupyter").rglob("*.py"))}


@pytest.mark.parametrize("name", sorted(config.Dwcp.class_trait_names(config=True)))
def test_each_setting_has_its_line_with_its_variable(name):
    assert f"| `c.Dwcp.{name}` | `DWCP_{name.upper()}` |" in README
    assert config.Dwcp.class_traits()[name].help


def test_the_table_of_settings_has_no_other():
    assert set(re.findall(r"`c\.Dwcp\.(\w+)`", README)) == set(config.Dwcp.class_trait_names(config=True))


def test_each_magic_is_in_the_table_with_an_example_and_its_line_of_python():
    shell = InteractiveShell()
    before = {kind: set(found) for kind, found in shell.magics_manager.magics.items()}
    magics.load(shell)
    try:
        for kind, mark in (("line", "%"), ("cell", "%%")):
            found = shell.magics_manager.magics[kind]
            ours = set(found) - before[kind]
            assert ours
            for name in ours:
                assert re.search(rf"`{mark}{name}\b", README), f"{mark}{name} is not in the README"
                text = inspect.getdoc(found[name])
                assert "Examples" in text, name
                assert "in Python: ``dwcp_jupyter.Workspace()" in " ".join(text.split()), name
    finally:
        magics.unload(shell)
        close_shell(shell)


def test_each_error_is_in_the_tree_with_its_builtin():
    for name in exceptions.__all__:
        found = getattr(exceptions, name)
        if not inspect.isclass(found) or found is exceptions.DwcpError:
            continue
        (line,) = re.findall(rf"── {name}\b.*", exceptions.__doc__)
        for base in found.__bases__:
            if base.__module__ == "builtins":
                assert f"({base.__name__})" in line


def test_each_kind_of_event_is_in_the_table():
    recorded = set()
    for path, tree in SOURCES.items():
        if "testing" in path.parts:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "record":
                kinds = [part.value for part in ast.walk(node.args[0]) if isinstance(part, ast.Constant) and part.value]
                recorded.update(kinds)
    assert recorded == set(re.findall(r"``(\w+\.\w+)``", events.__doc__))


def _modules():
    found = pkgutil.walk_packages(dwcp_jupyter.__path__, "dwcp_jupyter.")
    return [module.name for module in found if not module.name.endswith("__main__")]


@pytest.mark.parametrize("name", _modules())
def test_public_names_are_those_of_all_and_say_what_they_are(name):
    module = importlib.import_module(name)
    own = {
        key
        for key, value in vars(module).items()
        if not key.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module.__name__
    }
    names = getattr(module, "__all__", [])
    assert own <= set(names), "public, but not in __all__"
    assert module.__doc__
    for key in names:
        value = getattr(module, key)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert inspect.getdoc(value), key
