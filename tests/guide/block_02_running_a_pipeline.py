# As printed.
import asyncio

pipeline = MLPipeline(config)
run = await pipeline.execute()

print(f"Pipeline Status: {run.status.value}")
print(f"Test Accuracy: {run.metrics['test_accuracy']:.4f}")
print(f"Model Path: {run.artifacts['model']}")
