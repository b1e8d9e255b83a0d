"""The project's one Dagster instance: its ``dagster.yaml``, and opening it.

Every command, the daemon and the web server use this instance, so pools and locks hold between them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import dagster as dg
from dagster._core.instance.ref import InstanceRef

from persona_platform.settings import Project
from resources.event_log import event_log_settings

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


def prepare_instance(project: Project) -> None:
    """Makes the instance folder with its configuration, once."""
    project.dagster.mkdir(parents=True, exist_ok=True)
    config = project.dagster / "dagster.yaml"
    if not config.is_file():
        config.write_text(DAGSTER_YAML, encoding="utf-8")


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
