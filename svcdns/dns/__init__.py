"""The DNS itself: names, records, messages, zones. No I/O, no Kubernetes."""
