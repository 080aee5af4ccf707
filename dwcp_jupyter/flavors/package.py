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
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from dwcp_jupyter import hashing
from dwcp_jupyter.exceptions import FlavorError, IntegrityError
from dwcp_jupyter.flavors.frameworks import Framework
from dwcp_jupyter.flavors.signature import Signature

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "DESCRIPTION",
    "FORMAT_VERSION",
    "SAFE_FORMATS",
    "PackageInfo",
    "check_package",
    "installed",
    "read_example",
    "read_package",
    "write_example",
    "write_package",
]

FORMAT_VERSION = 1
DESCRIPTION = "model.json"
SAFE_FORMATS = frozenset({"skops", "ubj", "json", "onnx", "keras", "pt2"})
"""Formats that are data: reading one cannot run code that it brings along. All others take a decision."""
_EXAMPLE = "input_example.json"
_OURS = frozenset({DESCRIPTION, _EXAMPLE})
_SUM = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageInfo:
    """What a package folder holds.

    Attributes
    ----------
    flavor : str
        Which flavor reads it.
    format : str
        Of the model's file: ``"skops"``, ``"ubj"``, ``"json"``, ``"onnx"``, ``"keras"``, ``"pt2"``, ``"pickle"``,
        ``"joblib"``, ``"torch"``, ``"savedmodel"`` (a folder in one file), ``"python"`` (a function by its source, with
        its models) or ``"source"`` (a foreign file of Python).
    file : str
        The model's file, relative to the folder.
    sha256 : str
        Of that file; what a decision to trust it names.
    task : str or None
        ``"classification"``, ``"regression"``, or None where the model does not say.
    classes : tuple or None
        A classifier's labels in the order of its probabilities.
    packages : mapping
        Versions of the libraries that matter to the model, by distribution.
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
        """Whether loading it cannot run code of its own; a flavor reads no format but those it names."""
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
    """Write the description of the package in `folder`.

    Raises
    ------
    FlavorError
        If a class label is no text, number or boolean: it could not be read back as what it is; or if the model's file
        has the name of one of the package's own.
    """
    if info.file in _OURS:
        raise FlavorError(f"A model's file cannot be called '{info.file}': the package has one of that name.")
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
        "classes": None if info.classes is None else [_label(label) for label in info.classes],
        "packages": dict(info.packages),
        "python": info.python,
        "detail": dict(info.detail),
    }
    (folder / DESCRIPTION).write_bytes(hashing.canonical_json(record))


def _label(label: Any) -> Any:
    plain = label.item() if hasattr(label, "item") else label
    if not isinstance(plain, (str, bool, int, float)) or plain != plain:  # noqa: PLR0124 - NaN
        raise FlavorError(
            f"The class label {label!r} is of type {type(label).__name__}, which an answer cannot hold. Fit the model "
            "on labels that are text, numbers or booleans."
        )
    return plain


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
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise FlavorError(
            f"'{folder}' is no model package: it has no {DESCRIPTION}. Make one with flavors.save_model."
        ) from exc
    except (ValueError, LookupError, TypeError, RecursionError) as exc:
        raise FlavorError(f"'{folder / DESCRIPTION}' cannot be read: {exc!r}. Save the model again.") from exc
    if number != FORMAT_VERSION:
        raise FlavorError(
            f"'{folder}' has package format {number!r}, this release reads {FORMAT_VERSION}. Upgrade dwcp-jupyter."
        )
    try:
        info = _parse(record)
    except (LookupError, ValueError, TypeError, AttributeError) as exc:
        raise FlavorError(f"'{folder / DESCRIPTION}' cannot be read: {exc!r}. Save the model again.") from exc
    if info.file in _OURS or not _lies_in(folder, info.file):
        raise FlavorError(
            f"'{folder / DESCRIPTION}' names '{info.file}', which is no model's file in its folder. It is not loaded."
        )
    return info


def check_package(directory: str | Path) -> PackageInfo:
    """Return the description of the package in `directory`, after its model's file was compared with its sum.

    Raises
    ------
    FlavorError
        If the folder is no package.
    IntegrityError
        If the model's file is not the one described, or not there; it holds both sums.
    """
    info = read_package(directory)
    path = Path(directory) / info.file
    actual = hashing.sha256_file(path) if path.is_file() else "none: there is no such file"
    if actual != info.sha256:
        raise IntegrityError(
            f"'{info.file}' was changed: the package describes SHA-256 {info.sha256}, found is {actual}. It is neither "
            "loaded nor registered. Save the model again.",
            expected=info.sha256,
            actual=actual,
        )
    return info


def _lies_in(folder: Path, file: str) -> bool:
    """Return whether a file's path stays in the folder, links included."""
    path = PurePosixPath(file)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\\" in file or "\0" in file:
        return False
    return (folder / path).resolve() == folder.resolve() / path


def _parse(record: Mapping[str, Any]) -> PackageInfo:
    texts = {name: record[name] for name in ("flavor", "format", "file", "sha256", "python")}
    for name, value in texts.items():
        if not isinstance(value, str):
            raise TypeError(f"{name} is {value!r}, not text")
    if not _SUM.fullmatch(record["sha256"]):
        raise ValueError(f"sha256 is {record['sha256']!r}")
    return PackageInfo(
        **texts,
        framework=Framework(record["framework"]),
        framework_version=record["framework_version"],
        signature=None if record["signature"] is None else Signature.from_json(record["signature"]),
        task=record["task"],
        classes=None if record["classes"] is None else tuple(record["classes"]),
        packages=dict(record["packages"]),
        detail=dict(record["detail"]),
    )


def write_example(folder: Path, example: pd.DataFrame) -> None:
    """Write an example of the input: shape (n_samples, n_inputs). Every value comes back, missing ones too."""
    record = {
        "columns": [str(name) for name in example.columns],
        "dtypes": [_dtype(example.iloc[:, place]) for place in range(example.shape[1])],
        "rows": [[_plain(value) for value in row] for row in example.itertuples(index=False, name=None)],
    }
    text = json.dumps(record, ensure_ascii=False, allow_nan=False)
    (folder / _EXAMPLE).write_text(text, encoding="utf-8")


def _dtype(values: pd.Series[Any]) -> str:
    name = str(values.dtype)
    return "object" if name == "category" else name


def read_example(directory: str | Path) -> pd.DataFrame | None:
    """Return the example of the input, or None where none was kept; categories are those of the signature.

    Raises
    ------
    FlavorError
        If the file is not what `write_example` wrote.
    """
    folder = Path(directory)
    path = folder / _EXAMPLE
    if not path.is_file() or not _lies_in(folder, _EXAMPLE):
        return None
    import pandas as pd

    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        columns = {
            name: pd.Series([row[place] for row in record["rows"]], dtype=object).astype(dtype)
            for place, (name, dtype) in enumerate(zip(record["columns"], record["dtypes"], strict=True))
        }
        return pd.DataFrame(columns, columns=record["columns"])
    except (ValueError, LookupError, TypeError) as exc:
        raise FlavorError(f"'{path}' cannot be read: {exc!r}. Save the model again with input_example=.") from exc


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: NumPy numbers as numbers, times as text, missing as null, infinity as text."""
    if value is None or isinstance(value, (str, bool)):
        return value
    if hasattr(value, "isoformat"):
        return None if str(value) == "NaT" else value.isoformat()
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return None if math.isnan(value) else str(value) if math.isinf(value) else value
    return value if isinstance(value, int) else None if str(value) in {"<NA>", "NaT"} else str(value)
