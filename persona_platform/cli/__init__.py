"""The command line ``persona``: each command gathers, calls a job or the domain, and shows the result.

An error is one readable sentence with the fix: exit code 2 for bad input, 1 for a failed job.
"""

from persona_platform.cli.app import main

__all__ = ["main"]
