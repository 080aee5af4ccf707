# As printed.
endpoint = await server.deploy_model(
    model_id="text_classifier",
    model_version="v1.0.0",
    model_path="./models/bert_model",
    framework=ModelFramework.TENSORFLOW,
)
