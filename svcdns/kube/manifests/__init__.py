"""Manifests as a source: what files and folders hold, made complete as a control plane would make it."""
