"""A simulated TDX platform for developing and testing PPML Ops. It protects nothing."""

__version__ = "0.1.0"
