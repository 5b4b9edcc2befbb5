"""The contenders. Each is one command line that takes --count or --seconds and --parallel, and
prints a JSON line; what keeps a peer from running here is its `absent` reason."""
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

UNIFIED = pathlib.Path("/sys/fs/cgroup/unified")
ENGINE = pathlib.Path(__file__).with_name("engine.py")
DOCKER_IMAGE = "atoll-bench:base"
DOCKER_HINT = "apt-get install --no-install-recommends docker.io"


@dataclasses.dataclass
class Contender:
    name: str  # for --only and the results
    title: str  # for the table
    head: list = dataclasses.field(default_factory=list)
    tail: list = dataclasses.field(default_factory=list)
    weight: float = 1.0  # runs of a round, relative to the fastest
    parallel: tuple = (1, 8, 32)
    absent: str = ""

    def measure(self, **options):
        """Runs it with e.g. count=50 or seconds=5, parallel=8."""
        flags = [part for key, value in options.items() for part in (f"--{key}", str(value))]
        done = subprocess.run([*self.head, *flags, *self.tail], capture_output=True, text=True,
                              check=False)
        lines = done.stdout.strip().splitlines()
        if done.returncode or not lines:
            raise RuntimeError(f"{self.name}: exit {done.returncode}: {done.stderr.strip()[-400:]}")
        result = json.loads(lines[-1])
        if result.get("errors") and done.stderr.strip() and not result.get("first_error"):
            result["first_error"] = done.stderr.strip().splitlines()[0]
        return result


def raw_limit(tools, rootfs):
    binary = tools / "raw_limit"
    return Contender("raw", "raw limit (clone3, overlay, cgroups, seccomp)",
                     [str(binary), "--rootfs", str(rootfs)],
                     absent="" if binary.exists() else "build/bench/raw_limit is not built")


def host_command(tools, name, title, command, weight):
    absent = "" if shutil.which(command[0]) else f"{command[0]} is not installed"
    return Contender(name, title, [str(tools / "spawn")], ["--", *command], weight, (), absent)


def bubblewrap(tools, rootfs):
    command = ["bwrap", "--unshare-all", "--die-with-parent", "--ro-bind", str(rootfs), "/",
               "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "/bin/true"]
    return Contender("bubblewrap", "bubblewrap (no cgroups, no overlay)", [str(tools / "spawn")],
                     ["--", *command],
                     absent="" if shutil.which("bwrap") else "bwrap is not installed")


class OciRuntime:
    """crun, or runc where crun is not: a bundle with all namespaces and limits, in a folder of
    its own."""

    def __init__(self, tools, rootfs):
        self.folder = None
        self.runtime = next((name for name in ("crun", "runc") if shutil.which(name)), None)
        if not self.runtime:
            self.contenders = [Contender("oci", "crun run",
                                         absent="neither crun nor runc is installed")]
            return
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="atoll-oci."))
        os.chmod(self.folder, 0o755)  # a user namespace walks through it
        (self.folder / "rootfs").mkdir()
        self._write_bundle()
        command = [self.runtime, "--root", str(self.folder / "state"), "run",
                   "--bundle", str(self.folder), "atoll-bench-{}"]
        # A mount namespace of its own around all runs: the root file system appears in the bundle,
        # because the way to the real one may be closed to the mapped ids; and crun refuses a hybrid
        # host unless the v2 mount is out of its sight.
        script = [f"mount --bind '{rootfs}' '{self.folder}/rootfs'", 'exec "$@"']
        if UNIFIED.is_mount():
            script.insert(1, f"umount {UNIFIED}")
        head = ["unshare", "--mount", "sh", "-c", " && ".join(script), "sh", str(tools / "spawn")]
        self.contenders = [Contender("oci", f"{self.runtime} run", head, ["--", *command], 0.5)]

    def _write_bundle(self):
        subprocess.run([self.runtime, "spec"], cwd=self.folder, check=True)
        path = self.folder / "config.json"
        spec = json.loads(path.read_text())
        spec["process"].update({"terminal": False, "args": ["/bin/true"]})
        spec["root"]["path"] = "rootfs"
        # Atoll shows no sysfs either.
        spec["mounts"] = [m for m in spec["mounts"] if not m["destination"].startswith("/sys")]
        linux = spec["linux"]
        linux["namespaces"] += [{"type": "cgroup"}, {"type": "user"}]
        mapping = [{"containerID": 0, "hostID": 1000000, "size": 65536}]
        linux.update({"uidMappings": mapping, "gidMappings": mapping,
                      "resources": {"memory": {"limit": 536870912}, "pids": {"limit": 256},
                                    "cpu": {"quota": 100000, "period": 100000}}})
        path.write_text(json.dumps(spec))

    def close(self):
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)


