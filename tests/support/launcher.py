"""The launcher and the agents by themselves: both wire protocols, as far as tests need them.

include/atoll/launcher_proto.h and docs/agent-protocol.md say what the bytes mean.
"""

import contextlib
import dataclasses
import os
import socket
import struct
import uuid

REQUEST = struct.Struct("=IHH16sIIIIIIQQ64s7I4x")
REPLY = struct.Struct("=IHHiI4I4QQII192s")
ENTRY = struct.Struct("=16sIiQII64s")
MAGIC, VERSION = 0x4C544F41, 1
CREATE, DESTROY, FREEZE, THAW, LIST, FEATURES, REMOVE, DISKS, REMOVE_LOGS = range(1, 10)
LIST_PAGE = 64
STRICT, DEV = 1, 2
TMPFS, DISK = 1, 2

HEADER = struct.Struct("<IBBH")
EXEC, DATA, START, WAIT = 2, 6, 8, 13
STDOUT, STDERR, EXIT, ERROR, PROCESS = 17, 18, 19, 21, 22


class Refused(Exception):
    """An answer that is no success: errno, and the launcher's line."""

    def __init__(self, status, detail):
        super().__init__(f"{os.strerror(status)}: {detail}")
        self.errno = status
        self.detail = detail


@dataclasses.dataclass
class Sandbox:
    """What a create asks for; the launcher bounds each."""

    id: uuid.UUID
    generation: int = 1
    profile: int = STRICT
    upper: int = DISK
    memory_bytes: int = 256 << 20
    upper_bytes: int = 64 << 20
    keep_logs: int = 0
    keep_disk: int = 0
    read_only_root: int = 0
    cap_drop: int = 0
    cap_add: int = 0

    @property
    def name(self):
        return f"{self.id.hex}.{self.generation}"


class Launcher:
    def __init__(self, run_dir):
        self.run_dir = run_dir

    def send(self, connection, op, sandbox=None, generation=None, cursor=0, remove_disk=0):
        made = sandbox if op == CREATE else None
        limits = (made.profile, made.upper, 64, 1000, made.keep_logs, made.memory_bytes,
                  made.upper_bytes, b"base") if made else (0, 0, 0, 0, 0, 0, 0, b"")
        flags = (made.keep_disk, made.read_only_root, made.cap_drop,
                 made.cap_add) if made else (0, 0, 0, 0)
        if generation is None:
            generation = sandbox.generation if sandbox and op != REMOVE else 0
        packet = REQUEST.pack(MAGIC, VERSION, op, sandbox.id.bytes if sandbox else bytes(16),
                              generation, *limits, cursor, 0, remove_disk, *flags)
        connection.send(packet)

    def connect(self):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.settimeout(60)
        connection.connect(str(self.run_dir / "launcher.sock"))
        return connection

    @staticmethod
    def receive(connection):
        """The entries of the next reply, and its cursor."""
        answer = connection.recv(1 << 16)
        fields = REPLY.unpack_from(answer)
        status, cursor, count = fields[3], fields[14], fields[15]
        if status != 0:
            raise Refused(status, fields[16].split(b"\0")[0].decode())
        return [ENTRY.unpack_from(answer, REPLY.size + i * ENTRY.size) for i in range(count)], cursor

    def call(self, op, sandbox=None, **fields):
        """One request on a connection of its own: the reply's entries and its next cursor."""
        with self.connect() as connection:
            self.send(connection, op, sandbox, **fields)
            return self.receive(connection)

    def create(self, sandbox):
        self.call(CREATE, sandbox)
        return sandbox

    def destroy(self, sandbox, generation=None, remove_disk=0):
        self.call(DESTROY, sandbox, generation=generation, remove_disk=remove_disk)

    def remove(self, sandbox):
        self.call(REMOVE, sandbox)

    def remove_logs(self, sandbox, generation=None):
        self.call(REMOVE_LOGS, sandbox, generation=generation)

    def disks(self):
        """The ids of all kept disks."""
        ids, cursor = [], 0
        while True:
            entries, cursor = self.call(DISKS, cursor=cursor)
            ids += [uuid.UUID(bytes=entry[0]) for entry in entries]
            if cursor == 0:
                return ids

    def alive(self):
        return [uuid.UUID(bytes=entry[0]) for entry in self.call(LIST)[0]]

    def agent(self, sandbox):
        return Agent(self.run_dir / "sandboxes" / sandbox.name / "agent.sock")

    def run(self, sandbox, script, user="user"):
        with contextlib.closing(self.agent(sandbox)) as agent:
            return agent.run(script, user)


def text(value):
    data = value.encode()
    return struct.pack("<I", len(data)) + data + b"\0"


def command(script, user):
    argv = ("sh", "-c", script)
    return (text("/") + text(user) + struct.pack("<I", len(argv)) + b"".join(map(text, argv)) +
            struct.pack("<I", 0))


class Agent:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(60)
        self.socket.connect(str(path))

    def close(self):
        self.socket.close()

    def send(self, kind, payload):
        self.socket.sendall(HEADER.pack(len(payload), kind, 1, 0) + payload)

    def receive(self):
        size, kind, _, _ = HEADER.unpack(self.exactly(HEADER.size))
        return kind, self.exactly(size)

    def exactly(self, size):
        data = b""
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            if not part:
                raise ConnectionError("the agent is gone")
            data += part
        return data

    def run(self, script, user="user"):
        """Runs `sh -c script` to its end: exit code and both outputs, mixed."""
        body = struct.pack("<IIIIQ", 2, 0, 0, 0, 1 << 20) + command(script, user)
        self.send(EXEC, struct.pack("<I", len(body) + 4) + body)
        output = b""
        while True:
            kind, payload = self.receive()
            if kind in (STDOUT, STDERR):
                output += payload
            elif kind == EXIT:
                status = struct.unpack_from("<I", payload)[0]
                return os.waitstatus_to_exitcode(status), output.decode()
            else:
                raise RuntimeError(f"frame {kind}: {payload}")

    def start(self, script, user="user", terminal=False):
        """Starts a process that nothing holds; returns its id."""
        process = uuid.uuid4()
        flags = 2 if terminal else 0
        body = (process.bytes + struct.pack("<8IQ", flags, 0, 0, 0, 0, 24, 80, 1000, 1 << 20) +
                command(script, user))
        self.send(START, struct.pack("<I", len(body) + 4) + body)
        kind, payload = self.receive()
        if kind != PROCESS:
            raise RuntimeError(f"frame {kind}: {payload}")
        return process

    def wait(self, process):
        """The exit code of a process, once it has ended."""
        self.send(WAIT, process.bytes + struct.pack("<I", 0xFFFFFFFF))
        kind, payload = self.receive()
        assert kind == PROCESS and payload[:16] == process.bytes
        return os.waitstatus_to_exitcode(struct.unpack_from("<I", payload, 32)[0])
