"""Keras models and SavedModels are registered, and answer from processes of their own as in the notebook."""

import numpy as np
import pandas as pd
import pytest

from dwcp_jupyter.exceptions import SignatureError, UntrustedArtifactError, VersionExistsError
from dwcp_jupyter.flavors.keras.library import load_keras
from dwcp_jupyter.registry import ModelMetadata
from dwcp_jupyter.serving import PredictionRequest
from dwcp_jupyter.serving.endpoints import ExecutionMode

keras = load_keras()
layers = keras.layers
pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # of Keras itself
]


def ask(served, endpoint, features):
    return served.server.invoke(PredictionRequest(endpoint_id=endpoint.id, features=features))


def test_a_keras_classifier_answers_with_labels_and_probabilities(served, iris):
    features, species = iris
    codes = species.factorize()[0]
    model = keras.Sequential([keras.Input((4,)), layers.Dense(8, "relu"), layers.Dense(3, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(features.to_numpy(), codes, epochs=3, verbose=0)
    version = served.registry.register_model(ModelMetadata(name="keras"), model=model, input_example=features)
    assert (version.framework, version.flavor) == ("tensorflow", "keras")
    expected = model.predict_on_batch(features.head(1).to_numpy("float32"))
    loaded = served.registry.load_model("keras")
    np.testing.assert_allclose(loaded.predict(features.head(1)).probabilities, expected, rtol=1e-5)
    endpoint = served.server.deploy("keras")
    assert endpoint.execution is ExecutionMode.NATIVE
    said = ask(served, endpoint, features.iloc[0].to_dict())
    np.testing.assert_allclose(said.probabilities, expected, rtol=1e-5)
    assert said.predictions == [int(expected.argmax())]
    with pytest.raises(SignatureError, match="petal_width"):
        ask(served, endpoint, features.iloc[0].drop("petal_width").to_dict())
    served.server.undeploy(endpoint.id)


def test_images_and_texts_reach_a_model_by_name(served):
    image, title = keras.Input((4, 4, 1), name="image"), keras.Input((1,), dtype="string", name="title")
    known = layers.StringLookup(vocabulary=["cat", "dog"], output_mode="one_hot")(title)
    model = keras.Model([image, title], layers.Dense(1)(layers.Concatenate()([layers.Flatten()(image), known])))
    pictures = np.random.default_rng(0).random((2, 4, 4, 1), dtype="float32")
    example = pd.DataFrame({"image": list(pictures), "title": ["dog", "cow"]})
    served.registry.register_model(ModelMetadata(name="pictures"), model=model, input_example=example)
    endpoint = served.server.deploy("pictures")
    titles = np.array(["dog", "cow"], dtype=object)[:, None]
    expected = model.predict_on_batch([pictures, titles])[:, 0]
    for place in range(2):
        said = ask(served, endpoint, {"title": example["title"][place], "image": pictures[place].tolist()})
        assert said.predictions[0] == pytest.approx(expected[place], rel=1e-5)
    served.server.undeploy(endpoint.id)


def test_the_folder_of_a_saved_model_is_registered_by_its_path_and_its_equal_is_reused(served, tmp_path):
    folder = tmp_path / "model"
    model = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
    model.export(folder, verbose=False)
    endpoint = served.server.deploy("saved", "v1.0.0", model_path=str(folder), framework="tensorflow")
    expected = model.predict_on_batch(np.array([[1.0, 2.0]], dtype="float32"))[0, 0]
    assert ask(served, endpoint, {"x0": 1.0, "x1": 2.0}).predictions[0] == pytest.approx(expected, rel=1e-5)
    decided = served.stores.metadata.events(kinds=["trust.decided"])
    assert served.registry.load_model("saved").info.sha256 in {event.payload["sha256"] for event in decided}
    again = served.server.deploy("saved", "v1.0.0", model_path=str(folder), framework="tensorflow")
    assert again.id == endpoint.id
    served.server.undeploy(endpoint.id)
    (folder / "fingerprint.pb").unlink()
    with pytest.raises(VersionExistsError):
        served.server.deploy("saved", "v1.0.0", model_path=str(folder), framework="tensorflow")
    (folder / "saved_model.pb").chmod(0o666)
    with pytest.raises(UntrustedArtifactError, match="others can write"):
        served.server.deploy("saved", "v2.0.0", model_path=str(folder), framework="tensorflow")
