"""Where a project keeps what many hosts may share, as ``[storage]`` in its ``persona.toml`` says."""

from persona_platform.settings import Project
from resources.persona_store import PersonaStore, open_store
from resources.postgres_server import postgres_url


def persona_database(project: Project) -> PersonaStore:
    """The project's Persona Database: embedded, or this host's replica of the one on PostgreSQL.

    Raises :class:`ConfigError` when the variable that holds the server's URL is not set.
    """
    storage = project.settings().storage
    return open_store(project.store, postgres_url(storage) if storage.personas == "postgres" else None)


__all__ = ["persona_database"]
