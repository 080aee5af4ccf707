# Repaired: the import line.
from dwcp_jupyter.serving import (
    ModelServer, ModelFramework
)

server = ModelServer(storage_path="./model_storage")

# Deploy model
endpoint_id = await server.deploy_model(
    model_id="fraud_detector",
    model_version="v1.0.0",
    model_path="./models/fraud_model.pkl",
    framework=ModelFramework.SKLEARN,
    endpoint_config={
        "min_replicas": 2,
        "max_replicas": 20,
        "target_cpu": 0.7,
        "target_latency_ms": 50.0,
    }
)

print(f"Model deployed to endpoint: {endpoint_id}")
