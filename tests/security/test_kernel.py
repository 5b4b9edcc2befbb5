"""What code in a sandbox may ask of the kernel, and what it sees; the host is the control."""

import hashlib
import subprocess

import pytest

from support import probes
from support.stack import UIDS_PER_SANDBOX, binary

DENIED = {
    "EPERM": [
        "mount", "umount2", "pivot_root", "chroot", "unshare", "setns", "ptrace",
        "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp", "bpf", "perf_event_open",
        "open_by_handle_at", "init_module", "finit_module", "delete_module", "kexec_load",
        "kexec_file_load", "quotactl", "syslog", "settimeofday", "clock_settime", "mknodat",
        "mknod",
        "CLONE_NEWUSER", "CLONE_NEWNS", "CLONE_NEWPID", "CLONE_NEWNET", "CLONE_NEWIPC",
        "CLONE_NEWUTS", "CLONE_NEWCGROUP", "TIOCSTI", "TIOCLINUX", "TIOCSTI with high bits",
        "TIOCLINUX with high bits", "SO_ATTACH_FILTER", "SO_ATTACH_BPF", "SO_ATTACH_REUSEPORT_CBPF",
        "SO_ATTACH_REUSEPORT_EBPF",
    ],
    "ENOSYS": [
        "clone3", "io_uring_setup", "io_uring_enter", "io_uring_register", "keyctl", "add_key",
        "request_key", "userfaultfd", "open_tree", "move_mount", "fsopen", "fsconfig", "fsmount",
        "fspick", "mount_setattr", "vmsplice", "memfd_secret", "name_to_handle_at", "modify_ldt",
        "io_setup",
    ],
    "either": [
        "swapon", "swapoff", "reboot", "sethostname", "setdomainname", "acct", "iopl",
    ],
}
CASES = [(name, verdict) for verdict, names in DENIED.items() for name in names]
# Not compiled into every kernel: there the control has nothing to show.
OPTIONAL = {
    "kexec_load", "kexec_file_load", "memfd_secret", "userfaultfd", "acct", "init_module",
    "finit_module", "delete_module", "quotactl", "io_uring_setup", "io_uring_enter",
    "io_uring_register", "kcmp", "bpf", "keyctl", "add_key", "request_key", "modify_ldt", "iopl",
    "swapon", "swapoff", "open_by_handle_at", "io_setup",
}
ALLOWED_FAMILIES = [1, 2, 10, 16]
SAFE_DEVICES = {
    ("c", 1, 3), ("c", 1, 5), ("c", 1, 7), ("c", 1, 8), ("c", 1, 9), ("c", 5, 0), ("c", 5, 2),
}
PTS_MAJOR = 136


@pytest.fixture(scope="module")
def inside(stack):
    return probes.run_inside(stack.client(), "syscalls")


@pytest.fixture(scope="module")
def outside():
    return probes.run_on_host("syscalls")


@pytest.fixture(scope="module")
def seen(stack):
    return probes.run_inside(stack.client(), "surroundings")


@pytest.fixture(scope="module")
def host():
    return probes.run_on_host("surroundings")


@pytest.mark.parametrize("name, verdict", CASES)
def test_system_call_is_denied(inside, outside, name, verdict):
    expected = ("EPERM", "ENOSYS") if verdict == "either" else (verdict,)
    assert inside[name] in expected
    if name not in OPTIONAL or outside[name] != "ENOSYS":
        assert outside[name] not in expected, "the control was denied too: it proves nothing"


def test_a_plain_clone_is_allowed(inside):
    assert inside["clone"] == "ok"


def test_only_four_socket_families(inside, outside):
    assert inside["families"] == ALLOWED_FAMILIES
    assert set(outside["families"]) > set(ALLOWED_FAMILIES)


def test_only_route_netlink(inside, outside):
    assert inside["netlink"] == [0]
    assert len(outside["netlink"]) > 1


def test_no_raw_sockets(inside, outside):
    assert inside["raw_ip"] in ("EPERM", "EACCES")
    assert outside["raw_ip"] == "ok"


def test_native_calls_of_the_abi_probe_work(client):
    result = client.run("shell", "./abi native", files=[probes.as_file("foreign_abi", "abi")])
    assert result["exit_code"] == 0, result


@pytest.mark.parametrize("abi", ["x32", "i386"])
def test_foreign_abis_are_killed(client, abi):
    code = f"exec ./abi {abi}"
    result = client.run("shell", code, files=[probes.as_file("foreign_abi", "abi")])
    assert result["signal"] == "SIGSYS", result
    assert result["stdout"] == ""


def test_namespaces_are_its_own(seen, host, client):
    sibling = probes.run_inside(client, "surroundings")
    for kind, name in seen["namespaces"].items():
        assert name != host["namespaces"][kind], kind


def test_ids_are_mapped_64k_wide_above_the_hosts(seen, stack):
    for table in ("uid_map", "gid_map"):
        inner, outer, count = map(int, seen[table])
        assert (inner, count) == (0, UIDS_PER_SANDBOX)
        assert outer >= stack.uid_base
        assert (outer - stack.uid_base) % UIDS_PER_SANDBOX == 0


def test_no_capability_in_any_set(seen, host):
    assert set(seen["capabilities"].values()) == {0}
    assert host["capabilities"]["CapEff"] != 0


