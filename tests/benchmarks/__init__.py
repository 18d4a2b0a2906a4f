"""Measurements of docs/benchmarks.md. They print and never judge: no test depends on how long anything takes.

python -m tests.benchmarks [--only NAME] [--rows N] [--rounds N] [--mib N] [--write]
"""