class Docker:
    """Docker on the engine that is up, else on a private one: `docker run`, and in a container that
    is there already `docker exec` and the same by the Engine API."""

    NAMES = {"docker": "docker run --rm --network none", "docker-exec": "docker exec",
             "engine-exec": "Engine API: exec create, start, inspect"}

    def __init__(self, tools, rootfs, wanted):
        self.folder = None
        self.daemon = None
        self.container = ""
        self.imported = False
        self.client = ["docker"]
        self.socket = pathlib.Path(os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
                                   .removeprefix("unix://"))
        self.cgroups_before = self._cgroups()
        absent = self._prepare(rootfs) or self._start_container()
        spawn = [str(tools / "spawn")]
        heads = {
            "docker": (spawn, ["--", *self.client, "run", "--rm", "--network", "none",
                               DOCKER_IMAGE, "/bin/true"], absent),
            "docker-exec": (spawn, ["--", *self.client, "exec", self.container, "/bin/true"],
                            absent),
            "engine-exec": ([sys.executable, str(ENGINE), "--socket", str(self.socket),
                             "--container", self.container], [],
                            absent or ("" if self.socket.is_socket() else
                                       f"no engine at the socket {self.socket}")),
        }
        self.contenders = [Contender(name, title, *heads[name][:2], 0.1, absent=heads[name][2])
                           for name, title in self.NAMES.items() if name in wanted]

    @staticmethod
    def _cgroups():
        return set(pathlib.Path("/sys/fs/cgroup").glob("*/docker")) | set(
            pathlib.Path("/sys/fs/cgroup").glob("docker"))

    def _answers(self):
        return subprocess.run([*self.client, "version"], capture_output=True,
                              check=False).returncode == 0

    def _prepare(self, rootfs):
        """Empty when `docker run` works now, else why not."""
        if not shutil.which("docker"):
            return f"docker is not installed ({DOCKER_HINT})"
        if not self._answers():
            absent = self._start_engine()
            if absent:
                return absent
        tar = subprocess.Popen(["tar", "-C", rootfs, "--numeric-owner", "-c", "."],
                               stdout=subprocess.PIPE)
        load = subprocess.run([*self.client, "import", "-", DOCKER_IMAGE], stdin=tar.stdout,
                              capture_output=True, text=True, check=False)
        tar.stdout.close()
        if tar.wait() or load.returncode:
            return f"docker import failed: {load.stderr.strip()[-200:]}"
        self.imported = True
        return ""

    def _start_engine(self):
        if not shutil.which("dockerd"):
            return f"no engine is up and dockerd is not installed ({DOCKER_HINT})"
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="atoll-docker.", dir="/var/tmp"))
        self.socket = self.folder / "docker.sock"
        address = f"unix://{self.socket}"
        self.client = ["docker", "-H", address]
        log = self.folder / "log"
        with open(log, "wb") as output:
            self.daemon = subprocess.Popen(
                ["dockerd", "-H", address, "--data-root", self.folder / "data",
                 "--exec-root", self.folder / "exec", "--pidfile", self.folder / "pid",
                 "--iptables=false", "--ip6tables=false", "--bridge=none"],
                stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.daemon.poll() is None:
            if self._answers():
                return ""
            time.sleep(0.1)
        lines = log.read_text(errors="replace").splitlines()
        return "a private dockerd does not start here: " + (lines[-1] if lines else "no output")

    def _start_container(self):
        """Empty when a container sleeps from now on, else why not."""
        done = subprocess.run([*self.client, "run", "--detach", "--network", "none", DOCKER_IMAGE,
                               "sleep", "1000000"], capture_output=True, text=True, check=False)
        self.container = done.stdout.strip()
        return f"docker run failed: {done.stderr.strip()[-200:]}" if done.returncode else ""

    def close(self):
        if self.container:
            subprocess.run([*self.client, "rm", "--force", self.container], capture_output=True,
                           check=False)
        if self.imported:
            subprocess.run([*self.client, "rmi", DOCKER_IMAGE], capture_output=True, check=False)
        if self.daemon and self.daemon.poll() is None:
            self.daemon.send_signal(signal.SIGTERM)
            try:
                self.daemon.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(self.daemon.pid, signal.SIGKILL)
                self.daemon.wait()
        if self.folder:
            for line in reversed(open("/proc/self/mountinfo").readlines()):
                target = line.split()[4]
                if target.startswith(f"{self.folder}/"):
                    subprocess.run(["umount", target], check=False)
            shutil.rmtree(self.folder, ignore_errors=True)
            for left in self._cgroups() - self.cgroups_before:
                try:
                    left.rmdir()
                except OSError:
                    pass


def load(tools, stack, name, title, arguments, weight=1.0, parallel=(1, 8, 32), token=None):
    """bench/load with `arguments`, for the token's tenant."""
    return Contender(name, title, [str(tools / "load"), "--addr", stack.address, "--token",
                                   token or stack.token, *arguments], [], weight, parallel)


def atoll(tools, stack, name, title, runtime, code, weight, token=None):
    """create, execute, delete over HTTP, for the token's tenant."""
    body = json.dumps({"runtime": runtime, "code": code})
    return load(tools, stack, name, title, ["--cycle", body], weight, token=token)


class AtollExec:
    """A command in containers that run already, over HTTP and recorded. The parallel requests share
    the containers evenly."""

    CONTAINERS = 8

    def __init__(self, tools, stack, commands):
        """commands: (name, title, command, weight, parallel) each."""
        self.stack = stack
        self.sandboxes = []
        self.contenders = []
        for _ in range(self.CONTAINERS):
            self.sandboxes.append(stack.container())
        shared = [part for sandbox in self.sandboxes for part in ("--sandbox", sandbox)]
        for name, title, command, weight, parallel in commands:
            body = json.dumps({"command": command})
            self.contenders.append(load(tools, stack, name, title, [*shared, "--exec", body],
                                        weight, parallel))

    def close(self):
        for sandbox in self.sandboxes:
            self.stack.request("DELETE", f"/v1/sandboxes/{sandbox}", timeout=120)
