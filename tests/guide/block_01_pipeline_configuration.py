# Repaired: the import line.
from dwcp_jupyter.pipeline import PipelineConfig, MLPipeline

config = PipelineConfig(
    name="fraud_detection_pipeline",
    description="Binary classification with hyperparameter tuning",

    # Data
    data_source="./data/fraud_transactions.csv",
    target_column="is_fraud",
    test_size=0.2,
    validation_size=0.1,

    # Model
    model_type="sklearn",
    model_class="RandomForest",
    model_params={
        "n_estimators": 100,
        "max_depth": 10,
        "random_state": 42,
    },

    # Hyperparameter tuning
    enable_tuning=True,
    tuning_method="optuna",
    tuning_trials=100,
    param_space={
        "n_estimators": {"type": "int", "low": 50, "high": 300},
        "max_depth": {"type": "int", "low": 5, "high": 30},
        "min_samples_split": {"type": "int", "low": 2, "high": 20},
        "min_samples_leaf": {"type": "int", "low": 1, "high": 10},
    },

    # Feature engineering
    feature_transforms=[
        {
            "type": "scale",
            "columns": ["amount", "merchant_score"],
        },
        {
            "type": "encode",
            "columns": ["category", "country"],
        },
    ],
    enable_auto_feature_engineering=True,

    # Validation
    cross_validation_folds=5,
    metrics=["accuracy", "precision", "recall", "f1_score"],

    # Output
    output_dir="./ml_output/fraud_detector",
    save_intermediate=True,
)
