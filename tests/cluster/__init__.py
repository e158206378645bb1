"""Tests beside a real etcd and kube-apiserver."""
