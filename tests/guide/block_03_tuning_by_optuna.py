# As printed.
param_space = {
    "learning_rate": {
        "type": "float",
        "low": 1e-5,
        "high": 1e-1,
        "log": True,  # Log scale
    },
    "num_layers": {
        "type": "int",
        "low": 2,
        "high": 10,
    },
    "activation": {
        "type": "categorical",
        "choices": ["relu", "tanh", "sigmoid"],
    },
}

config.enable_tuning = True
config.tuning_method = "optuna"
config.tuning_trials = 200
config.tuning_timeout = 7200  # 2 hours
config.param_space = param_space
