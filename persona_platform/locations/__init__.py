"""The two code locations of ``workspace.yaml``: each assembles its Definitions with ``build_defs``."""
