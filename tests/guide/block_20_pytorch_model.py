# As printed.
endpoint = await server.deploy_model(
    model_id="image_classifier",
    model_version="v1.0.0",
    model_path="./models/resnet50.pt",
    framework=ModelFramework.PYTORCH,
)
