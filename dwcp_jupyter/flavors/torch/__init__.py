"""PyTorch: modules exported as graphs of known operators, which are read as data."""
