"""Python functions: kept by their source, with the fitted models that they use in safe formats."""
