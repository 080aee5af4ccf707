# As printed.
config.checkpoint_interval = 10  # Save checkpoint every 10 epochs
