# Repaired: the features left out by "..." and the 998 other rows.
# Batch of 1000 transactions
features_batch = [
    {"transaction_amount": 150.0, "merchant_risk_score": 0.3, "user_age": 42, "transaction_hour": 14,
     "days_since_last_transaction": 3},
    {"transaction_amount": 500.0, "merchant_risk_score": 0.8, "user_age": 42, "transaction_hour": 14,
     "days_since_last_transaction": 3},
] * 500

responses = await server.batch_predict(
    endpoint_id=endpoint_id,
    features_batch=features_batch,
    batch_size=100  # Process in chunks of 100
)

print(f"Processed {len(responses)} batches")
