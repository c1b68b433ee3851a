"""The data sets, one file per family."""
