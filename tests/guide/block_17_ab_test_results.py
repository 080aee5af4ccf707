# As printed.
results = server.get_ab_test_results("fraud_v1_vs_v2")

print(f"Control (v1): {results['results'][endpoint_v1]}")
print(f"Variant (v2): {results['results'][endpoint_v2]}")

# Promote winner
winner = server.promote_ab_winner("fraud_v1_vs_v2")
print(f"Winner: {winner}")
