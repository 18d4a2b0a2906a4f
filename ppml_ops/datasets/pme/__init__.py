"""Parquet modular encryption as BigDL PPML uses it: `AES_GCM_V1` read and written, `AES_GCM_CTR_V1` read."""
