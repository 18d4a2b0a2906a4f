"""Folders of BigDL PPML: what is in them, opening, verifying, writing. One file: `ppml_ops.crypto.bigdl`."""
