"""Throughput and latency of a core, counted in cycles: what is sent, and what is read off its ports."""
