"""Sandboxes do not meet each other, nor the host: canaries of both, and attempts to reach them."""

import concurrent.futures
import contextlib
import json
import os
import socket
import subprocess
import sys

import pytest

from support import inventory
from support.wait import eventually

CANARY = "atoll-canary"

# Opens everything that might be shared by mistake, the abstract socket last: the test waits for
# that one. Then stays until it is deleted.
OWNER = """
import ctypes, fcntl, os, socket, signal
libc = ctypes.CDLL(None, use_errno=True)
listener = socket.create_server(("127.0.0.1", 7777))
open("/dev/shm/CANARY", "w").write("secret")
open("/tmp/CANARY", "w").write("secret")
segment = libc.shmget(0x41544f4c, 4096, 0o1666)
semaphores = libc.semget(0x41544f4c, 1, 0o1666)
queue = libc.msgget(0x41544f4c, 0o1666)
posix_queue = libc.mq_open(b"/CANARY", os.O_CREAT | os.O_RDWR, 0o666, None)
lock = open("/etc/passwd")
fcntl.flock(lock, fcntl.LOCK_EX)
assert min(segment, semaphores, queue, posix_queue) >= 0, (segment, semaphores, queue, posix_queue)
abstract = socket.socket(socket.AF_UNIX)
abstract.bind("\\0CANARY")
abstract.listen()
print("ready", flush=True)
signal.pause()
"""

# The same things looked for: {name: found}.
SEEKER = """
import ctypes, fcntl, json, os, socket
libc = ctypes.CDLL(None, use_errno=True)

def connects(family, address):
    probe = socket.socket(family)
    probe.settimeout(2)
    try:
        probe.connect(address)
        return True
    except OSError:
        return False

def locks():
    try:
        fcntl.flock(open("/etc/passwd"), fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except OSError:
        return False

print(json.dumps({
    "abstract": connects(socket.AF_UNIX, "\\0CANARY"),
    "tcp": connects(socket.AF_INET, ("127.0.0.1", 7777)),
    "dev_shm": os.path.exists("/dev/shm/CANARY"),
    "tmp": os.path.exists("/tmp/CANARY"),
    "shm": libc.shmget(0x41544f4c, 0, 0) >= 0,
    "sem": libc.semget(0x41544f4c, 0, 0) >= 0,
    "msg": libc.msgget(0x41544f4c, 0) >= 0,
    "mq": libc.mq_open(b"/CANARY", os.O_RDONLY) >= 0,
    "flock": not locks(),
}))
"""


def script(text):
    return text.replace("CANARY", CANARY)


def holds_canary(stack):
    """Whether a sandbox has bound the abstract socket, the last of what it takes."""
    return any(
        CANARY in inventory.of_process(pid, "net/unix") for pid in stack.sandbox_processes()
    )


@pytest.fixture
def sibling(stack, other):
    """A live sandbox of the other tenant that holds every canary."""
    sandbox_id = other.create("python", script(OWNER), timeout_ms=90000)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        run = pool.submit(other.try_execute, sandbox_id)

        def is_ready():
            assert not run.done(), run.result()
            return holds_canary(stack)

        eventually(is_ready, 30, "the sibling holds its canaries")
        yield sandbox_id
        other.delete(sandbox_id)
        run.result(timeout=30)


def test_a_sibling_is_not_there(client, sibling):
    found = json.loads(client.run("python", script(SEEKER))["stdout"])
    assert {name for name, there in found.items() if there} == set()


def test_the_seeker_finds_what_is_in_its_own_sandbox(client):
    """The control: owner and seeker in one sandbox."""
    files = [{"path": "owner.py", "content": script(OWNER)}]
    code = (
        "import subprocess, sys\n"
        "owner = subprocess.Popen([sys.executable, 'owner.py'], stdout=subprocess.PIPE)\n"
        "assert owner.stdout.readline() == b'ready\\n'\n" + script(SEEKER) + "\nowner.kill()\n"
    )
    found = json.loads(client.run("python", code, files=files)["stdout"])
    assert {name for name, there in found.items() if not there} == set()


# Takes all it gets of what the kernel counts by user, or for the whole host, and tells how much of
# each that was.
GREEDY = """
import ctypes, itertools, json, os, resource
libc = ctypes.CDLL(None, use_errno=True)
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
names = (b"/greedy%d" % number for number in itertools.count(os.getpid() << 32))
def queue():
    name = next(names)
    made = libc.mq_open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600, None)
    libc.mq_unlink(name)  # gone with its descriptor
    return made
kinds = {
    "terminals": lambda: libc.open(b"/dev/ptmx", os.O_RDWR | os.O_NOCTTY),
    "inotify": lambda: libc.inotify_init(),
    "queues": queue,
    "timers": lambda: libc.timer_create(0, None, ctypes.byref(ctypes.c_void_p())),
}
taken = dict.fromkeys(kinds, 0)
for kind, take in kinds.items():
    while taken[kind] < MOST and take() >= 0:
        taken[kind] += 1
print(json.dumps(taken), flush=True)
"""


