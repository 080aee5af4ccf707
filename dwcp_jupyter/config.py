"""Settings, and where a workspace lies.

Every setting is one trait of `Dwcp`: settable as ``c.Dwcp.<name>`` in a Jupyter configuration file, as
``DWCP_<NAME>`` in the environment, and as an argument of `load`; the later wins. The Jupyter server hands
its own settings to the kernels through the environment.

A workspace is one folder. `locate` finds it from ``DWCP_HOME``, else the nearest ``.dwcp`` upward, else
names the place where the first write will create it. A ``.dwcp`` that belongs to another user is refused:
whoever can write it could make us run their models.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from traitlets import Bool, Float, Int, TraitError, Unicode
from traitlets.config import Config, Configurable

from dwcp_jupyter.exceptions import SettingError, WorkspaceError, did_you_mean

__all__ = ["FOLDER_NAME", "Dwcp", "Location", "export", "load", "locate"]

FOLDER_NAME = ".dwcp"
_METADATA_FILES = ("metadata.duckdb", "metadata.sqlite")


class Dwcp(Configurable):
    """Every setting of dwcp_jupyter."""

    home = Unicode("", help="The workspace folder itself. Empty: found from the working directory upward.").tag(
        config=True
    )
    metadata_url = Unicode(
        "", help="SQLAlchemy URL of the metadata, or just 'sqlite'. Empty: DuckDB in the workspace folder."
    ).tag(config=True)
    artifact_url = Unicode(
        "", help="Folder or fsspec URL of the artifacts. Empty: artifacts/ in the workspace folder."
    ).tag(config=True)
    trust = Unicode(
        "own",
        help="Which files may run code when they are loaded: 'own' (files of this user, by path), 'none', or SHA-256 "
        "sums separated by commas.",
    ).tag(config=True)
    trusted_keys = Unicode(
        "",
        help="PEM files of the public keys whose signatures count, separated by commas; a model that is signed is "
        "loaded only if one of them agrees.",
    ).tag(config=True)
    require_signature = Bool(False, help="Load and deploy only models that are signed with a trusted key.").tag(
        config=True
    )
    trust_foreign_workspace = Bool(
        False, help="Open a workspace folder that belongs to another user. Its content can run code as you."
    ).tag(config=True)
    lease_timeout_s = Float(
        60.0, min=0.1, help="Longest wait for the metadata while another process uses it, in seconds."
    ).tag(config=True)
    log_durability = Unicode(
        "buffered",
        help="Prediction log: 'buffered' may lose its last second when a process is killed, 'sync' writes before it "
        "answers.",
    ).tag(config=True)
    access_log = Bool(True, help="Write one line per request to logs/access.log in the workspace folder.").tag(
        config=True
    )
    request_timeout_s = Float(30.0, min=0.001, help="Longest time a prediction may take, in seconds.").tag(config=True)
    max_body_bytes = Int(16 << 20, min=1, help="Largest request body that an endpoint accepts, in bytes.").tag(
        config=True
    )
    max_queue = Int(1024, min=1, help="Most requests that may wait at one endpoint before it answers 429.").tag(
        config=True
    )
    hang_timeout_s = Float(
        10.0, min=0.1, help="Silence after which a gateway or replica counts as hung and is replaced, in seconds."
    ).tag(config=True)
    drain_timeout_s = Float(
        30.0, min=0, help="Longest time a process may take to finish what is in flight before it is ended, in seconds."
    ).tag(config=True)


def load(*, environ: Mapping[str, str] | None = None, config: Config | None = None, **overrides: Any) -> Dwcp:
    """Return the settings: defaults, then `config`, then ``DWCP_*`` of the environment, then `overrides`.

    Raises
    ------
    SettingError
        For a name that is no setting, or a value that a setting cannot take.
    """
    environ = os.environ if environ is None else environ
    names = Dwcp.class_trait_names(config=True)
    for name in overrides:
        if name not in names:
            raise SettingError(f"No setting '{name}'.{did_you_mean(name, names)} Settings: {', '.join(sorted(names))}.")
    settings = Dwcp(config=config) if config is not None else Dwcp()
    for name in names:
        text = environ.get(f"DWCP_{name.upper()}")
        if text is not None:
            _assign(settings, name, _parse(name, text), source=f"DWCP_{name.upper()}")
    for name, value in overrides.items():
        _assign(settings, name, value, source=name)
    return settings


def export(settings: Dwcp) -> dict[str, str]:
    """Return the settings that differ from their defaults, as environment variables for child processes."""
    exported = {}
    for name, trait in Dwcp.class_traits(config=True).items():
        value = getattr(settings, name)
        if value != trait.default_value:
            exported[f"DWCP_{name.upper()}"] = str(value)
    return exported


def _parse(name: str, text: str) -> Any:
    trait = Dwcp.class_traits()[name]
    try:
        return trait.from_string(text)
    except (TraitError, ValueError) as exc:
        wanted = {Bool: "true or false", Float: "a number", Int: "a whole number"}.get(type(trait), "a text")
        raise SettingError(f"DWCP_{name.upper()}='{text}' cannot be read. Set it to {wanted}.") from exc


def _assign(settings: Dwcp, name: str, value: Any, *, source: str) -> None:
    try:
        setattr(settings, name, value)
    except TraitError as exc:
        raise SettingError(f"{source}={value!r} is not usable: {exc}") from exc


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """The workspace's folder, and whether there is one yet."""

    root: Path
    exists: bool


