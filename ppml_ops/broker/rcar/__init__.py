"""Wire messages of the protocol RCAR, one module per version: it is pre-1.0 and has broken before."""
