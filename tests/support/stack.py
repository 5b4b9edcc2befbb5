"""A whole Atoll for the tests: real daemons, a private PostgreSQL, its own folders and host uids.

It starts the daemons itself, without the supervisor of `atoll dev`, so that a test can kill each
one and look at what the others do. Everything is configured through the environment, as in
production.
"""

import contextlib
import fcntl
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from support import inventory, tokens
from support.client import Client
from support.daemon import Daemon
from support.postgres import Postgres
from support.wait import eventually

REPOSITORY = Path(__file__).resolve().parents[2]
BIN = Path(os.environ.get("ATOLL_BIN", REPOSITORY / "build" / "bin"))
IMAGES = Path(os.environ.get("ATOLL_TEST_IMAGES", "/var/lib/atoll/images"))
USER = os.environ.get("ATOLL_TEST_USER", "postgres")

UIDS_PER_SANDBOX = 65536
UID_SLOTS = 1024
DEFAULT_TENANT = "00000000000070008000000000000001"
DAEMONS = ("launcher", "server", "monitor", "worker")


def binary(name):
    path = BIN / name
    if not path.exists():
        raise RuntimeError(f"{path} is missing: build it with make")
    return path


def sanitized():
    """True for a build with AddressSanitizer, whose allocator gives memory back late."""
    return b"__asan_init" in binary("atoll-server").read_bytes()


def claim_uids():
    """A range of host uids that is no other stack's while the returned file is open, and that no
    process has now: remove() kills whatever runs in it."""

    def claimed():
        for part in random.sample(range(2, 15), 13):
            base = UIDS_PER_SANDBOX * UID_SLOTS * part
            lock = open(f"/tmp/at-uids-{base}.lock", "w")
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not inventory.processes(base, UIDS_PER_SANDBOX * UID_SLOTS):
                    return base, lock
            lock.close()
        return None

    return eventually(claimed, 600, "a range of host uids is free")


def unprivileged_user():
    try:
        entry = pwd.getpwnam(USER)
    except KeyError:
        raise RuntimeError(
            f"user {USER} is missing: name an unprivileged user by ATOLL_TEST_USER"
        ) from None
    return entry.pw_uid, entry.pw_gid


def require_base_image():
    """Builds the base image when the machine has none: a minute, once."""
    if (IMAGES / "base").exists():
        return
    environment = {**os.environ, "ATOLL_STATE_DIR": str(IMAGES.parent)}
    subprocess.run([str(binary("atoll")), "image", "build", "base"], env=environment, check=True)