def test_no_new_privs_and_a_filter(seen, host):
    assert (seen["no_new_privs"], seen["seccomp"]) == ("1", "2")
    assert host["no_new_privs"] == "0"


def test_no_groups_of_the_host(seen):
    assert set(seen["groups"]) <= {1000}


def test_only_three_descriptors_and_the_cwd_inside(seen):
    assert seen["fds"] == [0, 1, 2]
    assert seen["cwd"] == "/sandbox"


def test_the_agent_is_out_of_reach(seen):
    def reached(process):
        return {entry for entry, result in seen[process].items() if result == "ok"}

    assert reached("agent") == set()
    assert reached("self") >= {"environ", "maps", "fd", "exe", "root", "cwd"}


def test_masked_files_hold_nothing(seen, host):
    assert {name: size for name, size in seen["masked"].items() if size} == {}
    assert host["masked"]["kallsyms"] and host["masked"]["interrupts"]


def test_no_writable_kernel_file(seen, host):
    assert seen["writable"] == []
    assert len(host["writable"]) > 50


def test_no_sysfs_and_no_cgroupfs(seen, host):
    assert (seen["sys"], seen["cgroupfs"], seen["dmi"]) == (0, 0, 0)
    assert host["sys"] and host["cgroupfs"]


def test_no_path_of_the_host_shows(seen, stack):
    for name in ("mountinfo", "mounts", "cgroup"):
        for word in (str(stack.folder), str(stack.images), "/tmp/at-", "/atoll"):
            assert word not in seen[name], (name, word)


def test_writable_mounts_are_nosuid_and_nodev(seen):
    for line in seen["mounts"].splitlines():
        _, point, kind, text, *_ = line.split()
        options = set(text.split(","))
        if "rw" in options:
            assert "nosuid" in options, line
            assert "nodev" in options or kind == "devpts", line


def test_no_process_of_the_host_shows(seen, host):
    assert seen["pids"][0] == 1
    assert len(seen["pids"]) <= 3
    assert len(host["pids"]) > 10


def test_devices_are_the_harmless_ones(seen):
    for path, (kind, major, minor) in seen["devices"].items():
        assert (kind, major, minor) in SAFE_DEVICES or major == PTS_MAJOR, path
    assert seen["devices"]["/dev/null"] == ["c", 1, 3]


def test_only_loopback_and_another_host_name(seen, host):
    assert seen["interfaces"] == ["lo"]
    assert seen["hostname"] != host["hostname"]


def test_resource_limits(seen):
    assert seen["limits"]["CORE"] == [0, 0]
    assert seen["limits"]["NOFILE"] == [1024, 4096]
    assert max(seen["limits"]["MEMLOCK"]) <= 64 << 10


def test_a_crash_leaves_no_core(client, stack):
    result = client.run("shell", "ulimit -c unlimited 2>/dev/null; cd /tmp; python3 -c "
                        "'import os; os.abort()'; ls /tmp /sandbox | grep -c core")
    assert result["stdout"].strip() == "0"
    stack.assert_clean()


@pytest.mark.parametrize("path", ["/proc/1/exe", "/proc/self/exe", "/proc/1/fd/3", "/proc/1/mem"])
def test_the_agent_file_cannot_be_written(client, path):
    """runc's CVE-2019-5736: the runtime's own binary, overwritten through /proc."""
    agent = binary("atoll-agent")
    before = hashlib.sha256(agent.read_bytes()).hexdigest()
    code = f"""
import os
for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC):
    try:
        os.write(os.open({path!r}, flags), b'#!/bin/sh\\ntouch /tmp/escaped\\n')
        print('written')
    except OSError as error:
        print(error.errno)
"""
    assert "written" not in client.run("python", code)["stdout"]
    assert hashlib.sha256(agent.read_bytes()).hexdigest() == before


def test_a_script_interpreted_by_proc_self_exe(client):
    agent = binary("atoll-agent")
    before = hashlib.sha256(agent.read_bytes()).hexdigest()
    result = client.run("shell", "#!/proc/self/exe\n")
    assert result["success"] is False
    assert hashlib.sha256(agent.read_bytes()).hexdigest() == before
    assert client.run("shell", "echo fine")["stdout"] == "fine\n"


def test_own_setuid_files_gain_nothing(client):
    code = "cp /usr/bin/id /tmp/id && chmod 6755 /tmp/id && /tmp/id -u && id -u"
    assert client.run("shell", code)["stdout"] == "1000\n1000\n"


def test_no_way_to_become_root(client):
    code = (
        "for f in $(find / -xdev -perm /6000 -type f 2>/dev/null); do "
        "timeout 2 $f -c id </dev/null 2>/dev/null | grep -q 'uid=0' && echo $f; done; echo looked"
    )
    assert client.run("shell", code, timeout_ms=85000)["stdout"] == "looked\n"


def test_the_kernel_log_is_closed(client):
    control = subprocess.run(["dmesg"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert control.stdout, "dmesg works on the host"
    code = "dmesg 2>&1 | grep -c Linux; cat /dev/kmsg /proc/kmsg 2>/dev/null | wc -c"
    assert client.run("shell", code)["stdout"] == "0\n0\n"
