"""Spark on Kubernetes: what is made there, by whom, and how it is followed."""
