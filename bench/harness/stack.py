"""A private Atoll: own state and run folder, own PostgreSQL (fsync on), a free port."""
import http.client
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
IMAGES = pathlib.Path("/var/lib/atoll/images")
START_SECONDS = 120
STOP_SECONDS = 60


class StackError(Exception):
    """The service did not start or did not answer."""


def memory_folder():
    """/run is memory on Debian; a machine that was started without systemd may have it on disk."""
    kind = subprocess.run(["stat", "-f", "-c", "%T", "/run"], check=True, capture_output=True,
                          text=True).stdout.strip()
    return "/run" if kind == "tmpfs" else "/dev/shm"


class Stack:
    """`with Stack(build) as stack:` runs `atoll dev` from `build`/bin until the block ends."""

    def __init__(self, build, settings=None):
        self.cli = str(pathlib.Path(build).resolve() / "bin" / "atoll")
        # /var/tmp is on disk where /tmp may be memory: a commit has to cost what it costs.
        self.state = pathlib.Path(tempfile.mkdtemp(prefix="atoll-bench.", dir="/var/tmp"))
        self.run = pathlib.Path(tempfile.mkdtemp(prefix="ab.", dir=memory_folder()))
        self.log = self.state / "dev.log"
        self.images_mounted = False
        self.process = None
        self.token = None
        self.address = None
        self.environment = {
            key: value for key, value in os.environ.items()
            if not key.startswith(("ATOLL_", "SANDBOX_", "LOG_", "PG"))
        }
        self.environment.update({
            "ATOLL_STATE_DIR": str(self.state),
            "ATOLL_RUN_DIR": str(self.run),
            "SANDBOX_HOST": "127.0.0.1",
            "SANDBOX_PORT": "0",
            "LOG_LEVEL": "warn",
            # The uid range of a service that may run here already stays its own.
            "ATOLL_UID_BASE": str(1610612736),
        })
        self.environment.update(settings or {})

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def _start(self):
        os.chmod(self.state, 0o755)
        os.chmod(self.run, 0o755)
        if IMAGES.is_dir() and any(IMAGES.iterdir()):
            (self.state / "images").mkdir()
            subprocess.run(["mount", "--bind", IMAGES, self.state / "images"], check=True)
            self.images_mounted = True
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([self.cli, "dev"], env=self.environment, stdout=log,
                                            stderr=log, stdin=subprocess.DEVNULL,
                                            start_new_session=True)
        self._wait_until_healthy()
        self.token = subprocess.run([self.cli, "token"], env=self.environment, check=True,
                                    capture_output=True, text=True).stdout.strip()

    def _wait_until_healthy(self):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise StackError(f"atoll dev ended with {self.process.returncode}:\n{self.tail()}")
            try:
                self.address = (self.run / "server" / "address").read_text().strip()
                if self.request("GET", "/health")[0] == 200:
                    return
            except (OSError, http.client.HTTPException, ValueError):
                pass
            time.sleep(0.05)
        raise StackError(f"atoll dev is not healthy after {START_SECONDS} s:\n{self.tail()}")

    def tail(self):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])

    def request(self, method, path, body=None, timeout=60, token=None):
        """One request on its own connection: (status, decoded JSON or None)."""
        connection = http.client.HTTPConnection(self.address, timeout=timeout)
        headers = {"Content-Type": "application/json"}
        if token or self.token:
            headers["Authorization"] = f"Bearer {token or self.token}"
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else None
        finally:
            connection.close()

    def create(self, runtime, code, **fields):
        """Creates a sandbox and returns its id."""
        status, answer = self.request("POST", "/sandbox",
                                      {"runtime": runtime, "code": code, **fields})
        if status != 201:
            raise StackError(f"POST /sandbox: {status} {answer}")
        return answer["id"]

    def container(self, **fields):
        """Creates a container that runs and returns its id."""
        status, answer = self.request("POST", "/v1/sandboxes", fields)
        if status != 201:
            raise StackError(f"POST /v1/sandboxes: {status} {answer}")
        return answer["id"]

    def put_file(self, sandbox, path, content, mode):
        """Writes a file of a container."""
        connection = http.client.HTTPConnection(self.address, timeout=60)
        try:
            connection.request("PUT", f"/v1/sandboxes/{sandbox}/files/content?path={path}"
                               f"&mode={mode}", content,
                               {"Authorization": f"Bearer {self.token}",
                                "Content-Type": "application/octet-stream"})
            answer = connection.getresponse()
            if answer.status not in (200, 201):
                raise StackError(f"PUT {path}: {answer.status} {answer.read()}")
        finally:
            connection.close()

    def execute_head(self, sandbox):
        """The bytes of an execute request, for a caller that will not wait for the answer."""
        return (f"POST /sandbox/{sandbox}/execute HTTP/1.1\r\nHost: {self.address}\r\n"
                f"Authorization: Bearer {self.token}\r\nContent-Length: 0\r\n\r\n").encode()

    def rows(self, query):
        """One query to the private PostgreSQL as its superuser, which root may be: lists of text."""
        done = subprocess.run(["psql", "-h", self.run / "postgres", "-U", "postgres", "-d", "atoll",
                               "-AtX", "-c", query], env=self.environment, check=True,
                              capture_output=True, text=True)
        return [line.split("|") for line in done.stdout.splitlines()]

    def tenant_token(self, name):
        """A token of a tenant that is made for it."""
        self.rows(f"INSERT INTO tenants (name) VALUES ('{name}')")
        return self.tenant_token_of(name)

    def tenant_token_of(self, name):
        """A token of a tenant that is there."""
        ((tenant,),) = self.rows(f"SELECT id FROM tenants WHERE name = '{name}'")
        return subprocess.run([self.cli, "token", "--tenant", tenant], env=self.environment,
                              check=True, capture_output=True, text=True).stdout.strip()

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        if self.images_mounted:
            subprocess.run(["umount", self.state / "images"], check=True)
            self.images_mounted = False
        shutil.rmtree(self.run, ignore_errors=True)
        # Never through a mount: a folder that is still mounted stays for a human to look at.
        if not any(str(self.state) in line for line in open("/proc/self/mountinfo")):
            shutil.rmtree(self.state, ignore_errors=True)
