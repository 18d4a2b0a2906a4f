"""`python -m ppml_sim`: the same as the `ppml-sim` command."""

from ppml_sim.cli import main

main()
