# Repaired: the features left out by "...".
# Deploy version 1
endpoint_v1 = await server.deploy_model(
    model_id="fraud_detector",
    model_version="v1.0.0",
    model_path="./models/v1_0_0.pkl",
    framework=ModelFramework.SKLEARN,
)

# Deploy version 2
endpoint_v2 = await server.deploy_model(
    model_id="fraud_detector",
    model_version="v2.0.0",
    model_path="./models/v2_0_0.pkl",
    framework=ModelFramework.SKLEARN,
)

# Create A/B test: 90% v1, 10% v2
server.create_ab_test(
    experiment_id="fraud_v1_vs_v2",
    control_endpoint=endpoint_v1,
    variant_endpoints=[endpoint_v2],
    traffic_split={
        endpoint_v1: 0.9,
        endpoint_v2: 0.1,
    }
)

# Make predictions (automatically routed)
response = await server.predict_with_ab_test(
    experiment_id="fraud_v1_vs_v2",
    features={"transaction_amount": 250.0, "merchant_risk_score": 0.65, "user_age": 42, "transaction_hour": 14,
              "days_since_last_transaction": 3}
)
