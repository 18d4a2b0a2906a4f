"""The `ppml-ops` command: one verb, one job."""

from ppml_ops.cli.app import main

__all__ = ["main"]
