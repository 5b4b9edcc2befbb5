"""What /proc says about processes. A process may end between two reads: then it is left out."""
import os
import pathlib
import re

PROC = pathlib.Path("/proc")


def read(pid, name):
    """The text of /proc/PID/NAME, or "" when the process is gone."""
    try:
        return (PROC / str(pid) / name).read_text(errors="replace")
    except OSError:
        return ""


def pids():
    return [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]


def field(pid, name, key):
    """A number such as VmRSS of `status` or Pss of `smaps_rollup`; 0 when it is not there."""
    match = re.search(rf"^{key}:\s+(\d+)", read(pid, name), re.MULTILINE)
    return int(match.group(1)) if match else 0


def pss_kb(pid):
    return field(pid, "smaps_rollup", "Pss")


def parent(pid):
    return field(pid, "status", "PPid")


def command(pid):
    return read(pid, "comm").strip()


def innermost_pid(pid):
    """The process's number in its own pid namespace."""
    match = re.search(r"^NSpid:\s+(.*)$", read(pid, "status"), re.MULTILINE)
    return int(match.group(1).split()[-1]) if match else 0


def descriptors(pid):
    try:
        return len(os.listdir(PROC / str(pid) / "fd"))
    except OSError:
        return 0


def namespaces(pid):
    """The process's namespaces as ("net", inode) pairs."""
    found = set()
    try:
        for name in os.listdir(PROC / str(pid) / "ns"):
            found.add((name, os.readlink(PROC / str(pid) / "ns" / name)))
    except OSError:
        pass
    return found


def descendants(root):
    """`root` and everything that descends from it."""
    children = {}
    for pid in pids():
        children.setdefault(parent(pid), []).append(pid)
    found, queue = [], [root]
    while queue:
        pid = queue.pop()
        found.append(pid)
        queue.extend(children.get(pid, []))
    return found
