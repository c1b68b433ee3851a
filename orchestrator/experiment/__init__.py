"""What a file says, checked; and the cells it means."""
