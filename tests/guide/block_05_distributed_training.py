# Repaired: the run that the setting is for, added.
config.enable_distributed = True
config.num_workers = 4
config.backend = "nccl"  # For GPU, use "gloo" for CPU

await MLPipeline(config).execute()
