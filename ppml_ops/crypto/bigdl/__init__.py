"""BigDL PPML 2.3/2.4's own formats: `.cbc` container, `.meta`, primary key files. Pure; streams only.

Weak by design of the original (docs/from-bigdl-ppml.md): for its data only, never a default.
"""
