"""What runs in the other processes of these tests. It imports little, so that such a process is there at once."""

from pathlib import Path

from store_scenes import activity, catalog

from resources.persona_store import PersonaStore


def publish_forever(path, acknowledged, start):
    """Publish version after version, pruning as it goes, and note each that was acknowledged."""
    with PersonaStore(path, keep=3) as store, Path(acknowledged).open("ab", buffering=0) as notes:
        for version in range(start, start + 10_000):
            store.publish(version, *catalog(version, members=10))
            notes.write(version.to_bytes(8))
            store.update_activity([activity(f"w{i}", version) for i in range(20)])
