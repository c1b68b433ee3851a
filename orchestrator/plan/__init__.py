"""What a sweep would do, need and cost; no Ray."""
