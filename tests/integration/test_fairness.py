"""One tenant's burst stands in its own way, not in another's: orders are asserted, not times."""

import contextlib
import selectors
import socket

import pytest

BURST = 500
SERIAL = 5
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

    def send(self, name, token, path, count=1):
        """Sends `count` requests, as near to at once as one thread can."""
        request = (
            f"POST {path} HTTP/1.1\r\nHost: atoll\r\nAuthorization: Bearer {token}\r\n"
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
