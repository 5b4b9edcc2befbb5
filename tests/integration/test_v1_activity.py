"""What counts as use of a sandbox, and what does not: the table of docs/api/processes.md."""

import threading

import pytest

from support.processes import Processes, new_sandbox
from support.wait import eventually
from support.websocket import WebSocket


class Used:
    """A sandbox with a process, whose last use can be put into the past."""

    def __init__(self, stack, client):
        self.stack, self.client = stack, client
        self.id = new_sandbox(client, idle_timeout=86400)
        self.processes = Processes(client, self.id)
        self.process = self.processes.start("cat", stdin=True)

    def remove(self):
        assert self.client.request("DELETE", f"/v1/sandboxes/{self.id}").status == 204

    def forget(self):
        """The last use was an hour ago."""
        self.stack.postgres.execute(
            "UPDATE sandboxes SET last_active_at = now() - interval '1 hour'"
            f" WHERE id = '{self.id}'")
        assert not self.is_recent()

    def is_recent(self):
        rows = self.stack.postgres.rows(
            "SELECT last_active_at > now() - interval '1 minute' AS recent FROM sandboxes"
            f" WHERE id = '{self.id}'")
        return rows[0]["recent"]


@pytest.fixture
def used(stack, client):
    made = Used(stack, client)
    yield made
    made.remove()


def await_writing(stack, client):
    """Uses are written in the order of their seconds: once a later one is, all before are."""
    later = Used(stack, client)
    later.forget()
    later.processes.signal(later.process, "CONT")
    eventually(later.is_recent, 60)
    later.remove()


@pytest.mark.parametrize("use", [
    lambda u: u.processes.exec("true"),
    lambda u: u.processes.start("true"),
    lambda u: u.processes.signal(u.process, "CONT"),
    lambda u: u.processes.write(u.process, b"x"),
    lambda u: u.client.get(f"{u.processes.sandbox}/files/content?path=/etc/passwd"),
], ids=["exec", "start", "signal", "stdin", "file"])
def test_a_use(used, use):
    used.forget()
    use(used)
    eventually(used.is_recent, 60)


@pytest.mark.parametrize("look", [
    lambda u: u.client.get(u.processes.sandbox),
    lambda u: u.client.get(u.processes.path),
    lambda u: u.processes.get(u.process),
    lambda u: u.client.get(f"{u.processes.path}/{u.process}/wait?timeout=1"),
    lambda u: u.processes.logs(u.process),
    lambda u: u.processes.write(u.process, b"\n"),
], ids=["sandbox", "list", "get", "wait", "logs", "a running process"])
def test_no_use(stack, client, used, look, request):
    if request.node.callspec.id == "a running process":
        used.forget()
        look(used)  # it writes something; what it does by itself from then on is no use
        eventually(used.is_recent, 60)
        used.forget()
    else:
        used.forget()
        look(used)
    await_writing(stack, client)
    assert not used.is_recent()


def test_a_quiet_command_is_use_for_as_long_as_it_runs(used):
    """The idle timeout passes many times while it runs; the worker looks each second."""
    processes = Processes(used.client, new_sandbox(used.client))
    done = {}
    thread = threading.Thread(target=lambda: done.update(processes.exec("sleep 5")))
    thread.start()
    eventually(lambda: used.client.get(processes.path).json["items"], what="it runs")
    assert used.client.request("PATCH", processes.sandbox, {"idle_timeout": 1}).status == 200
    thread.join()
    assert done["state"] == "completed"
    eventually(lambda: used.client.get(processes.sandbox).json["state"] == "stopped")
    assert used.client.request("DELETE", processes.sandbox).status == 204


def test_a_quiet_process_with_a_reader_is_use(used):
    with used.processes.follow(used.process):
        used.forget()
        eventually(used.is_recent, 60)


def test_a_quiet_process_with_a_client_is_use(used):
    with WebSocket(used.client, f"{used.processes.path}/{used.process}/attach") as ws:
        ws.read_message()
        used.forget()
        eventually(used.is_recent, 60)


def test_a_client_that_does_not_answer_is_cut_off(used):
    with WebSocket(used.client, f"{used.processes.path}/{used.process}/attach") as ws:
        pings = 0
        while ws.read_frame():
            pings += 1
        assert pings >= 3
    assert used.processes.get(used.process)["state"] == "running"
