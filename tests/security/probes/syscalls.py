"""Tries what a sandbox must not do and prints {name: "ok" or the errno's name} as JSON.

Every argument is chosen so that even a root of the host does no harm with it: where the kernel lets
the call through, it fails on its arguments, with another errno than the policy's.
"""

import ctypes
import errno
import json
import os
import signal
import socket

BAD = 1  # a pointer into the first page: EFAULT
MINUS = ctypes.c_long(-1).value

# name: (number on x86_64, arguments)
CALLS = {
    "mount": (165, BAD, BAD, BAD, 0, 0),
    "umount2": (166, BAD, 0),
    "pivot_root": (155, BAD, BAD),
    "chroot": (161, BAD),
    "unshare": (272, 0),
    "setns": (308, MINUS, 0),
    "ptrace": (101, 16, MINUS, 0, 0),
    "process_vm_readv": (310, MINUS, 0, 0, 0, 0, 0),
    "process_vm_writev": (311, MINUS, 0, 0, 0, 0, 0),
    "pidfd_getfd": (438, MINUS, 0, 0),
    "kcmp": (312, MINUS, MINUS, 99, 0, 0),
    "bpf": (321, 999, 0, 0),
    "perf_event_open": (298, BAD, 0, MINUS, MINUS, 0),
    "open_by_handle_at": (304, MINUS, BAD, 0),
    "init_module": (175, BAD, 0, BAD),
    "finit_module": (313, MINUS, BAD, 0),
    "delete_module": (176, BAD, 0),
    "kexec_load": (246, 0, 99, BAD, 0),
    "kexec_file_load": (320, MINUS, MINUS, 0, BAD, 0),
    "quotactl": (179, MINUS, BAD, 0, 0),
    "syslog": (103, 99, 0, 0),
    "settimeofday": (164, BAD, 0),
    "clock_settime": (227, 0, BAD),
    "mknodat": (259, -100, BAD, 0o020666, 0x103),
    "mknod": (133, BAD, 0o060666, 0x800),
    "SO_ATTACH_FILTER": (54, MINUS, 1, 26, BAD, 16),
    "SO_ATTACH_BPF": (54, MINUS, 1, 50, BAD, 4),
    "SO_ATTACH_REUSEPORT_CBPF": (54, MINUS, 1, 51, BAD, 16),
    "SO_ATTACH_REUSEPORT_EBPF": (54, MINUS, 1, 52, BAD, 4),
    "clone3": (435, 0, 0),
    "io_setup": (206, 1, BAD),
    "io_uring_setup": (425, 0, BAD),
    "io_uring_enter": (426, MINUS, 0, 0, 0, 0, 0),
    "io_uring_register": (427, MINUS, 0, 0, 0),
    "keyctl": (250, 9999, 0, 0, 0, 0),
    "add_key": (248, BAD, BAD, 0, 0, 0),
    "request_key": (249, BAD, BAD, 0, 0),
    "userfaultfd": (323, 0x40000000),
    "open_tree": (428, MINUS, BAD, 0),
    "move_mount": (429, MINUS, BAD, MINUS, BAD, 0),
    "fsopen": (430, BAD, 0),
    "fsconfig": (431, MINUS, 0, 0, 0, 0),
    "fsmount": (432, MINUS, 0, 0),
    "fspick": (433, MINUS, BAD, 0),
    "mount_setattr": (442, MINUS, BAD, 0, 0, 0),
    "vmsplice": (278, MINUS, BAD, 1, 0),
    "memfd_secret": (447, 0xFFFF),
    "name_to_handle_at": (303, MINUS, BAD, BAD, BAD, 0),
    "modify_ldt": (154, 0, 0, 0),
    "swapon": (167, BAD, 0),
    "swapoff": (168, BAD),
    "reboot": (169, 0, 0, 0, 0),
    "sethostname": (170, BAD, MINUS),
    "setdomainname": (171, BAD, MINUS),
    "acct": (163, BAD),
    "iopl": (172, 4),
}
CLONE_FLAGS = {
    "CLONE_NEWUSER": 0x10000000, "CLONE_NEWNS": 0x00020000, "CLONE_NEWPID": 0x20000000,
    "CLONE_NEWNET": 0x40000000, "CLONE_NEWIPC": 0x08000000, "CLONE_NEWUTS": 0x04000000,
    "CLONE_NEWCGROUP": 0x02000000,
}
IOCTLS = {
    "TIOCSTI": 0x5412, "TIOCLINUX": 0x541C,
    # The kernel reads 32 bits of the request; a filter that compares 64 lets these through
    # (CVE-2019-7303).
    "TIOCSTI with high bits": 0x100005412, "TIOCLINUX with high bits": 0x10000541C,
}
FAMILIES = range(0, 47)
NETLINK_PROTOCOLS = range(0, 23)

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
libc.ioctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_char_p)


def name_of(result):
    return "ok" if result >= 0 else errno.errorcode.get(ctypes.get_errno(), "?")


def syscall(number, *arguments):
    return libc.syscall(ctypes.c_long(number), *(ctypes.c_long(value) for value in arguments))


def clone(flags):
    pid = syscall(56, flags | signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    if pid > 0:
        os.waitpid(pid, 0)
    return name_of(pid)


def open_socket(family, kind, protocol=0):
    try:
        socket.socket(family, kind, protocol).close()
        return "ok"
    except OSError as error:
        return errno.errorcode[error.errno]


def main():
    results = {name: name_of(syscall(*call)) for name, call in CALLS.items()}
    results["clone"] = clone(0)
    results |= {name: clone(flag) for name, flag in CLONE_FLAGS.items()}
    terminal, _ = os.pipe()
    for name, request in IOCTLS.items():
        results[name] = name_of(libc.ioctl(terminal, request, b"x"))
    kinds = (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET, socket.SOCK_RAW)
    results["families"] = [
        family for family in FAMILIES
        if "ok" in [open_socket(family, kind) for kind in kinds]
    ]
    results["netlink"] = [
        protocol for protocol in NETLINK_PROTOCOLS
        if open_socket(16, socket.SOCK_RAW, protocol) == "ok"
    ]
    results["raw_ip"] = open_socket(socket.AF_INET, socket.SOCK_RAW, 1)
    print(json.dumps(results))


main()
