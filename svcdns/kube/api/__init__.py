"""The API server as a source: lists and watches that keep a `Cluster` as the API server has it."""
