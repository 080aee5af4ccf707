# Repaired: the call that moves the traffic, added.
# Week 1: 95% v1, 5% v2
traffic_split = {endpoint_v1: 0.95, endpoint_v2: 0.05}

# Week 2: 80% v1, 20% v2
traffic_split = {endpoint_v1: 0.80, endpoint_v2: 0.20}

# Week 3: 50% v1, 50% v2
traffic_split = {endpoint_v1: 0.50, endpoint_v2: 0.50}

# Week 4: 100% v2 (if metrics are good)
traffic_split = {endpoint_v2: 1.0}

server.update_traffic("fraud_v1_vs_v2", traffic_split)
