"""A WebSocket client of one's own (RFC 6455), so that a test sees each frame and can send bad ones."""

import base64
import hashlib
import json
import os
import socket
import struct
import time
import urllib.parse

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Refused(Exception):
    """The server answered something else than 101."""

    def __init__(self, status, headers, body):
        super().__init__(f"{status}: {body!r}")
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)


class WebSocket:
    def __init__(self, client, path, headers=None, protocols=None, authorize=True, timeout=60):
        self.timeout = timeout
        self.socket = socket.create_connection((client.host, client.port), timeout=timeout)
        self.reader = self.socket.makefile("rb")
        self.key = base64.b64encode(os.urandom(16)).decode()
        fields = {
            "Host": f"{client.host}:{client.port}", "Upgrade": "websocket",
            "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": self.key,
        }
        if authorize:
            fields["Authorization"] = f"Bearer {client.token}"
        if protocols:
            fields["Sec-WebSocket-Protocol"] = ", ".join(protocols)
        fields.update(headers or {})
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value is not None)
        self.socket.sendall(f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode())
        self.code = None
        self.read_head()

    def read_head(self):
        self.status = int(self.reader.readline().split()[1])
        self.headers = {}
        while line := self.reader.readline().strip().decode():
            name, value = line.split(":", 1)
            self.headers[name.lower()] = value.strip()
        if self.status != 101:
            body = self.reader.read(int(self.headers["content-length"]))
            self.close()
            raise Refused(self.status, self.headers, body)
        digest = hashlib.sha1((self.key + MAGIC).encode()).digest()
        assert self.headers["sec-websocket-accept"] == base64.b64encode(digest).decode()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.reader.close()
        self.socket.close()

    # --- frames

    def send_frame(self, opcode, payload, fin=True, mask=True, rsv=0):
        self.socket.sendall(frame(opcode, payload, fin, mask, rsv))

    def send_bytes(self, data):
        for at in range(0, len(data), 65536):
            self.send_frame(BINARY, data[at:at + 65536])

    def send_json(self, **message):
        self.send_frame(TEXT, json.dumps(message).encode())

    def read_frame(self):
        """(opcode, payload); None when the connection ends, whole frames or not."""
        head = self.reader.read(2)
        if len(head) < 2:
            return None
        assert head[0] & 0x80 and not head[0] & 0x70 and not head[1] & 0x80, head
        size = head[1]
        if size >= 126:
            size = int.from_bytes(self.reader.read(2 if size == 126 else 8), "big")
        payload = self.reader.read(size)
        return (head[0] & 15, payload) if len(payload) == size else None

    def read_message(self):
        """The next message: a dict, or (stream, offset, bytes). None at the end; pings are answered."""
        deadline = time.monotonic() + self.timeout
        while frame_read := self.read_frame():
            assert time.monotonic() < deadline, "nothing but pings"
            opcode, payload = frame_read
            if opcode == PING:
                self.send_frame(PONG, payload)
            elif opcode == CLOSE:
                self.code = int.from_bytes(payload[:2], "big")
                self.reason = payload[2:].decode()
                return None
            elif opcode == TEXT:
                return json.loads(payload)
            elif opcode == BINARY:
                return payload[0], int.from_bytes(payload[1:9], "big"), payload[9:]
        return None

    def messages(self):
        while (message := self.read_message()) is not None:
            yield message

    def read_until(self, wanted):
        """Output until it contains `wanted`; all of it."""
        seen = b""
        while wanted not in seen:
            message = self.read_message()
            assert message is not None, (seen, self.code)
            if isinstance(message, tuple):
                seen += message[2]
        return seen

    def read_to_end(self):
        """All output, by stream, and the exit; None where there was no exit."""
        out, exit_message, end = {1: [], 2: []}, None, None
        for message in self.messages():
            if isinstance(message, tuple):
                stream, offset, data = message
                assert end is None or offset == end, (offset, end)
                end = offset + len(data)
                out[stream].append(data)
            elif message["type"] == "exit":
                exit_message = message
        return b"".join(out[1]), b"".join(out[2]), exit_message


def frame(opcode, payload, fin=True, mask=True, rsv=0):
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    bit = 0x80 if mask else 0
    if len(payload) < 126:
        head = struct.pack("!BB", first, bit | len(payload))
    elif len(payload) < 65536:
        head = struct.pack("!BBH", first, bit | 126, len(payload))
    else:
        head = struct.pack("!BBQ", first, bit | 127, len(payload))
    if not mask:
        return head + payload
    key = os.urandom(4)
    repeated = (key * (len(payload) // 4 + 1))[:len(payload)]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
    return head + key + masked.to_bytes(len(payload), "big")


def exec_path(processes, **query):
    return f"{processes.sandbox}/exec?{urllib.parse.urlencode(query)}"


def run(processes, **query):
    """A command that ends with its socket."""
    return WebSocket(processes.client, exec_path(processes, **query))


def attach(processes, process_id, query="", **options):
    return WebSocket(processes.client, f"{processes.path}/{process_id}/attach?{query}", **options)
