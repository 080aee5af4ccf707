"""MLflow's model format: a folder with a file ``MLmodel`` that describes what is beside it.

A package is written as MLflow's own scikit-learn, XGBoost, ONNX, PyTorch or Keras model, so that
``mlflow.pyfunc.load_model`` reads it where nothing of this package is installed. MLflow models of these kinds are
read the other way. MLflow itself is not needed for either. A function takes a loader of its own along
(`mlflow_function`). The format is that of MLflow 3, https://mlflow.org/docs/latest/ml/model/.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from dwcp_jupyter.exceptions import FlavorError
from dwcp_jupyter.flavors import mlflow_function, mlflow_keras, mlflow_signature
from dwcp_jupyter.flavors.frameworks import Framework
from dwcp_jupyter.flavors.package import PackageInfo, check_package, read_example
from dwcp_jupyter.flavors.signature import Signature

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MlflowModel", "read_mlflow", "write_mlflow"]

_DESCRIPTION = "MLmodel"
_PYTORCH_FOLDER = "data"


@dataclass(frozen=True, slots=True, kw_only=True)
class MlflowModel:
    """What an MLflow model holds that can be registered here.

    Attributes
    ----------
    file : Path
        The model's file.
    signature, example : optional
        As MLflow kept them, where they say it by columns.
    """

    file: Path
    framework: Framework
    framework_version: str | None
    signature: Signature | None
    example: pd.DataFrame | None
    mlflow_version: str | None
    run_id: str | None


def write_mlflow(package: str | os.PathLike[str], target: str | os.PathLike[str]) -> Path:
    """Return the folder `target`, into which a package was written as an MLflow model.

    Raises
    ------
    FlavorError
        If MLflow has no such model, or could not answer as this one does; nothing is written then.
    FileExistsError
        If `target` is there already.
    """
    source, folder = Path(package), Path(target)
    info = check_package(source)
    flavors = _flavors(info, source)
    if folder.exists():
        raise FileExistsError(f"'{folder}' is there already. Name a new folder for the MLflow model.")
    partial = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.partial")
    partial.mkdir(parents=True)
    try:
        _copy_model(info, source, partial)
        _write_description(partial, info, flavors, read_example(source))
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return folder


def read_mlflow(path: str | os.PathLike[str]) -> MlflowModel:
    """Return what an MLflow model's folder holds. Nothing of it is loaded.

    Of outputs that no column holds, and that no example shows, a warning tells.

    Parameters
    ----------
    path : path
        The folder, or the file ``MLmodel`` in it.

    Raises
    ------
    FlavorError
        If the folder is no MLflow model, or of a kind that cannot be kept here.
    """
    import yaml

    folder = Path(path)
    if folder.name == _DESCRIPTION and folder.is_file():
        folder = folder.parent
    try:
        said = yaml.safe_load((folder / _DESCRIPTION).read_text(encoding="utf-8"))
        known = dict(said["flavors"])
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise FlavorError(f"'{folder}' has no file '{_DESCRIPTION}': it is no MLflow model. Name its folder.") from exc
    except (yaml.YAMLError, KeyError, TypeError, ValueError, UnicodeDecodeError) as exc:
        raise FlavorError(f"The '{_DESCRIPTION}' in '{folder}' cannot be read: {exc}.") from exc
    for name, key, version in _READABLE:
        conf = known.get(name)
        if isinstance(conf, Mapping) and (name != "python_function" or mlflow_function.is_ours(conf)):
            example = _read_example(folder, said.get("saved_input_example_info"))
            return MlflowModel(
                file=_model_file(folder, name, mlflow_keras.file_of(conf) if name in _KERAS else str(conf.get(key))),
                framework=Framework.TENSORFLOW if name in _KERAS else Framework(name),
                framework_version=conf.get(version),
                signature=mlflow_signature.read(said, name, has_example=example is not None),
                example=example,
                mlflow_version=said.get("mlflow_version"),
                run_id=said.get("run_id"),
            )
    kinds = ", ".join(sorted(set(known) - {"python_function"})) or "python_function"
    raise FlavorError(
        f"'{folder}' is an MLflow model of the kind {kinds}. Readable are: sklearn, xgboost, onnx, pytorch, "
        "keras, tensorflow."
    )


_KERAS = ("keras", "tensorflow")
_READABLE = (
    ("sklearn", "pickled_model", "sklearn_version"),
    ("xgboost", "data", "xgb_version"),
    ("onnx", "data", "onnx_version"),
    ("pytorch", "model_data", "pytorch_version"),
    ("keras", "data", "tensorflow_version"),  # which MLflow does not write: it keeps the version of Keras
    ("tensorflow", "data", "keras_version"),
    ("python_function", "data", "python_version"),  # last, since each of the others has one too
)


def _flavors(info: PackageInfo, folder: Path) -> dict[str, dict[str, Any]]:
    """Return MLflow's flavors for a package."""
    if info.format in mlflow_function.FORMATS:
        return {"python_function": mlflow_function.configuration(info, folder)}
    makers = {"skops": _sklearn, "ubj": _xgboost, "json": _xgboost, "onnx": _onnx, "pt2": _pytorch, "keras": _keras}
    if info.format not in makers:
        raise FlavorError(
            f"The package keeps its model as {info.format}, which can run code when it is loaded; it is not exported. "
            "Register the model itself, which is kept in a safe format."
        )
    name, own, loader = makers[info.format](info, folder)
    function = {"loader_module": loader, "python_version": info.python, "env": {"virtualenv": "python_env.yaml"}}
    place = "model_path" if name == "sklearn" else "data"
    file = {"pytorch": _PYTORCH_FOLDER, "keras": "."}.get(name, info.file)  # Keras's reader looks for its own folder
    return {"python_function": {**function, place: file, "predict_fn": "predict"}, name: {"code": None, **own}}


