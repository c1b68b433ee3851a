"""What makes documents; no part of what is installed."""
