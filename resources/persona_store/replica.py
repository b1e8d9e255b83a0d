"""A host's own LMDB copy of the Persona Database on PostgreSQL: what it lacks is pulled, and it is read locally.

A version is taken over in one LMDB transaction: a reader of the replica sees the old one or the new one, and a sync
that is killed leaves the old one. Several processes may sync a replica: what one has taken over the next skips.
"""

import logging
import random
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from persona_platform.errors import InputError
from resources.persona_store import generations, versions
from resources.persona_store.catalog import Publication
from resources.persona_store.environment import MAP_SIZE, Handle, current_key
from resources.persona_store.followed import Databases, Followed, Held, checked, held, note
from resources.persona_store.lmdb_store import KEEP, PersonaStore
from resources.persona_store.postgres import PostgresStore
from resources.persona_store.postgres_changes import Head, activity_after, changes, head, versions_after, whole
from resources.persona_store.postgres_view import PostgresView
from resources.persona_store.postgres_wakeups import Wakeups
from resources.persona_store.records import ActivityNow, encode, workload_key
from resources.postgres_server import UnreachableError

STEPS: Final = 8
"""How many versions are taken over one by one, so that the replica has their history; further behind, the newest."""

POLL_S: Final = 30.0
"""Also without a word from the server: a connection can die without a sign."""

PAUSES_S: Final = (0.2, 30.0)
"""The first pause before another try at a server that is gone, and the longest."""

Work = Callable[[Any, Databases], bool]

log: Final = logging.getLogger(__name__)


class Replica(PersonaStore):
    """The replica in the folder ``path`` of the truth at ``url``; it reads as any store does, without the server.

    What is published or observed through it goes to the truth first, and comes from there.
    """

    def __init__(self, url: str, path: Path | str, *, map_size: int = MAP_SIZE, keep: int = KEEP) -> None:
        super().__init__(path, map_size=map_size, keep=keep)
        self._url = url
        self._known: PostgresStore | None = None

    def publish_whole(self, publication: Publication) -> bool:
        """See :meth:`PostgresStore.publish`; nothing is published that this replica could not follow."""
        self.sync()
        written = self._truth().publish_whole(publication)
        self._catch_up(f"The catalog version {publication.version} is published")
        return written

    def update_activity(self, rows: Sequence[ActivityNow]) -> int:
        """See :meth:`PostgresStore.update_activity`."""
        kept = self._truth().update_activity(rows)
        self._catch_up("The activity is written")
        return kept

    def sync(self) -> bool:
        """Take over what is newer in the truth; whether there was anything.

        Raises :class:`UnreachableError` when the server does not answer, and :class:`InputError` when it is not the
        truth that this replica follows, or was put back to an earlier state. The replica then stays as it is.
        """
        with self._truth().reading() as cursor:
            at, has = head(cursor), self._current()
            published = PostgresView(cursor).info(has.version)
            followed = checked(self.path, has, at, published)
            if followed != has.followed:
                self._write(lambda txn, dbs: note(txn, dbs, followed))
            taken = self._take_versions(cursor, at, Held(has.version, has.digest, followed))
            if at.tick > followed.tick:
                super().update_activity(activity_after(cursor, followed.tick))
                newer = msgspec.structs.replace(followed, tick=at.tick)
                self._write(lambda txn, dbs: note(txn, dbs, newer))
                taken = True
        return taken

    def follow(self, stop: threading.Event, *, poll_s: float = POLL_S) -> None:
        """Sync whenever the server says that there is news, and every ``poll_s`` seconds, until ``stop`` is set.

        A lost connection is made again, after longer and longer pauses. What :meth:`sync` raises for a truth that
        cannot be followed ends this too.
        """
        pause = PAUSES_S[0]
        while not stop.is_set():
            try:
                with Wakeups(self._url) as wakeups:  # before the sync, so that nothing falls between the two
                    while not stop.is_set():
                        self.sync()
                        pause = PAUSES_S[0]
                        wakeups.wait(poll_s, stop)
            except UnreachableError as fault:
                log.warning("%s Trying again in %.1f s; the replica %s stays as it is.", fault, pause, self.path)
                stop.wait(pause * random.uniform(0.5, 1))  # noqa: S311 (many hosts should not return at once)
                pause = min(2 * pause, PAUSES_S[1])

    @staticmethod
    def resync(url: str, path: Path | str, *, force: bool = False) -> None:
        """Put what the truth holds in the place of the store in ``path``, whatever that is; its history is lost.

        Stores that are open read on what was until their next sync, or until they are opened again.
        """
        if not force:
            raise InputError(f"The store {path} would be replaced by what PostgreSQL holds: say so with force.")
        with PostgresStore(url).reading() as cursor:
            at = head(cursor)
            publication = whole(cursor, at.version) if at.version else None
            rows = activity_after(cursor, 0)
        path = Path(path)
        with generations.replacing(path), generations.new_generation(path) as building:
            handle = Handle(path, building, MAP_SIZE)
            try:
                with handle.begin(write=True) as txn:
                    if publication is not None:
                        versions.publish(txn, handle.dbs, publication)
                    for row in rows:
                        txn.put(workload_key(row.workload_id), encode(row), db=handle.dbs[b"act"])
                    note(txn, handle.dbs, Followed(at.identity, at.tick))
            finally:
                handle.env.close()
            generations.switch(path, building)

    def _truth(self) -> PostgresStore:
        if self._known is None:
            self._known = PostgresStore(self._url)
        return self._known

    def _current(self) -> Held:
        """What the store has now, also when it was replaced as a whole since it was opened."""
        if self._opened().key != current_key(self.path):
            self._write(lambda _txn, _dbs: None)
        return held(self._opened())

    def _catch_up(self, done: str) -> None:
        """A write that is in the truth has succeeded, also when the server goes away right after it."""
        try:
            self.sync()
        except UnreachableError as fault:
            log.warning("%s; the replica %s has it after its next sync. %s", done, self.path, fault)

    def _take_versions(self, cursor: Any, at: Head, has: Held) -> bool:
        """Step by step where the truth still knows the steps and they are few, else the newest as a whole."""
        version, taken = has.version, False
        missing = versions_after(cursor, version or at.oldest - 1)
        known = (version == 0 or version >= at.oldest) and not has.is_own
        if known and len(missing) <= STEPS:
            for goal in missing:
                step = changes(cursor, version, goal)
                taken = self._taken(goal, lambda txn, dbs, step=step: versions.apply(txn, dbs, step)) or taken
                version = goal
        elif missing:
            full = whole(cursor, missing[-1])
            taken = self._taken(missing[-1], lambda txn, dbs: versions.publish(txn, dbs, full))
        return taken

    def _taken(self, goal: int, work: Work) -> bool:
        """Writes a version, unless another process was faster."""
        return self._published(lambda txn, dbs: versions.current(txn, dbs) < goal and work(txn, dbs))