HELD = """
import signal, socket
held = socket.socket(socket.AF_UNIX)
held.bind("\\0CANARY")
signal.pause()
"""


def taken_by(run):
    """What a run of GREEDY has got of each."""
    return json.loads(run["stdout"])


def test_what_one_uses_up_the_others_and_the_host_still_have(client, other, stack, pool):
    few = GREEDY.replace("MOST", "8")
    all_there_is = GREEDY.replace("MOST", "1 << 20")
    wanted = dict.fromkeys(("terminals", "inotify", "queues", "timers"), 8)
    most = taken_by(other.run("python", all_there_is, timeout_ms=90000, memory_limit_mb=1024))
    assert all(8 < number < 1 << 20 for number in most.values()), most
    sandbox_id = other.create(
        "python", all_there_is + script(HELD), timeout_ms=90000, memory_limit_mb=1024
    )
    run = pool.submit(other.try_execute, sandbox_id)
    eventually(lambda: run.done() or holds_canary(stack), 60, "all is taken")
    assert taken_by(client.run("python", few)) == wanted
    host = subprocess.run([sys.executable, "-c", few], stdout=subprocess.PIPE, check=True)
    assert json.loads(host.stdout) == wanted
    assert not run.done()
    assert other.delete(sandbox_id).status == 200
    run.result(timeout=30)


def host_addresses():
    output = subprocess.run(["hostname", "-I"], stdout=subprocess.PIPE, text=True).stdout.split()
    return ["127.0.0.1", *output]


def test_the_hosts_sockets_are_not_there(client, stack):
    name = f"\0atoll-host-{os.getpid()}"
    with contextlib.ExitStack() as canaries:
        abstract = canaries.enter_context(socket.socket(socket.AF_UNIX))
        abstract.bind(name)
        abstract.listen()
        listener = canaries.enter_context(
            socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        )
        port = listener.getsockname()[1]
        targets = [[address, port] for address in host_addresses()]
        for target in targets:
            socket.create_connection(target[:2], timeout=5).close()
        canaries.enter_context(socket.socket(socket.AF_UNIX)).connect(name)
        server_port = int(stack.address.rsplit(":", 1)[1])
        targets += [
            ["127.0.0.1", server_port], ["169.254.169.254", 80], ["169.254.170.2", 80],
            ["10.0.0.1", 80], ["172.17.0.1", port], ["192.168.0.1", 80], ["1.1.1.1", 53],
            ["0.0.0.0", port], ["::1", port], ["fd00:ec2::254", 80], ["::ffff:127.0.0.1", port],
        ]
        code = f"""
import socket
for target in {targets!r}:
    try:
        socket.create_connection(tuple(target), timeout=2)
        print("reached", target)
    except OSError:
        pass
try:
    socket.socket(socket.AF_UNIX).connect({name!r})
    print("reached the abstract socket")
except OSError:
    pass
print("tried", len({targets!r}))
"""
        result = client.run("python", code, timeout_ms=60000)
    assert result["stdout"] == f"tried {len(targets)}\n", result


@pytest.mark.parametrize(
    "path",
    ["/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock",
     "/run/dbus/system_bus_socket", "/run/systemd/private", "{run_dir}/launcher.sock", "{run_dir}",
     "{state_dir}", "{pg}", "/work", "/root/.ssh", "/etc/atoll"],
)
def test_no_socket_or_folder_of_the_host(client, stack, path):
    path = path.format(
        run_dir=stack.run_dir, state_dir=stack.state_dir, pg=stack.postgres.socket_dir
    )
    code = f"import os; print(os.path.lexists({path!r}))"
    if path == "/root/.ssh":
        code = f"import os; print(os.access({path!r}, os.F_OK))"
    assert client.run("python", code)["stdout"] == "False\n"


def test_files_of_the_image_stay_as_they_are(client):
    """Changes go to the sandbox's own layer: the next sandbox sees the image untouched."""
    look = "find /home /tmp /var/tmp /sandbox | sort; cat /home/user/.profile 2>/dev/null"
    before = client.run("shell", look)["stdout"]
    changed = client.run(
        "shell", f"echo mark >> /home/user/.profile; touch /tmp/x /home/user/x; {look}"
    )["stdout"]
    assert "mark" in changed and "/tmp/x" in changed
    assert client.run("shell", look)["stdout"] == before


def test_the_system_of_the_image_is_not_the_users_to_write(client):
    code = """
import os
for path in ("/", "/etc", "/usr", "/usr/bin", "/bin", "/etc/passwd", "/usr/bin/python3", "/lib"):
    print(path, os.access(path, os.W_OK))
"""
    assert "True" not in client.run("python", code)["stdout"]


def test_no_secret_of_the_service_is_inside(client, stack):
    key = stack.key.decode()
    code = (
        f"grep -rl '{key[:20]}[0-9a-f]' /proc/*/environ /proc/*/cmdline /etc /home /run /tmp /opt "
        "2>/dev/null; echo searched"
    )
    assert client.run("shell", code)["stdout"] == "searched\n"