class Stack:
    def __init__(self, images=IMAGES, **environment):
        """environment: configuration on top of the defaults below."""
        if os.geteuid() != 0:
            raise RuntimeError("the tests start a launcher, which needs root: run them as root")
        for name in ("atoll", "atoll-agent", "atoll-archive", *(f"atoll-{name}" for name in DAEMONS)):
            binary(name)
        self.user = unprivileged_user()
        self.folder = Path(tempfile.mkdtemp(prefix="at-", dir="/tmp"))
        self.folder.chmod(0o755)
        self.state_dir = self.folder / "state"
        self.run_dir = self.folder / "run"
        self.images = Path(images)
        self.uid_base, self.uid_lock = claim_uids()
        self.key = os.urandom(32).hex().encode()
        self.created = set()
        self.extra_tenants = {}
        self.extra_servers = []
        self.postgres = Postgres(self.make_folder("pg", self.user), self.user)
        self.environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "ASAN_OPTIONS": "quarantine_size_mb=1",
            "SANDBOX_HOST": "127.0.0.1",
            "SANDBOX_PORT": "0",
            "LOG_LEVEL": "debug",
            "ATOLL_STATE_DIR": str(self.state_dir),
            "ATOLL_RUN_DIR": str(self.run_dir),
            "ATOLL_USER": USER,
            "ATOLL_UID_BASE": str(self.uid_base),
            "ATOLL_DATABASE_URL": self.postgres.url("atoll_app"),
            "ATOLL_DATABASE_SYSTEM_URL": self.postgres.url("atoll_system"),
            "ATOLL_DATABASE_OWNER_URL": self.postgres.url("atoll_owner"),
            "ATOLL_AUTH_HS256_KEY_FILE": str(self.folder / "hs256.key"),
            "ATOLL_CLEANUP_INTERVAL": "1",
            "ATOLL_MONITOR_INTERVAL_MS": "200",
            **{name: str(value) for name, value in environment.items()},
        }
        self.daemons = {name: self.make_daemon(name) for name in DAEMONS}

    # --- start and stop

    def start(self):
        require_base_image()
        self.make_folder("state")
        self.make_folder("run")
        self.make_folder("run/server", self.user)
        (self.state_dir / "images").symlink_to(self.images)
        self.write_key("hs256.key", self.key)
        self.postgres.initialise()
        self.postgres.start()
        self.create_roles()
        self.atoll("migrate")
        for name in DAEMONS:
            self.daemons[name].start()
        return self

    def stop(self):
        """Ends everything politely; a sanitizer's report shows as an exit code."""
        daemons = [*self.extra_servers, *(self.daemons[name] for name in reversed(DAEMONS))]
        codes = {daemon.name: daemon.stop() for daemon in daemons}
        self.postgres.stop()
        assert set(codes.values()) <= {0, -signal.SIGTERM}, codes

    def remove(self):
        """Forgets all, even after a failed test: this part must not depend on the product."""
        for name in DAEMONS:
            self.daemons[name].kill()
        for server in self.extra_servers:
            server.kill()
        self.postgres.daemon.kill()
        for pid in inventory.processes(self.uid_base, self.uid_count):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        with contextlib.suppress(AssertionError):  # groups of what is not dead yet would stay
            eventually(lambda: not inventory.processes(self.uid_base, self.uid_count))
        for point in reversed(inventory.mounts(self.folder)):
            subprocess.run(["umount", "-l", point], check=False)
        for group in reversed(inventory.cgroups(self.created) + self.ready_cgroups()):
            with contextlib.suppress(OSError):
                os.rmdir(group)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.uid_lock.close()

    @property
    def uid_count(self):
        return UIDS_PER_SANDBOX * UID_SLOTS

    def make_folder(self, name, owner=None):
        folder = self.folder / name
        folder.mkdir()
        folder.chmod(0o755)
        if owner:
            os.chown(folder, *owner)
        return folder

    def write_key(self, name, content):
        path = self.folder / name
        path.write_bytes(content)
        path.chmod(0o400)
        os.chown(path, *self.user)
        return path

    def create_roles(self):
        """What an operator does once on a new cluster, before `atoll migrate`."""
        for sql in (
            "CREATE ROLE atoll_owner LOGIN; CREATE ROLE atoll_app LOGIN; "
            "CREATE ROLE atoll_system LOGIN",
            "CREATE DATABASE atoll OWNER atoll_owner",
        ):
            self.postgres.execute(sql, database="postgres")

    def make_daemon(self, name):
        arguments = {
            "launcher": [
                "--run-dir", self.run_dir, "--state-dir", self.state_dir,
                "--client-uid", self.user[0], "--client-gid", self.user[1],
                "--agent", binary("atoll-agent"), "--archive", binary("atoll-archive"),
                "--uid-base", self.uid_base,
            ],
        }.get(name, [])
        environment = dict(self.environment)
        if name == "launcher":
            # Its own filter forbids the ptrace by which LeakSanitizer looks at the end.
            environment["ASAN_OPTIONS"] += ":detect_leaks=0"
        return Daemon(
            name,
            [binary(f"atoll-{name}"), *arguments],
            environment,
            self.folder / f"{name}.log",
            user=None if name == "launcher" else self.user,
            ready={"launcher": self.launcher_listens, "server": self.server_serves}.get(name),
            before={"server": self.forget_address}.get(name),
        )

    def launcher_listens(self):
        """A launcher that was killed leaves its socket: that it is there says nothing."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            return connection.connect_ex(str(self.run_dir / "launcher.sock")) == 0

    def server_serves(self):
        return self.client(token=None).get("/health", timeout=5).status in (200, 503)

    def forget_address(self):
        (self.run_dir / "server" / "address").unlink(missing_ok=True)

    def atoll(self, *arguments, check=True):
        """Runs the command line tool with the stack's configuration."""
        done = subprocess.run(
            [str(binary("atoll")), *arguments], env=self.environment, text=True, cwd="/",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        assert not check or done.returncode == 0, f"atoll {arguments}: {done.stderr}"
        return done

    # --- daemons

    @property
    def launcher(self):
        return self.daemons["launcher"]

    @property
    def server(self):
        return self.daemons["server"]

    @property
    def monitor(self):
        return self.daemons["monitor"]

    @property
    def worker(self):
        return self.daemons["worker"]

    @property
    def address(self):
        """host:port that the server wrote when it began to listen."""
        line = (self.run_dir / "server" / "address").read_text()
        if not line.endswith("\n"):
            raise OSError("the server's address file is not whole yet")
        return line.strip()

    def another_server(self, *arguments, **environment):
        """A second server on the same database and launcher; returns its address.

        It is a node of its own, because its run folder is.
        """
        run_dir = Path(tempfile.mkdtemp(prefix="run-", dir=self.folder))
        os.chown(run_dir, *self.user)
        (run_dir / "server").mkdir()
        os.chown(run_dir / "server", *self.user)
        (run_dir / "launcher.sock").symlink_to(self.run_dir / "launcher.sock")
        (run_dir / "sandboxes").symlink_to(self.run_dir / "sandboxes")
        settings = {**self.environment, "ATOLL_RUN_DIR": str(run_dir), **environment}
        address_file = run_dir / "server" / "address"
        server = Daemon(
            run_dir.name, [binary("atoll-server"), *arguments], settings,
            self.folder / f"{run_dir.name}.log", user=self.user,
            ready=lambda: address_file.exists() and address_file.read_text().endswith("\n"),
        )
        self.extra_servers.append(server.start())
        return address_file.read_text().strip()

    # --- clients

    def token(self, tenant=DEFAULT_TENANT, **changes):
        return tokens.hs256(self.key, tokens.claims(tenant, **changes))

    def client(self, token="default", address=None):
        """A client of the default tenant; token=None sends no token."""
        chosen = self.token() if token == "default" else token
        return Client(address or self.address, chosen, self.created)

    def tenant_client(self, name):
        """A client of another tenant, made on first use."""
        if name not in self.extra_tenants:
            self.extra_tenants[name] = self.postgres.execute(
                f"INSERT INTO tenants (name) VALUES ('{name}') RETURNING replace(id::text, '-', '')"
            )
        return self.client(self.token(self.extra_tenants[name]))

    # --- what is there

    def known_ids(self):
        """Ids of every sandbox this stack ever made, acknowledged or not."""
        if self.postgres.daemon.alive:
            rows = self.postgres.rows("SELECT replace(id::text, '-', '') AS id FROM sandboxes")
            self.created |= {row["id"] for row in rows}
        return self.created

    def sandbox_processes(self):
        return inventory.processes(self.uid_base, self.uid_count)

    def ready_processes(self):
        """Those of the sandbox that the launcher keeps ready, which is nobody's."""
        return inventory.ready(self.launcher.pid)

    def ready_cgroups(self, hierarchy=""):
        return inventory.ready_cgroups(self.uid_base, self.uid_count, hierarchy)

    def leftovers(self):
        """Everything on the host that belongs to some sandbox of this stack; {} when clean."""
        found = {
            "cgroups": inventory.cgroups(self.known_ids()),
            "folders": inventory.sandbox_folders(self.run_dir),
            "disks": inventory.sandbox_folders(self.state_dir),
            "mounts": inventory.mounts(self.run_dir, self.state_dir / "sandboxes"),
            "processes": self.sandbox_processes(),
        }
        return {kind: what for kind, what in found.items() if what}

    def assert_clean(self, timeout=60):
        """Waits until no sandbox is left on the host: invariant I1 of the design."""

        def clean():
            left = self.leftovers()
            assert not left, left
            return True

        eventually(clean, timeout, "nothing of any sandbox is left on the host")

    def sandbox_ids(self):
        """Of the rows of sandboxes that are not deleted. Others' may go at any time."""
        rows = self.postgres.rows("SELECT id FROM sandboxes WHERE state <> 'deleted'")
        return {row["id"] for row in rows}

    def sandbox_count(self):
        return len(self.sandbox_ids())

    def logs(self):
        return "\n".join(
            f"--- {daemon.name}\n{daemon.log_tail(20)}"
            for daemon in [*self.daemons.values(), *self.extra_servers, self.postgres.daemon]
        )
