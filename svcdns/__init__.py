"""svcdns - a DNS server for Kubernetes service discovery."""
