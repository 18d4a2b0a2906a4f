"""`python -m ppml_ops.cli`: the same as the `ppml-ops` command."""

from ppml_ops.cli.app import main

main()
