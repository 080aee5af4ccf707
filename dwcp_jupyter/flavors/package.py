"""A model as one folder: what is registered, copied and served.

``model.json`` says what the folder holds and how to read it; beside it lie the model's own file and an example of its
input. The description is data, never an instruction: whether a file may be loaded is the loader's decision (`trust`),
whatever the description says of itself.

Changing the format takes a new number here and a reader for the old ones.
"""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from dwcp_jupyter import hashing
from dwcp_jupyter.exceptions import FlavorError
from dwcp_jupyter.flavors.frameworks import Framework
from dwcp_jupyter.flavors.signature import Signature

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "DESCRIPTION",
    "FORMAT_VERSION",
    "SAFE_FORMATS",
    "PackageInfo",
    "installed",
    "read_example",
    "read_package",
    "write_example",
    "write_package",
]

FORMAT_VERSION = 1
DESCRIPTION = "model.json"
SAFE_FORMATS = frozenset({"skops", "ubj", "json", "onnx"})
"""Formats that are data: reading one cannot run code that it brings along."""
_EXAMPLE = "input_example.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageInfo:
    """What a package folder holds.

    Attributes
    ----------
    flavor : str
        Which flavor reads it.
    format : str
        Of the model's file: ``"skops"``, ``"ubj"``, ``"json"``, ``"onnx"``, ``"pickle"`` or ``"joblib"``.
    file : str
        The model's file, relative to the folder.
    sha256 : str
        Of that file; what a decision to trust it names.
    task : str or None
        ``"classification"``, ``"regression"``, or None where the model does not say.
    classes : tuple or None
        A classifier's labels in the order of its probabilities.
    detail : mapping
        What the flavor needs to read the file.
    """

    flavor: str
    framework: Framework
    framework_version: str | None
    format: str
    file: str
    sha256: str
    signature: Signature | None = None
    task: str | None = None
    classes: tuple[Any, ...] | None = None
    packages: Mapping[str, str] = field(default_factory=dict)
    python: str = field(default_factory=platform.python_version)
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_safe(self) -> bool:
        """Whether loading it cannot run code of its own."""
        return self.format in SAFE_FORMATS


def installed(*names: str) -> dict[str, str]:
    """Return the versions of those distributions that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def write_package(folder: Path, info: PackageInfo) -> None:
    """Write the description of the package in `folder`."""
    record = {
        "format_version": FORMAT_VERSION,
        "flavor": info.flavor,
        "framework": str(info.framework),
        "framework_version": info.framework_version,
        "format": info.format,
        "file": info.file,
        "sha256": info.sha256,
        "signature": None if info.signature is None else info.signature.to_json(),
        "task": info.task,
        "classes": None if info.classes is None else [_plain(label) for label in info.classes],
        "packages": dict(info.packages),
        "python": info.python,
        "detail": dict(info.detail),
    }
    (folder / DESCRIPTION).write_bytes(hashing.canonical_json(record))


def read_package(directory: str | Path) -> PackageInfo:
    """Return the description of the package in `directory`; nothing of the model is loaded.

    Raises
    ------
    FlavorError
        If the folder is no package, one of a newer release, or names a file outside itself.
    """
    folder = Path(directory)
    try:
        record = json.loads((folder / DESCRIPTION).read_bytes())
        number = record["format_version"]
    except FileNotFoundError as exc:
        raise FlavorError(
            f"'{folder}' is no model package: it has no {DESCRIPTION}. Make one with flavors.save_model."
        ) from exc
    except (ValueError, KeyError, TypeError) as exc:
        raise FlavorError(f"'{folder / DESCRIPTION}' cannot be read: {exc!r}. Save the model again.") from exc
    if number != FORMAT_VERSION:
        raise FlavorError(
            f"'{folder}' has package format {number}, this release reads {FORMAT_VERSION}. Upgrade dwcp-jupyter."
        )
    try:
        info = _parse(record)
    except (KeyError, ValueError, TypeError) as exc:
        raise FlavorError(f"'{folder / DESCRIPTION}' cannot be read: {exc!r}. Save the model again.") from exc
    path = PurePosixPath(info.file)
    if path.is_absolute() or ".." in path.parts or (folder / path).is_symlink():
        raise FlavorError(f"'{folder / DESCRIPTION}' names '{info.file}', outside its folder. It is not loaded.")
    return info


def _parse(record: Mapping[str, Any]) -> PackageInfo:
    return PackageInfo(
        flavor=record["flavor"],
        framework=Framework(record["framework"]),
        framework_version=record["framework_version"],
        format=record["format"],
        file=record["file"],
        sha256=record["sha256"],
        signature=None if record["signature"] is None else Signature.from_json(record["signature"]),
        task=record["task"],
        classes=None if record["classes"] is None else tuple(record["classes"]),
        packages=record["packages"],
        python=record["python"],
        detail=record["detail"],
    )


def write_example(folder: Path, example: pd.DataFrame) -> None:
    """Write an example of the input: shape (n_samples, n_inputs), missing values kept."""
    rows = [[_plain(value) for value in row] for row in example.itertuples(index=False, name=None)]
    record = {"columns": [str(name) for name in example.columns], "rows": rows}
    (folder / _EXAMPLE).write_text(json.dumps(record, ensure_ascii=False), encoding="utf-8")


def read_example(directory: str | Path) -> pd.DataFrame | None:
    """Return the example of the input, or None; `Signature.conform` gives it its types."""
    path = Path(directory) / _EXAMPLE
    if not path.exists():
        return None
    import pandas as pd

    record = json.loads(path.read_text(encoding="utf-8"))
    return pd.DataFrame(record["rows"], columns=record["columns"])


def _plain(value: Any) -> Any:
    """Return a scalar as JSON has it: NumPy numbers as numbers, times as text, missing as null."""
    if value is None or isinstance(value, (str, bool)):
        return value
    if hasattr(value, "isoformat"):
        return None if str(value) == "NaT" else value.isoformat()
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, (int, list)):
        return value
    return None if str(value) in {"<NA>", "NaT"} else str(value)
