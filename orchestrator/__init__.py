"""zetasweep: sweeps of data augmentations over seeds, data sets and models, with Ray, DDP and MLflow."""