def locate(
    path: str | os.PathLike[str] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    settings: Dwcp | None = None,
) -> Location:
    """Return where the workspace lies; nothing is created.

    Parameters
    ----------
    path : path, optional
        The workspace folder, or a project folder that holds a ``.dwcp``. Without it: ``DWCP_HOME``, else the nearest
        ``.dwcp`` from `cwd` upward (not past the home folder or a file-system border), else ``.dwcp`` at the
        Jupyter server's root (``DWCP_SERVER_ROOT``) or in `cwd`.

    Raises
    ------
    WorkspaceError
        If the folder belongs to another user, or is not a folder.
    """
    environ = os.environ if environ is None else environ
    settings = settings or load(environ=environ)
    named = path if path is not None else settings.home
    if named:
        folder = Path(named).expanduser().absolute()
        root = folder / FOLDER_NAME if _is_project(folder) else folder
    else:
        start = (cwd or Path.cwd()).absolute()
        root = _nearest(start) or Path(environ.get("DWCP_SERVER_ROOT") or start) / FOLDER_NAME
    if root.exists() and not root.is_dir():
        raise WorkspaceError(f"'{root}' is not a folder, so it cannot be a workspace. Name another one by DWCP_HOME.")
    _refuse_foreign(root, settings)
    return Location(root=root, exists=root.is_dir())


def _is_project(folder: Path) -> bool:
    return not any((folder / name).exists() for name in _METADATA_FILES) and (folder / FOLDER_NAME).is_dir()


def _nearest(start: Path) -> Path | None:
    """Return the nearest ``.dwcp`` from `start` upward, within this file system and not above the home folder."""
    home, device = Path.home(), start.stat().st_dev
    for folder in (start, *start.parents):
        if folder.stat().st_dev != device:
            return None
        if (folder / FOLDER_NAME).is_dir():
            return folder / FOLDER_NAME
        if folder == home:
            return None
    return None


def _refuse_foreign(root: Path, settings: Dwcp) -> None:
    if not root.exists() or settings.trust_foreign_workspace:
        return
    owner = root.stat().st_uid
    if owner != os.getuid():
        raise WorkspaceError(
            f"The workspace '{root}' belongs to user id {owner}, not to you ({os.getuid()}): its owner could make you "
            "load their files. Use your own by DWCP_HOME, or trust that user by DWCP_TRUST_FOREIGN_WORKSPACE=true."
        )
