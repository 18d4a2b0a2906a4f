"""Evidence of a TEE: obtain it, appraise it against one trust root, decide about it by the owner's policy."""
