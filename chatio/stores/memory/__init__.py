"""The stores in memory: what they keep is gone when the process ends, as in the original server."""
