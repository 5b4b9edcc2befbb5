"""Bombs: each is contained by the limits, others work meanwhile, nothing is left after it."""

import concurrent.futures
from pathlib import Path

import pytest

from support import inventory
from support.wait import eventually

MEMORY_MB = 128

# name: (runtime, code). Each would take a host down that let it.
BOMBS = {
    "forks": ("python", """
import os
while True:
    try:
        os.fork()
    except OSError:
        pass
"""),
    "shell forks": ("python", """
import subprocess
while True:
    try:
        subprocess.run(["sh", "-c", "f() { f | f & }; f"], stderr=subprocess.DEVNULL)
    except OSError:
        pass
"""),
    "threads": ("python", """
import threading
wait = threading.Event().wait
while True:
    try:
        threading.Thread(target=wait, daemon=True).start()
    except RuntimeError:
        pass
"""),
    "heap": ("python", "blocks = []\nwhile True: blocks.append(b'x' * (1 << 20))"),
    "memfd": ("python", """
import os
files = []
while True:
    files.append(os.memfd_create("bomb"))
    os.write(files[-1], b"x" * (1 << 20))
"""),
    "files in /tmp": ("shell", "while :; do head -c 1000000 /dev/zero >> /tmp/bomb || true; done"),
    "files in /sandbox": ("shell", "while :; do head -c 1000000 /dev/zero >> bomb || true; done"),
    "files in /dev/shm": ("shell", "while :; do head -c 1000000 /dev/zero >> /dev/shm/b; done"),
    "fallocate": ("python", """
import itertools, os
for n in itertools.count():
    try:
        os.posix_fallocate(os.open(f"/tmp/f{n % 900}", os.O_CREAT | os.O_WRONLY), 0, 1 << 30)
    except OSError:
        pass
"""),
    "pipes": ("python", """
import fcntl, os
while True:
    try:
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        os.write(writer, b"x" * 65536)
    except OSError:
        if os.fork():
            os.wait()
"""),
    "socket buffers": ("python", """
import os, socket
kept = []
while True:
    try:
        pair = socket.socketpair()
        pair[0].setblocking(False)
        kept.append(pair)
        while True:
            pair[0].send(b"x" * 65536)
    except OSError:
        if len(kept) > 400 and os.fork():
            os.wait()
"""),
    "inodes": ("python", """
import os
n = 0
while True:
    try:
        os.close(os.open(f"/tmp/i{n}", os.O_CREAT))
        n += 1
    except OSError:
        pass
"""),
    "deep tree": ("python", """
import os
os.chdir("/tmp")
try:
    for _ in range(100000):
        os.mkdir("d")
        os.chdir("d")
except OSError:
    pass
while True:
    pass
"""),
    "descriptors": ("python", """
import os
while True:
    try:
        os.open("/dev/null", os.O_RDONLY)
    except OSError:
        pass
"""),
    "output": ("shell", "yes"),
    "output on both streams": ("shell", "yes >&2 & yes"),
    "spin": ("python", "while True: pass"),
    "daemons that ignore signals": ("python", """
import os, signal, sys
for number in range(1, 32):
    try:
        signal.signal(number, signal.SIG_IGN)
    except OSError:
        pass
for _ in range(20):
    if os.fork() == 0:
        os.setsid()
        if os.fork() != 0:
            os._exit(0)
        os.setsid()
        sys.stdout.close()
        break
while True:
    signal.sigtimedwait([], 1)
"""),
    # Not one of them dies by itself, each wants memory of its own, and no death is told to a parent.
    "a crowd that ignores signals": ("python", """
import os, signal
for number in range(1, 32):
    try:
        signal.signal(number, signal.SIG_IGN)
    except OSError:
        pass
while True:
    try:
        if os.fork() == 0:
            os.setsid()
    except OSError:
        pass
"""),
    "stopped processes": ("python", """
import os, signal
for _ in range(20):
    if os.fork() == 0:
        os.kill(os.getpid(), signal.SIGSTOP)
os.kill(os.getpid(), signal.SIGSTOP)
"""),
    "a killer of all it may kill": ("python", """
import os, signal
while True:
    try:
        os.kill(-1, signal.SIGKILL)
    except OSError:
        pass
"""),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bomb(client, other, stack, name):
    runtime, code = BOMBS[name]
    sandbox_id = client.create(runtime, code, timeout_ms=2500, memory_limit_mb=MEMORY_MB)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        bomb = pool.submit(client.try_execute, sandbox_id)
        eventually(lambda: bomb.done() or client.info(sandbox_id)["status"] == "Running")
        assert other.run("shell", "echo neighbour")["stdout"] == "neighbour\n"
        response = bomb.result(timeout=60)
    assert response.status == 200, response
    result = response.json
    assert result["success"] is False
    assert result["timed_out"] or result["oom_killed"] or result["signal"] == "SIGKILL", result
    assert client.delete(sandbox_id).status == 200
    stack.assert_clean()


def spend_quota(sandbox_id):
    """Leaves a sandbox a thousandth of its processor time: enough to live, too little to die."""
    written = 0
    for group in map(Path, inventory.cgroups({sandbox_id})):
        if (group / "cpu.max").exists():
            written += (group / "cpu.max").write_text("1000 1000000")
        elif (group / "cpu.cfs_quota_us").exists():
            (group / "cpu.cfs_period_us").write_text("1000000")
            written += (group / "cpu.cfs_quota_us").write_text("1000")
    assert written


def test_a_spent_quota_does_not_keep_a_sandbox_alive(client, stack, pool):
    code = """
import os, signal
for _ in range(200):
    if os.fork() == 0:
        break
signal.pause()
"""
    stack.assert_clean()  # also of what others left
    sandbox_id = client.create("python", code, timeout_ms=60000, memory_limit_mb=1024)
    run = pool.submit(client.try_execute, sandbox_id)
    eventually(lambda: len(stack.sandbox_processes()) >= 200)
    spend_quota(sandbox_id)
    assert client.delete(sandbox_id).status == 200
    assert not stack.leftovers()
    assert run.result(timeout=60).status == 409


def test_processes_are_limited(client):
    code = """
import os
count = 0
try:
    while count < 5000:
        if os.fork() == 0:
            import signal
            signal.pause()
        count += 1
except BlockingIOError:
    print(count)
"""
    result = client.run("python", code, memory_limit_mb=4096, timeout_ms=80000)
    count = int(result["stdout"])
    assert 100 < count < 256


def test_the_disk_is_limited_and_the_program_hears_it(client):
    """Within its memory the layer has its own size limit: the write fails, nobody is killed."""
    code = """
import errno
written = 0
try:
    with open("/tmp/big", "wb", buffering=0) as file:
        while True:
            written += file.write(b"x" * 65536)
except OSError as error:
    print(errno.errorcode[error.errno], written >> 20)
"""
    name, megabytes = client.run("python", code, memory_limit_mb=1024)["stdout"].split()
    assert name in ("ENOSPC", "EDQUOT")
    assert 200 <= int(megabytes) <= 256


def test_swap_is_not_memory(client):
    code = "block = bytearray(300 << 20); print('held')"
    result = client.run("python", code, memory_limit_mb=128)
    assert result["oom_killed"] is True
    assert result["stdout"] == ""


def test_the_processor_is_shared(client, other):
    """Two spinning neighbours, and a third still gets its answer."""
    spinners = [client.create("python", "while True: pass", timeout_ms=3000) for _ in range(4)]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        runs = [pool.submit(client.execute, sandbox_id) for sandbox_id in spinners]
        assert other.run("python", "print(6 * 7)")["stdout"] == "42\n"
        assert all(run.result(timeout=60)["timed_out"] for run in runs)
    for sandbox_id in spinners:
        client.delete(sandbox_id)


def test_an_oom_does_not_end_the_agent(client):
    """The program that asked for too much dies; its shell, in the same sandbox, goes on."""
    code = "python3 -c 'x = bytearray(500 << 20)'; echo \"after $?\""
    result = client.run("shell", code, memory_limit_mb=64)
    assert result["stdout"] == "after 137\n"
    assert result["exit_code"] == 0
