"""A private PostgreSQL cluster on a unix socket."""

import json
import os
import signal
import subprocess
from pathlib import Path

from support.daemon import Daemon
from support.wait import eventually

BIN = Path("/usr/lib/postgresql/15/bin")
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",  # a killed process loses nothing by this, only a powered-off machine does
    "max_connections": "200",
    "log_min_messages": "warning",
}


class Session:
    """One connection, for what lasts longer than a statement."""

    def __init__(self, url):
        self.process = subprocess.Popen(
            ["psql", "-X", "-A", "-t", "-q", url], text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def run(self, sql):
        """Runs SQL and waits for its end."""
        self.process.stdin.write(f"{sql};\n\\echo done\n")
        while (line := self.process.stdout.readline()) != "done\n":
            assert line, "psql ended"


class Postgres:
    def __init__(self, folder, user):
        """folder: empty, owned by `user`, a (uid, gid)."""
        if not (BIN / "initdb").exists():
            raise RuntimeError(f"{BIN}/initdb is missing: install the Debian package postgresql-15")
        self.folder = Path(folder)
        self.user = user
        self.data = self.folder / "data"
        self.socket_dir = self.folder / "sock"
        settings = [f"-c{name}={value}" for name, value in SETTINGS.items()]
        self.daemon = Daemon(
            "postgres",
            [BIN / "postgres", "-D", self.data, "-k", self.socket_dir, *settings],
            {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
            self.folder / "log",
            user=user,
            ready=self.accepts,
        )

    def initialise(self):
        self.socket_dir.mkdir()
        os.chown(self.socket_dir, *self.user)
        self.make_cluster()

    def make_cluster(self):
        self.run_as_user(
            BIN / "initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
            "--locale=C.UTF-8", "--no-sync",
        )

    def run_as_user(self, *argv):
        subprocess.run(
            [str(argument) for argument in argv], check=True, cwd="/", stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, user=self.user[0], group=self.user[1], extra_groups=[],
        )

    def url(self, role, database="atoll"):
        return f"host={self.socket_dir} user={role} dbname={database}"

    def psql(self, sql, role="postgres", database="atoll"):
        """Runs SQL; returns (exit code, standard output, standard error)."""
        done = subprocess.run(
            ["psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", self.url(role, database)],
            input=sql, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        return done.returncode, done.stdout.strip(), done.stderr.strip()

    def execute(self, sql, role="postgres", database="atoll"):
        code, output, errors = self.psql(sql, role, database)
        assert code == 0, f"{sql}\n{errors}"
        return output

    def session(self, role="postgres", database="atoll"):
        return Session(self.url(role, database))

    def rows(self, select, role="postgres"):
        """The rows of a SELECT as dicts."""
        return json.loads(
            self.execute(f"SELECT coalesce(json_agg(t), '[]') FROM ({select}) t", role)
        )

    def value(self, select, role="postgres"):
        """The single value of a SELECT of one row and one column."""
        (row,) = self.rows(select, role)
        (value,) = row.values()
        return value

    def hand_in_counts(self):
        """Ends the server's connections, so that pg_stat_* has all that they have read so far."""
        self.execute(
            "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity "
            "WHERE usename = 'atoll_app'"
        )

    def accepts(self):
        return self.psql("SELECT 1", database="postgres")[0] == 0

    def start(self):
        self.daemon.start()

    def stop(self):
        """The fast shutdown: clients are thrown out."""
        self.daemon.kill(signal.SIGINT)

    def crash(self):
        """kill -9 of the postmaster; its backends notice and go, which a restart has to await."""
        self.daemon.kill()

    def recover(self):
        """Starts after crash()."""

        def attempt():
            if not self.daemon.alive:
                self.daemon.start(wait=False)
            return self.accepts()

        eventually(attempt, 60, "PostgreSQL starts again after a crash", interval=0.2)
