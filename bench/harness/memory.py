"""Idle memory: PSS of what stays for a sandbox whose command sleeps."""
import contextlib
import re
import socket
import statistics
import time

from harness import procfs

DAEMONS = ("atoll-server", "atoll-launcher", "atoll-monitor", "atoll-worker")
START_SECONDS = 60
STARTS_AT_ONCE = 32


@contextlib.contextmanager
def sleeping_sandboxes(stack, count):
    """`count` sandboxes, each in the middle of an execution that sleeps."""
    sandboxes = [stack.create("shell", "exec sleep 1000", timeout_ms=1000000)
                 for _ in range(count)]
    connections = []
    try:
        host, port = stack.address.rsplit(":", 1)
        # A start that would wait longer than 2 s is refused.
        for first in range(0, count, STARTS_AT_ONCE):
            for sandbox in sandboxes[first:first + STARTS_AT_ONCE]:
                connection = socket.create_connection((host, int(port)))
                connections.append(connection)
                connection.sendall(stack.execute_head(sandbox))
            found = wait_for(sandboxes[:first + STARTS_AT_ONCE], connections)
        yield found
    finally:
        for sandbox in sandboxes:
            stack.request("DELETE", f"/sandbox/{sandbox}", timeout=120)
        for connection in connections:
            connection.close()


def processes_of(sandboxes):
    """sandbox id -> host pids, by the cgroup that carries the id."""
    found = {sandbox: [] for sandbox in sandboxes}
    for pid in procfs.pids():
        match = re.search(r"/([0-9a-f]{32})\.\d+", procfs.read(pid, "cgroup"))
        if match and match.group(1) in found:
            found[match.group(1)].append(pid)
    return found


def wait_for(sandboxes, connections):
    """Returns processes_of() once each sandbox runs its sleep."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        found = processes_of(sandboxes)
        if all(any(procfs.command(pid) == "sleep" for pid in pids) for pids in found.values()):
            return found
        time.sleep(0.1)
    asleep = sum(any(procfs.command(pid) == "sleep" for pid in pids) for pids in found.values())
    raise RuntimeError(f"{asleep} of {len(sandboxes)} sandboxes sleep after {START_SECONDS} s; "
                       f"first answer: {first_answer(connections)}")


def first_answer(connections):
    for connection in connections:
        connection.setblocking(False)
        try:
            return connection.recv(400)
        except BlockingIOError:
            continue
    return "none"


def daemon_pss_kb(stack):
    return sum(procfs.pss_kb(pid) for pid in procfs.descendants(stack.process.pid)
               if procfs.command(pid) in DAEMONS)


def measure(stack, count):
    """Medians over `count` sandboxes, in KB. The agent is what Atoll leaves inside; the sleep is
    the user's own; the daemons' growth is what the service itself remembers of a sandbox."""
    before = daemon_pss_kb(stack)
    with sleeping_sandboxes(stack, count) as found:
        agents, users = [], []
        for pids in found.values():
            agents.append(sum(procfs.pss_kb(p) for p in pids if procfs.innermost_pid(p) == 1))
            users.append(sum(procfs.pss_kb(p) for p in pids if procfs.innermost_pid(p) != 1))
        after = daemon_pss_kb(stack)
    return {
        "sandboxes": count,
        "agent_pss_kb": statistics.median(agents),
        "user_process_pss_kb": statistics.median(users),
        "daemons_growth_kb": round(max(after - before, 0) / count, 1),
    }
