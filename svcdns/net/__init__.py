"""Octets on the network: listeners and connections to upstreams."""
