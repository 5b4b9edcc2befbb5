"""One tenant's burst stands in its own way, not in another's: orders are asserted, not times."""

import contextlib
import os
import selectors
import signal
import socket

import pytest

from support.processes import agent_of, new_sandbox

BURST = 500
SERIAL = 5
TOKENS = 6
OF_TOKEN = 90  # fewer than the edge lets one credential have at work
OF_TENANT = 240  # of 480 workers
STACK_ENVIRONMENT = {"ATOLL_MAX_CONNECTIONS": 1024}


class Crowd:
    """Connections that each send one request; answers are taken as they come."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.target = (host, int(port))
        self.selector = selectors.DefaultSelector()
        self.answered = []  # (name, status) in the order of arrival

    def close(self):
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.selector.close()

    def send(self, name, token, path, count=1, method="POST"):
        """Sends `count` requests, as near to at once as one thread can."""
        request = (
            f"{method} {path} HTTP/1.1\r\nHost: atoll\r\nAuthorization: Bearer {token}\r\n"
            "Connection: close\r\nContent-Length: 0\r\n\r\n"
        ).encode()
        connections = [socket.create_connection(self.target, timeout=60) for _ in range(count)]
        for connection in connections:
            self.selector.register(connection, selectors.EVENT_READ, name)
        for connection in connections:
            connection.sendall(request)

    def count(self, name):
        return sum(1 for who, _ in self.answered if who == name)

    def take_until(self, done):
        while not done():
            ready = self.selector.select(timeout=60)
            assert ready, "nothing is answered any more"
            for key, _ in ready:
                self.answered.append((key.data, int(key.fileobj.recv(65536).split(b" ", 2)[1])))
                self.selector.unregister(key.fileobj)
                key.fileobj.close()


@pytest.fixture
def crowd(private_stack):
    with contextlib.closing(Crowd(private_stack.address)) as made:
        yield made


def test_a_burst_does_not_hold_another_tenant_up(private_stack, crowd):
    busy, quiet = private_stack.client(), private_stack.tenant_client("quiet")

    def path(client):
        return f"/sandbox/{client.create('shell', 'true')}/execute"

    paths = {"busy": path(busy), "quiet": path(quiet)}
    tokens = {"busy": busy.token, "quiet": quiet.token}
    crowd.send("busy", tokens["busy"], paths["busy"], BURST)
    crowd.take_until(lambda: crowd.count("busy") > 0)
    for served in range(1, SERIAL + 1):
        crowd.send("quiet", tokens["quiet"], paths["quiet"])
        crowd.take_until(lambda served=served: crowd.count("quiet") == served)
        if served == 1:
            assert crowd.count("busy") < BURST / 2
    assert crowd.count("busy") < BURST
    crowd.take_until(lambda: crowd.count("busy") == BURST)
    assert {status for who, status in crowd.answered if who == "quiet"} == {200}
    assert {status for who, status in crowd.answered if who == "busy"} <= {200, 429, 503}


def test_a_tenant_of_many_tokens_leaves_workers_to_others(private_stack, crowd):
    """Its requests hold their workers until the agent that they ask goes on."""
    quiet, sandbox = private_stack.tenant_client("quiet"), new_sandbox(private_stack.client())
    agent = agent_of(private_stack, sandbox)
    path = f"/v1/sandboxes/{sandbox}/files/stat?path=/"
    os.kill(agent, signal.SIGSTOP)
    try:
        for number in range(TOKENS):
            crowd.send("busy", private_stack.token(sub=f"user {number}"), path, OF_TOKEN, "GET")
        crowd.take_until(lambda: crowd.count("busy") == TOKENS * OF_TOKEN - OF_TENANT)
        assert {status for _, status in crowd.answered} == {429}
        assert quiet.get("/v1/sandboxes").status == 200
    finally:
        os.kill(agent, signal.SIGCONT)
    crowd.take_until(lambda: crowd.count("busy") == TOKENS * OF_TOKEN)
    assert {status for _, status in crowd.answered} <= {200, 429, 503}
    assert private_stack.client().request("DELETE", f"/v1/sandboxes/{sandbox}").status == 204
