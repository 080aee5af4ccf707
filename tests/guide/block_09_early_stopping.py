# As printed.
config.early_stopping = True
config.early_stopping_patience = 10  # Stop if no improvement for 10 epochs
