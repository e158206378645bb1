"""The real CoreDNS and svcdns, asked the same questions about the same objects under the same Corefile."""
