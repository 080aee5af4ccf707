# As printed.
feature_transforms = [
    # Standardization
    {
        "type": "scale",
        "columns": ["amount", "balance", "credit_score"],
    },

    # One-hot encoding
    {
        "type": "encode",
        "columns": ["country", "merchant_category"],
    },

    # Polynomial features
    {
        "type": "polynomial",
        "degree": 2,
        "columns": ["amount", "balance"],
    },
]

config.feature_transforms = feature_transforms
