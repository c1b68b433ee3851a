"""What lies on disk: a sweep's folder, a cell's folder, checkpoints, journal, writing whole."""
