"""``persona up``: Dagster's web server, daemon and both code locations over this project folder."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import FrameType

import click

from persona_platform.cli.options import err
from persona_platform.settings import Project, find_project

WORKSPACE = Path(__file__).parent.parent.parent / "workspace.yaml"
GRACE_S = 20
"""Code servers and the daemon take over three seconds to end on TERM; then they are killed."""


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address the web UI listens on.")
@click.option("--port", default=3000, show_default=True, help="Port of the web UI.")
@click.option("--replan/--no-replan", default=True, show_default=True, help="Start with one replan.")
def up(host: str, port: int, replan: bool) -> None:
    """Start the Dagster web UI, the daemon and both code locations; Ctrl-C stops them."""
    from persona_platform.cli.pipeline import catch_up
    from resources.instance import prepare_instance

    project = find_project()
    prepare_instance(project)
    if replan:
        catch_up(project, err)
    err.print(f"Starting Dagster over {project.home}; the UI will be at http://{host}:{port}")
    sys.exit(supervise(project, host, port))


def supervise(project: Project, host: str, port: int) -> int:
    """Runs ``dagster dev`` as a child with default signal handling and passes TERM and INT on to it."""
    command = [sys.executable, "-m", "dagster", "dev", "-w", str(WORKSPACE), "-h", host, "-p", str(port)]
    environment = {
        **os.environ,
        "PERSONA_HOME": str(project.home),
        "DAGSTER_HOME": str(project.dagster),
        # Dagster's warnings about its own command and its own use of its beta parameters
        "PYTHONWARNINGS": "ignore:Function `dev_command`,ignore:Parameter `owners`",
    }
    children: list[subprocess.Popen[bytes]] = []

    def stop(_number: int, _frame: FrameType | None) -> None:
        for child in children:
            _end(child, signal.SIGTERM)
            late = threading.Timer(GRACE_S, _end, (child, signal.SIGKILL))
            late.daemon = True
            late.start()

    # Handlers first: a process started with & from a script inherits SIGINT as ignored, and so would the servers,
    # which then survive Ctrl-C and TERM; what is handled here is theirs to handle anew after exec.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    # a session of its own, so that the whole tree of servers can be ended
    child = subprocess.Popen(command, env=environment, cwd=WORKSPACE.parent, start_new_session=True)  # noqa: S603
    children.append(child)
    code = child.wait()
    _end(child, signal.SIGKILL)  # whatever of the tree is left
    return code


def _end(child: "subprocess.Popen[bytes]", number: int) -> None:
    """Signals the child's process group; nothing when it is gone."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, number)
