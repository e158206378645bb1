"""Kubernetes: its objects, the watch that keeps them current, and the records they stand for."""
