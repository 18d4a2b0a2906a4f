"""Sealed data sets: identity, manifest, sealing, opening, and their way to the nodes and back."""
