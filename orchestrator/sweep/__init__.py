"""Ray, and only here: slots, workers."""
