"""The project's one Dagster instance: its ``dagster.yaml``, and opening it.

Every command, the daemon and the web server use this instance, so pools and locks hold between them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import dagster as dg

from persona_platform.settings import Project

DAGSTER_YAML: Final = """\
# Written by persona; remove the file to get this version's defaults again.
telemetry: {enabled: false}
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
run_monitoring: {enabled: true}
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
    """The project's instance, closed afterwards."""
    prepare_instance(project)
    with dg.DagsterInstance.from_config(str(project.dagster)) as instance:
        yield instance
