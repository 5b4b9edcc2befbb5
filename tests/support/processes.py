"""Sandboxes of /v1 and their processes, as a test uses them."""

import base64
import contextlib
import re

from support import inventory
from support.sse import EventStream


def make_sandbox(client, **fields):
    """Makes a sandbox of /v1 and returns what the service says of it."""
    response = client.post("/v1/sandboxes", fields)
    assert response.status == 201, response
    client.created.add(response.json["id"])
    return response.json


def new_sandbox(client, **fields):
    """Makes a sandbox of /v1 and returns its id."""
    return make_sandbox(client, **fields)["id"]


@contextlib.contextmanager
def a_sandbox(client, **fields):
    """The id of a sandbox of /v1 that is there for as long as the block."""
    sandbox_id = new_sandbox(client, **fields)
    yield sandbox_id
    assert client.request("DELETE", f"/v1/sandboxes/{sandbox_id}").status == 204


def output_of(event):
    """The bytes of an event of stdout or stderr."""
    data = event[2]
    if "data_base64" in data:
        return base64.b64decode(data["data_base64"])
    return data["data"].encode()


def agent_of(stack, sandbox_id):
    """The host's pid of the sandbox's agent, which is process 1 inside: pid_namespaces(7)."""
    (agent,) = (
        pid for pid in inventory.processes(stack.uid_base, stack.uid_count)
        if sandbox_id in inventory.of_process(pid, "cgroup")
        and re.search(r"^NSpid:.*\t1$", inventory.of_process(pid, "status"), re.M)
    )
    return agent


class Processes:
    def __init__(self, client, sandbox_id):
        self.client = client
        self.sandbox = f"/v1/sandboxes/{sandbox_id}"
        self.path = f"{self.sandbox}/processes"

    def try_start(self, command, **fields):
        return self.client.post(self.path, {"command": command, **fields})

    def start(self, command, **fields):
        """Starts a process and returns its id."""
        response = self.try_start(command, **fields)
        assert response.status == 201, response
        return response.json["id"]

    def try_exec(self, command, **fields):
        return self.client.post(f"{self.sandbox}/exec", {"command": command, **fields})

    def exec(self, command, **fields):
        response = self.try_exec(command, **fields)
        assert response.status == 200, response
        return response.json

    def get(self, process_id):
        response = self.client.get(f"{self.path}/{process_id}")
        assert response.status == 200, response
        return response.json

    def wait(self, process_id):
        """What the process is at its end."""
        while True:
            response = self.client.get(f"{self.path}/{process_id}/wait")
            assert response.status == 200, response
            if response.json["state"] != "running":
                return response.json

    def signal(self, process_id, signal, **fields):
        return self.client.post(f"{self.path}/{process_id}/signal", {"signal": signal, **fields})

    def write(self, process_id, data, close=False):
        return self.client.post(
            f"{self.path}/{process_id}/stdin" + ("?close=true" if close else ""), data,
            headers={"Content-Type": "application/octet-stream"},
        )

    def resize(self, process_id, rows, cols):
        return self.client.post(f"{self.path}/{process_id}/resize", {"rows": rows, "cols": cols})

    def logs(self, process_id, query="", accept="text/plain"):
        response = self.client.get(
            f"{self.path}/{process_id}/logs?{query}", headers={"Accept": accept}
        )
        assert response.status == 200, response
        return response.body

    def follow(self, process_id, query="", last_id=None):
        return EventStream(
            self.client, f"{self.path}/{process_id}/logs?follow=true&{query}", last_id=last_id
        )

    def follow_to_end(self, process_id, query="", last_id=None):
        """All bytes of each stream, and the exit."""
        out = {"stdout": b"", "stderr": b""}
        with self.follow(process_id, query, last_id) as stream:
            assert stream.status == 200
            for event in stream:
                if event[1] == "exit":
                    return out["stdout"], out["stderr"], event[2]
                assert "gap" not in event[2]
                out[event[1]] += output_of(event)
        raise AssertionError("the stream ended without an exit")
