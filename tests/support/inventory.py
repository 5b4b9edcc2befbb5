"""What a stack has on the host right now, found by scanning, as the product's own sweep does."""

import contextlib
import os
import re
from pathlib import Path

CGROUP_ROOT = Path("/sys/fs/cgroup")
SANDBOX_NAME = re.compile(r"^([0-9a-f]{32})\.(\d+)$")
READY_NAME = re.compile(r"^ready\.(\d+)\.\d+$")
NAMESPACE_KINDS = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")
NAMESPACE_LINK = re.compile(rf"^({'|'.join(NAMESPACE_KINDS)}):\[\d+\]$")


def cgroups(ids):
    """Control groups, on every hierarchy, of the sandboxes with these ids."""
    found = []
    for parent, names, _ in os.walk(CGROUP_ROOT):
        for name in names:
            match = SANDBOX_NAME.match(name)
            if match and match.group(1) in ids:
                found.append(os.path.join(parent, name))
    return sorted(found)


def ready_cgroups(uid_first, uid_count, hierarchy=""):
    """Control groups of ready sandboxes with these host uids, on one hierarchy or on all."""
    found = []
    for parent, names, _ in os.walk(CGROUP_ROOT / hierarchy):
        for name in names:
            match = READY_NAME.match(name)
            if match and 0 <= int(match.group(1)) - uid_first < uid_count:
                found.append(os.path.join(parent, name))
    return sorted(found)


def mounts(*folders):
    """Mount points of the host's mount namespace below these folders."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return sorted(
        point for point in points if any(point.startswith(f"{folder}/") for folder in folders)
    )


def sandbox_folders(run_dir):
    """Names of the run folders of sandboxes. A ready one is nobody's."""
    folder = Path(run_dir) / "sandboxes"
    if not folder.exists():
        return []
    return sorted(entry.name for entry in folder.iterdir() if not READY_NAME.match(entry.name))


def of_process(pid, name):
    """The text of /proc/<pid>/<name>; empty when the process is gone."""
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except OSError:
        return ""


def is_ready(pid):
    """True for a process of the sandbox that a live launcher keeps ready for a create to come, from
    its clone on: it is nobody's, and the launcher's own child until it is."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        parent = re.search(r"^PPid:\s+(\d+)", status, re.M).group(1)
        name, above = (Path(f"/proc/{entry}/comm").read_text().strip() for entry in (pid, parent))
        groups = Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return False
    if above != "atoll-launcher":
        return False
    return "/atoll/ready." in groups or (name == above and "/atoll/" not in groups)


def ready(launcher_pid):
    """The processes of ready sandboxes of a launcher: none on cgroups v2."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{entry}/status").read_text()
            if f"\nPPid:\t{launcher_pid}\n" in status and is_ready(entry):
                found.append(int(entry))
    return found


def processes(uid_first, uid_count):
    """{pid: uid} of all live processes of sandboxes, whose real uids lie in a range of host uids."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            status = Path(f"/proc/{entry}/status").read_text()
        except OSError:
            continue
        if "\nState:\tZ" in status:
            continue
        uid = int(re.search(r"^Uid:\s+(\d+)", status, re.M).group(1))
        if uid_first <= uid < uid_first + uid_count and not is_ready(entry):
            found[int(entry)] = uid
    return found


def namespaces(pids):
    """Every namespace that one of these processes is in, or holds by a descriptor."""
    found = set()
    for pid in pids:
        links = [f"/proc/{pid}/ns/{kind}" for kind in NAMESPACE_KINDS]
        with contextlib.suppress(OSError):
            links += [f"/proc/{pid}/fd/{fd}" for fd in os.listdir(f"/proc/{pid}/fd")]
        for link in links:
            with contextlib.suppress(OSError):
                if NAMESPACE_LINK.match(target := os.readlink(link)):
                    found.add(target)
    return found
