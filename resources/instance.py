"""The project's one Dagster instance: its ``dagster.yaml``, and opening it.

Every command, the daemon and the web server use this instance, so pools and locks hold between them.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Final

import dagster as dg
from dagster._core.instance.ref import InstanceRef

from persona_platform.errors import ConfigError
from persona_platform.settings import Project, StorageSettings
from resources.event_log import event_log_settings
from resources.postgres_server import connect, driver, postgres_url

DAGSTER_YAML: Final = """\
# Written by persona; remove the file to get this version's defaults again.
telemetry: {enabled: false}
nux: {enabled: false}
sensors: {use_threads: true, num_workers: 4}
schedules: {use_threads: true, num_workers: 2}
run_coordinator:
  module: dagster.core.run_coordinator
  class: QueuedRunCoordinator
  config: {dequeue_interval_seconds: 1}
concurrency:
  # a pool without a limit does nothing: warehouse, planning and provisioning hold one step each
  pools: {default_limit: 1, granularity: op}
  runs:
    max_concurrent_runs: 3
    tag_concurrency_limits:
      # one plan at a time: a second replan waits instead of mixing its frames with the first
      - {key: persona_platform/lane, value: {applyLimitPerUniqueValue: true}, limit: 1}
# a run whose process is gone is ended, and its slots are freed
run_launcher: {module: resources.lost_runs, class: WatchedRunLauncher}
run_monitoring: {enabled: true, poll_interval_seconds: 30, free_slots_after_run_end_seconds: 15}
# a step that fails on purpose is not tried again as a run; a lost worker is
run_retries: {enabled: true, max_retries: 1, retry_on_asset_or_op_failure: false}
"""


POSTGRES: Final = """\
storage:
  postgres:
    # the variable that [storage] in persona.toml names; no password stands here
    postgres_url: {env: %s}
"""
_OURS: Final = re.compile(f"({re.escape(POSTGRES % 'NAME').replace('NAME', r'[A-Za-z0-9_]+')})?")


def prepare_instance(project: Project) -> None:
    """Makes the instance folder with its configuration; rewrites that only where it is wholly persona's own.

    Raises :class:`ConfigError` when the storage is to be on PostgreSQL and that cannot be used, or when a
    ``dagster.yaml`` that was edited says something else about storage.
    """
    storage = project.settings().storage if project.config.is_file() else StorageSettings()
    wanted = DAGSTER_YAML
    if storage.dagster == "postgres":
        _check_server(storage)
        wanted += POSTGRES % storage.postgres_env
    project.dagster.mkdir(parents=True, exist_ok=True)
    config = project.dagster / "dagster.yaml"
    found = config.read_text(encoding="utf-8") if config.is_file() else ""
    if found == wanted:
        return
    if not found or _is_ours(found):
        scratch = config.with_suffix(".partial")
        scratch.write_text(wanted, encoding="utf-8")
        scratch.replace(config)
    elif storage.dagster == "postgres" and _storage_module(project) != "dagster_postgres":
        raise ConfigError(
            f"{config} was edited and does not put Dagster's storage on PostgreSQL, as [storage] in {project.config} "
            f'asks: add "storage: {{postgres: {{postgres_url: {{env: {storage.postgres_env}}}}}}}", or remove the file.'
        )


def _check_server(storage: StorageSettings) -> None:
    """Dagster itself would try six times and then show a page of trace."""
    driver()
    if find_spec("dagster_postgres") is None:
        raise ConfigError("Dagster's storage on PostgreSQL needs the extra: pip install 'persona-platform[postgres]'.")
    connect(postgres_url(storage)).close()


def _is_ours(text: str) -> bool:
    """Whether this is what is written here, with whatever storage."""
    return text.startswith(DAGSTER_YAML) and _OURS.fullmatch(text.removeprefix(DAGSTER_YAML)) is not None


def _storage_module(project: Project) -> str:
    data = InstanceRef.from_dir(str(project.dagster)).storage_data
    return data.module_name if data else ""


@contextmanager
def dagster_instance(project: Project) -> Iterator[dg.DagsterInstance]:
    """The project's instance, closed afterwards; on Dagster's SQLite it keeps its event log's files open."""
    prepare_instance(project)
    folder = str(project.dagster)
    found = InstanceRef.from_dir(folder)
    default = InstanceRef.config_defaults(folder)["storage"]
    if found.storage_data == default:  # not where dagster.yaml names a storage of its own
        found = InstanceRef.from_dir(folder, overrides={"event_log_storage": event_log_settings(project.dagster)})
    with dg.DagsterInstance.from_ref(found) as instance:
        yield instance