def _sklearn(info: PackageInfo, folder: Path) -> tuple[str, dict[str, Any], str]:
    from dwcp_jupyter.flavors.skops_library import load_skops

    own = {
        "pickled_model": info.file,
        "serialization_format": "skops",
        "sklearn_version": info.framework_version,
        "skops_trusted_types": load_skops().get_untrusted_types(file=folder / info.file) or None,
    }
    return "sklearn", own, "mlflow.sklearn"


def _xgboost(info: PackageInfo, _folder: Path) -> tuple[str, dict[str, Any], str]:
    kind = str(info.detail.get("class"))
    if info.classes is not None and tuple(info.classes) != tuple(range(len(info.classes))):
        raise FlavorError(
            f"MLflow would answer with the numbers of the classes, not with {', '.join(map(repr, info.classes[:3]))}. "
            "Fit the model on labels 0, 1, …, or put it into a scikit-learn pipeline."
        )
    module = "xgboost.core.Booster" if kind == "Booster" else f"xgboost.sklearn.{kind}"
    own = {
        "data": info.file,
        "model_class": module,
        "model_format": info.format,
        "xgb_version": info.framework_version,
    }
    return "xgboost", own, "mlflow.xgboost"


def _onnx(info: PackageInfo, _folder: Path) -> tuple[str, dict[str, Any], str]:
    own = {"data": info.file, "onnx_version": info.framework_version, "providers": ["CPUExecutionProvider"]}
    return "onnx", own, "mlflow.onnx"


def _pytorch(info: PackageInfo, folder: Path) -> tuple[str, dict[str, Any], str]:
    """MLflow gives a model one matrix of float32, and answers with its outputs."""
    _, program = _program_alone(folder / info.file)
    if [(str(entry.dtype), len(entry.shape or ())) for entry in program.inputs] != [("torch.float32", 1)]:
        raise FlavorError(
            "MLflow gives a PyTorch model one matrix of numbers, and this one takes "
            f"{', '.join(entry.name for entry in program.inputs)} otherwise. Export it as ONNX, and register that."
        )
    if info.classes is not None:
        raise FlavorError(
            f"MLflow would answer with the model's outputs, not with {', '.join(map(repr, info.classes[:3]))}. "
            "Register it without classes_ and without a softmax at its end, or export it as ONNX."
        )
    return "pytorch", {"model_data": _PYTORCH_FOLDER, "pytorch_version": info.framework_version}, "mlflow.pytorch"


