"""``python -m persona_platform``: the same as ``persona``."""

from persona_platform.cli import main

main()
