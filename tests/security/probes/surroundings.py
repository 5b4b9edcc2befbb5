"""Looks around and prints what it sees as JSON: the same file runs in a sandbox and on the host."""

import json
import os
import resource
import socket
import stat

MASKED = (
    "acpi", "asound", "interrupts", "kcore", "keys", "kallsyms", "kmsg", "latency_stats", "modules",
    "sched_debug", "scsi", "timer_list", "timer_stats",
)
OF_A_PROCESS = (
    "mem", "environ", "maps", "auxv", "root", "cwd", "exe", "fd", "fdinfo", "map_files", "ns",
    "stack", "syscall", "io",
)


def attempt(action, *arguments):
    """"ok", or the name of the error's type and number."""
    try:
        action(*arguments)
        return "ok"
    except OSError as error:
        return os.strerror(error.errno)


def content_size(path):
    """Bytes that can be read, or entries of a folder; 0 when nothing."""
    try:
        if os.path.isdir(path):
            return len(os.listdir(path))
        with open(path, "rb", buffering=0) as file:
            os.set_blocking(file.fileno(), False)
            return len(file.read(4096) or b"")
    except OSError:
        return 0


def touch(process, entry):
    path = f"/proc/{process}/{entry}"
    if entry in ("fd", "fdinfo", "map_files"):
        return attempt(os.listdir, path)
    if entry in ("root", "cwd", "exe"):
        return attempt(os.readlink, path)
    if entry == "ns":
        return attempt(os.readlink, f"{path}/mnt")
    return attempt(lambda: open(path, "rb").read(16))


def may_write(path):
    """True when it opens for writing; a mask that is /dev/null does no harm."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW)
    except OSError:
        return False
    device = os.fstat(fd).st_rdev
    os.close(fd)
    return device != os.makedev(1, 3)


def writable_files(top):
    """Every file below that opens for writing, processes' own folders aside."""
    found = []
    for folder, folders, names in os.walk(top):
        if folder == "/proc":
            folders[:] = [name for name in folders if not name.isdigit()]
        found += [path for name in names if may_write(path := os.path.join(folder, name))]
    return found


def devices():
    found = {}
    for folder, _, names in os.walk("/dev"):
        for name in names:
            path = os.path.join(folder, name)
            mode = os.lstat(path).st_mode
            if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
                number = os.lstat(path).st_rdev
                kind = "b" if stat.S_ISBLK(mode) else "c"
                found[path] = [kind, os.major(number), os.minor(number)]
    return found


def read(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def main():
    # A root of the host would take the kernel's messages away from its log daemon.
    masked = [name for name in MASKED if name != "kmsg" or os.geteuid() != 0]
    inherited = sorted(int(name) for name in os.listdir("/proc/self/fd"))[:-1]
    status = dict(
        line.split(":\t", 1) for line in read("/proc/self/status").splitlines() if ":\t" in line
    )
    kinds = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")
    print(json.dumps({
        "fds": inherited,
        "cwd": os.getcwd(),
        "capabilities": {
            name: int(status[name], 16)
            for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
        },
        "no_new_privs": status["NoNewPrivs"].strip(),
        "seccomp": status["Seccomp"].strip(),
        "groups": os.getgroups(),
        "namespaces": {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in kinds},
        "uid_map": read("/proc/self/uid_map").split(),
        "gid_map": read("/proc/self/gid_map").split(),
        "masked": {name: content_size(f"/proc/{name}") for name in masked},
        "agent": {entry: touch(1, entry) for entry in OF_A_PROCESS},
        "self": {entry: touch("self", entry) for entry in OF_A_PROCESS},
        "writable": writable_files("/proc") + writable_files("/sys"),
        "sys": content_size("/sys"),
        "cgroupfs": content_size("/sys/fs/cgroup"),
        "mountinfo": read("/proc/self/mountinfo"),
        "mounts": read("/proc/self/mounts"),
        "cgroup": read("/proc/self/cgroup"),
        "pids": sorted(int(name) for name in os.listdir("/proc") if name.isdigit()),
        "devices": devices(),
        "hostname": socket.gethostname(),
        "interfaces": [name for _, name in socket.if_nameindex()],
        "dmi": content_size("/sys/class/dmi/id"),
        "limits": {
            name: resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))
            for name in ("CORE", "NOFILE", "MEMLOCK")
        },
    }))


main()