def _keras(info: PackageInfo, _folder: Path) -> tuple[str, dict[str, Any], str]:
    return "keras", mlflow_keras.describe(info), "mlflow.keras"


def _program_alone(path: Path) -> tuple[bytes, Any]:
    """Return an exported program, as bytes and read, with nothing beside it: MLflow's reader runs what it finds."""
    from dwcp_jupyter.flavors.torch import archive as torch_archive
    from dwcp_jupyter.flavors.torch import program as torch_program

    try:
        data = torch_archive.cleaned(path)
        return data, torch_program.Program(torch_archive.read_archive(data))
    except torch_archive.UnknownContentError as exc:
        raise FlavorError(f"'{path.name}' holds {exc}; it is not exported. Register the module itself.") from exc


def _copy_model(info: PackageInfo, source: Path, target: Path) -> None:
    if info.format != "pt2":
        place = target / (mlflow_keras.PLACE if info.format == "keras" else info.file)
        place.parent.mkdir(exist_ok=True)
        shutil.copyfile(source / info.file, place)
        if info.format in mlflow_function.FORMATS:
            mlflow_function.write_loader(info, target)
        return
    folder = target / _PYTORCH_FOLDER
    folder.mkdir()
    (folder / "model.pt2").write_bytes(_program_alone(source / info.file)[0])


def _model_file(folder: Path, kind: str, name: str) -> Path:
    """Return an MLflow model's file; PyTorch's lies in a folder, exported or pickled."""
    if kind != "pytorch":
        return _file(folder, name)
    inner = _file(folder, name)
    return _file(folder, f"{name}/model.pt2" if (inner / "model.pt2").is_file() else f"{name}/model.pth")


def _write_description(
    folder: Path, info: PackageInfo, flavors: Mapping[str, Any], example: pd.DataFrame | None
) -> None:
    import yaml

    requirements = ["mlflow", *(f"{name}=={version}" for name, version in sorted(info.packages.items()))]
    (folder / "requirements.txt").write_text("\n".join(requirements) + "\n", encoding="utf-8")
    environment = {"python": info.python, "dependencies": ["-r requirements.txt"]}
    (folder / "python_env.yaml").write_text(yaml.safe_dump(environment), encoding="utf-8")
    said: dict[str, Any] = {
        "artifact_path": None,
        "flavors": dict(flavors),
        "model_size_bytes": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
        "model_uuid": uuid.uuid4().hex,
        "utc_time_created": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}",
    }
    if info.signature is not None:
        said["signature"] = mlflow_signature.written(info, folder / info.file)
    if example is not None and mlflow_keras.tensor(info) is not None:
        said["saved_input_example_info"] = mlflow_keras.write_example(folder, example)
    elif example is not None:
        said["saved_input_example_info"] = {
            "artifact_path": "input_example.json",
            "pandas_orient": "split",
            "type": "dataframe",
        }
        record = json.loads(example.to_json(orient="split", index=False))
        (folder / "input_example.json").write_text(json.dumps(record, ensure_ascii=False), encoding="utf-8")
    (folder / _DESCRIPTION).write_text(yaml.safe_dump(said, sort_keys=True, allow_unicode=True), encoding="utf-8")


def _read_example(folder: Path, said: Any) -> pd.DataFrame | None:
    import pandas as pd

    if not isinstance(said, Mapping) or said.get("type") != "dataframe" or said.get("pandas_orient") != "split":
        return None
    path = _file(folder, str(said.get("artifact_path")))
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return pd.DataFrame(record["data"], columns=record["columns"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _file(folder: Path, name: str) -> Path:
    """Return a file of the folder; one outside it is refused, links included."""
    path = PurePosixPath(name)
    real = (folder / path).resolve()
    if path.is_absolute() or ".." in path.parts or not real.is_relative_to(folder.resolve()):
        raise FlavorError(f"The MLflow model names '{name}', outside its folder. It is not read.")
    if not real.exists():
        raise FlavorError(f"The MLflow model names '{name}', which is not in '{folder}'.")
    return folder / path
