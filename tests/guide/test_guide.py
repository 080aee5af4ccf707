"""The Python blocks of the platform guide run as they are printed.

Each block is a file beside this one; its first line lists what was repaired. The blocks of one chapter share their
variables, as they do for a reader who goes from top to bottom, so they run in order.
"""

import ast
import asyncio
import inspect
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dwcp_jupyter import exceptions
from dwcp_jupyter.serving import PredictionRequest
from dwcp_jupyter.workspace import find

BLOCKS = sorted(Path(__file__).parent.glob("block_*.py"))
LATER = {
    "distributed_training": (exceptions.PipelineConfigError, "distributed training has its own issue"),
    "custom_model_builder": (exceptions.PipelineConfigError, "model_builder comes with PyTorch and TensorFlow"),
    "ab_testing": (AttributeError, "A/B tests have their own issue"),
    "ab_test_results": (AttributeError, "A/B tests have their own issue"),
    "canary": (AttributeError, "canaries have their own issue"),
}
SERVED = [
    "transaction_amount",
    "merchant_risk_score",
    "user_age",
    "transaction_hour",
    "days_since_last_transaction",
]


def transactions(rows: int, seed: int) -> pd.DataFrame:
    """Made-up transactions in which risky merchants and large amounts go with fraud."""
    rng = np.random.default_rng(seed)
    amount = rng.lognormal(4, 1, rows)
    score = rng.uniform(0, 1, rows)
    category = rng.choice(["travel", "food", "games"], rows)
    odds = -4 + 0.006 * amount + 3.5 * score + 1.0 * (category == "games")
    return pd.DataFrame(
        {
            "amount": amount.round(2),
            "merchant_score": score.round(3),
            "category": category,
            "country": rng.choice(["DE", "FR", "IT", "PL"], rows),
            "is_fraud": (rng.uniform(size=rows) < 1 / (1 + np.exp(-odds))).astype(int),
        }
    )


def write_fixtures(folder: Path) -> None:
    import joblib
    from skl2onnx import to_onnx
    from sklearn.linear_model import LogisticRegression

    (folder / "data").mkdir()
    (folder / "models").mkdir()
    transactions(400, 0).to_csv(folder / "data" / "fraud_transactions.csv", index=False)
    rng = np.random.default_rng(1)
    inputs = pd.DataFrame(rng.uniform(0, 100, (200, len(SERVED))), columns=SERVED)
    for name, seed in (("fraud_model", 0), ("v1_0_0", 0), ("v2_0_0", 1)):
        target = (inputs["transaction_amount"] + 10 * seed > 50).astype(int)
        joblib.dump(LogisticRegression(max_iter=2000).fit(inputs, target), folder / "models" / f"{name}.pkl")
    model = LogisticRegression(max_iter=2000).fit(inputs.to_numpy(), target)
    graph = to_onnx(model, inputs.to_numpy(dtype=np.float32), options={"zipmap": False})
    (folder / "models" / "recommender.onnx").write_bytes(graph.SerializeToString())
    write_images_model(folder / "models" / "resnet50.pt")
    write_saved_model(folder / "models" / "bert_model")


def write_saved_model(folder: Path) -> None:
    """Write a small classifier of texts as TensorFlow keeps models: a folder."""
    from dwcp_jupyter.flavors.keras.library import load_keras

    keras = load_keras()
    words = keras.layers.TextVectorization(output_sequence_length=8)
    words.adapt(["a good film", "a bad film"])
    text = keras.Input((1,), dtype="string", name="text")
    meanings = keras.layers.Embedding(words.vocabulary_size(), 4)(words(text))
    scores = keras.layers.Dense(2, "softmax")(keras.layers.GlobalAveragePooling1D()(meanings))
    keras.Model(text, scores).export(folder, verbose=False)


def write_images_model(path: Path) -> None:
    """Write a network over images as people have it: TorchScript, here with one residual block."""
    import torch
    from torch import nn

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(3, 8, 3, padding=1)
            self.block = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
            self.last = nn.Linear(8, 4)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            found = self.first(image)
            return self.last((found + self.block(found)).mean(dim=(2, 3)))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=DeprecationWarning)  # of TorchScript
        torch.jit.script(Residual().eval()).save(path)


@pytest.fixture(scope="module")
def chapter(tmp_path_factory):
    folder = tmp_path_factory.mktemp("guide")
    write_fixtures(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield {"__name__": "guide"}
        for path in (folder / ".dwcp", folder / "model_storage"):
            find(path).stop()
            find(path).close()


def topic(path: Path) -> str:
    return path.stem.split("_", 2)[2]


def parameters():
    for path in BLOCKS:
        marks = []
        if topic(path) in LATER:
            error, reason = LATER[topic(path)]
            marks.append(pytest.mark.xfail(raises=error, reason=reason, strict=True))
        yield pytest.param(path, marks=marks, id=path.stem)


def test_every_block_of_the_guide_is_here():
    assert [path.stem.split("_")[1] for path in BLOCKS] == [f"{number:02d}" for number in range(1, 23)]


@pytest.mark.order_matters
@pytest.mark.timeout(600)
@pytest.mark.parametrize("path", list(parameters()))
def test_block(path, chapter, capsys):
    code = compile(path.read_text(), str(path), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(code, chapter)
    if inspect.iscoroutine(result):
        asyncio.run(result)
    CHECKS.get(topic(path), lambda *_: None)(chapter, capsys.readouterr().out)


def check_run(chapter, out):
    run = chapter["run"]
    assert "Pipeline Status: completed" in out
    assert 0.6 < run.metrics["test_accuracy"] <= 1
    folder = Path("ml_output/fraud_detector")
    assert Path(run.artifacts["model"]) == folder / "model.pkl"
    names = {path.name for path in folder.iterdir()}
    assert {
        "model.pkl",
        "feature_engineer.pkl",
        "model_metadata.json",
        "data_raw.parquet",
        "data_engineered.parquet",
        "test_predictions.csv",
    } <= names
    assert any(name.startswith("run_") and name.endswith(".json") for name in names)
    assert len(run.tuning_history) == 100


def check_prediction(chapter, out):
    assert chapter["response"].predictions[0] in (0, 1)
    assert "Probability: [" in out
    assert "Latency: " in out


def check_batches(chapter, _out):
    assert len(chapter["responses"]) == 10
    assert sum(len(response.predictions) for response in chapter["responses"]) == 1000


def check_saved_model(chapter, _out):
    question = PredictionRequest(endpoint_id=chapter["endpoint"], features={"text": "a good film"})
    scores = chapter["server"].invoke(question).predictions[0]
    assert len(scores) == 2
    assert sum(scores) == pytest.approx(1, abs=1e-5)


def check_images(chapter, _out):
    image = np.random.default_rng(0).uniform(size=(3, 40, 60)).tolist()
    said = chapter["server"].invoke(PredictionRequest(endpoint_id=chapter["endpoint"], features={"image": image}))
    assert np.shape(said.predictions) == (1, 4)


def check_metrics(chapter, out):
    assert chapter["metrics"]["requests"] == 11
    assert "Error Rate: 0.00%" in out
    assert chapter["metrics"]["current_replicas"] >= 1


CHECKS = {
    "running_a_pipeline": check_run,
    "single_prediction": check_prediction,
    "batch_prediction": check_batches,
    "endpoint_metrics": check_metrics,
    "pytorch_model": check_images,
    "tensorflow_model": check_saved_model,
}
