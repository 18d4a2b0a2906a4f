"""Keeping an installation: retention, backup and restore, the key-loss drill, and shredding of data."""
