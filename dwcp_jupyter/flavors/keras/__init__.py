"""TensorFlow: Keras's own files, audited before anything is constructed, and SavedModels by trust."""
