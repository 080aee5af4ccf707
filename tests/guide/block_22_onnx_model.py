# As printed.
endpoint = await server.deploy_model(
    model_id="recommendation_model",
    model_version="v1.0.0",
    model_path="./models/recommender.onnx",
    framework=ModelFramework.ONNX,
)
