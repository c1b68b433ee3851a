"""What figures measure: pure functions of arrays, the same to the bit every time."""
