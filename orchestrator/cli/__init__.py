"""Commands, one module each; the only one that knows exit codes."""
