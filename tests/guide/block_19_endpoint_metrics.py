# As printed.
metrics = server.get_endpoint_metrics(endpoint_id)

print(f"Requests: {metrics['requests']}")
print(f"Avg Latency: {metrics['avg_latency_ms']:.2f}ms")
print(f"Error Rate: {metrics['error_rate']:.2%}")
print(f"Current Replicas: {metrics['current_replicas']}")
