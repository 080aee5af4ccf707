"""Fill a workspace as a notebook does: ``python deployed.py FOLDER [deploy]``."""

from __future__ import annotations

import sys
from pathlib import Path

from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from dwcp_jupyter import store
from dwcp_jupyter.registry import ModelMetadata, ModelRegistry
from dwcp_jupyter.serving import ModelServer


def main(folder: str, action: str = "") -> None:
    features, species = load_iris(return_X_y=True, as_frame=True)
    model = LogisticRegression(max_iter=500).fit(features, species)
    with store.open(Path(folder) / ".dwcp") as stores:
        registry = ModelRegistry(stores)
        for version, accuracy in (("1.0.0", 0.953), ("1.1.0", 0.967)):
            metadata = ModelMetadata(
                name="iris",
                version=version,
                metrics={"accuracy": accuracy, "f1_macro": 0.9659},
                changelog=f"Trained for {version} <img src=x onerror=window.isHacked=true>",
            )
            registry.register_model(metadata, model=model, input_example=features.head(5))
        registry.promote_model("iris@1.0.0", "staging")
        registry.set_alias("iris@1.1.0", "champion")
        registry.set_policy("production", {"reviewers": 1, "checks": ["metrics.accuracy >= 0.9", "bias.gap <= 0.05"]})
        registry.request_approval(
            "iris@1.0.0", "ana", "production", "fewer misses <img src=x onerror=window.isHacked=1>"
        )
        if action == "deploy":
            server = ModelServer(stores)
            for name, options in (("quick", {}), ("native", {"compile": "never"})):
                print(server.deploy("iris", "1.1.0", name=name, **options).base_url)
            server.invoke_batch("quick", features, batch_size=10)


if __name__ == "__main__":
    main(*sys.argv[1:])
