"""The exception tree. A message says what was found, what was expected, and what to do.

The command line turns :class:`InputError` and :class:`ConfigError` into one readable sentence and exit code 2.
"""


class PersonaPlatformError(Exception):
    """Anything this platform raises on purpose."""


class InputError(PersonaPlatformError, ValueError):
    """Data from outside breaks its contract. Names the file, the row where there is one, and the fix."""


class ConfigError(PersonaPlatformError, ValueError):
    """``persona.toml`` is wrong, or the project folder is missing. Names the line and the fix."""


class JobError(PersonaPlatformError):
    """A job failed in a step that raised none of these. Names the step and the run, whose log has the whole trace."""


class ProvisioningError(PersonaPlatformError):
    """A provisioner could not do what was asked."""


class TemporaryProvisioningError(ProvisioningError):
    """Worth another try: throttling, a conflict, a lock, capacity short for the moment."""


class PermanentProvisioningError(ProvisioningError):
    """Another try changes nothing: a quota, a refusal, a target that does not exist."""


class UnknownProvisioningError(ProvisioningError):
    """The reply was lost: the write may or may not have happened. Read back before anything else."""
