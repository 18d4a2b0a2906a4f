"""Containers over byte streams. No I/O of its own beyond the streams it is given, no keys of its own."""
