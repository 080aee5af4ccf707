# As printed.
config.enable_auto_feature_engineering = True
