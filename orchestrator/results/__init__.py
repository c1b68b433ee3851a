"""Finished runs to tables, verdicts, plots: pure functions of records."""
