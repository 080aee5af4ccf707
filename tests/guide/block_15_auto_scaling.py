# As printed.
# Configure scaling
endpoint_config = {
    "min_replicas": 3,      # Always keep at least 3 replicas
    "max_replicas": 50,     # Scale up to 50 replicas max
    "target_cpu": 0.6,      # Scale when CPU >60%
    "target_latency_ms": 75.0,  # Scale when latency >75ms
}
