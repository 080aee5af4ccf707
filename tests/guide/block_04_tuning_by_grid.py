# As printed.
param_space = {
    "n_estimators": [50, 100, 200],
    "max_depth": [5, 10, 20],
    "min_samples_split": [2, 5, 10],
}

config.tuning_method = "grid_search"
config.param_space = param_space
