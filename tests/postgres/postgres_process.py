"""Debian's PostgreSQL, started in a folder for the tests."""

import os
import shutil
import signal
import socket
import subprocess
import time
from itertools import count
from pathlib import Path

import psycopg2

PASSWORD = "open-sesame"
DEBIAN = Path("/usr/lib/postgresql")  # Debian puts the server's programs beside no PATH


def programs() -> Path | None:
    """The folder of the newest server's programs; None where there is none."""
    found = [folder / "bin" for folder in DEBIAN.glob("[0-9]*") if (folder / "bin" / "initdb").is_file()]
    if found:
        return max(found, key=lambda folder: int(folder.parent.name))
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


class Server:
    """PostgreSQL in a folder that can be stopped and started again; it ends with this process at the latest."""

    def __init__(self, bin_folder: Path, folder: Path) -> None:
        self.bin, self.folder, self.names = bin_folder, folder, count(1)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        # PostgreSQL refuses to run as root
        self.prefix = ["setpriv", "--pdeathsig", "INT"]
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
            self.prefix += ["--reuid=postgres", "--regid=postgres", "--clear-groups"]

    def create(self) -> None:
        words = self.folder / "password"
        words.write_text(PASSWORD, encoding="utf-8")
        options = ["--username=persona", f"--pwfile={words}", "--auth-local=trust", "--auth-host=scram-sha-256"]
        locale = ["--locale=C.UTF-8", "--encoding=UTF8", "--no-sync"]
        command = [*self.prefix, self.bin / "initdb", "-D", self.folder / "data", *options, *locale]
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder)

    def start(self) -> None:
        given = {"listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": self.folder}
        fast = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
        options = [word for name, value in {**given, **fast}.items() for word in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.prefix, self.bin / "postgres", "-D", self.folder / "data", *options],
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )
        until = time.monotonic() + 60
        while True:
            try:
                return psycopg2.connect(self.url("postgres")).close()
            except psycopg2.OperationalError:
                assert self.process.poll() is None, (self.folder / "log").read_text(encoding="utf-8")
                assert time.monotonic() < until, "the server did not start"
                time.sleep(0.05)

    def stop(self) -> None:
        """Ends the server and breaks every connection."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=60)

    def url(self, database: str) -> str:
        """Over the Unix socket, where nobody asks for a password."""
        return f"postgresql://persona@/{database}?host={self.folder}&port={self.port}"

    def tcp_url(self, database: str, password: str = PASSWORD) -> str:
        return f"postgresql://persona:{password}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """An empty database; its name."""
        name = f"test_{next(self.names)}"
        self.run(f"CREATE DATABASE {name}")
        return name

    def run(self, sql: str, database: str = "postgres") -> list[tuple]:
        connection = psycopg2.connect(self.url(database))
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()
