"""Benchmarks beside the real peers: each prints a table with ratios from one run."""
