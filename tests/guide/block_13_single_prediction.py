# Repaired: the import line.
from dwcp_jupyter.serving import PredictionRequest

request = PredictionRequest(
    request_id="req_12345",
    endpoint_id=endpoint_id,
    features={
        "transaction_amount": 250.0,
        "merchant_risk_score": 0.65,
        "user_age": 42,
        "transaction_hour": 14,
        "days_since_last_transaction": 3,
    }
)

response = await server.predict(request)

print(f"Prediction: {response.predictions[0]}")
print(f"Probability: {response.probabilities[0] if response.probabilities else 'N/A'}")
print(f"Latency: {response.latency_ms:.2f}ms")
