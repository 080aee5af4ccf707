# As printed.
# Monitor pipeline execution
print(f"Stages completed: {[s.value for s in run.stages_completed]}")
print(f"Current stage: {run.current_stage.value if run.current_stage else 'None'}")

# Check for errors
if run.errors:
    print("Errors encountered:")
    for error in run.errors:
        print(f"  - {error}")

# View logs
print("\nPipeline Logs:")
for log in run.logs:
    print(f"  {log}")
