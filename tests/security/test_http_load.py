"""Clients that are slow, many or gone do not keep the others from being served."""

import contextlib
import socket

from support.client import RawConnection
from support.wait import eventually

HALF = (
    b"POST /sandbox HTTP/1.1\r\nHost: atoll\r\nContent-Type: application/json\r\n"
    b"Content-Length: 1000\r\n\r\n{"
)


def test_a_thousand_half_sent_bodies(stack, client):
    with contextlib.ExitStack() as crowd:
        for _ in range(1000):
            with contextlib.suppress(OSError):  # past its limit the server may close at once
                crowd.enter_context(RawConnection(stack.address)).send(HALF)
        assert eventually(lambda: client.get("/health", timeout=10).status == 200)
        assert eventually(lambda: client.run("shell", "echo on")["stdout"] == "on\n")
    eventually(lambda: client.get("/health").status == 200)


def test_a_client_that_leaves_during_its_run(stack, client):
    sandbox_id = client.create("shell", "sleep 5; echo done")
    request = (
        f"POST /sandbox/{sandbox_id}/execute HTTP/1.1\r\nHost: atoll\r\n"
        f"Authorization: Bearer {stack.token()}\r\nContent-Length: 0\r\n\r\n"
    )
    with RawConnection(stack.address) as connection:
        connection.send(request.encode())
        eventually(lambda: client.info(sandbox_id)["status"] == "Running")
    eventually(lambda: client.info(sandbox_id)["status"] != "Running")
    stack.assert_clean()


def test_a_client_that_resets_in_the_middle_of_its_body(stack, client):
    for _ in range(50):
        connection = RawConnection(stack.address)
        connection.send(HALF)
        linger = b"\x01\0\0\0\0\0\0\0"  # on, 0 s: close sends RST
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        connection.socket.close()
    eventually(lambda: client.get("/health").status == 200)


def test_a_client_that_does_not_read(stack, client):
    """Its answer of a megabyte waits in the server; others are served."""
    sandbox_id = client.create("python", "print('x' * 1000000)")
    request = (
        f"POST /sandbox/{sandbox_id}/execute HTTP/1.1\r\nHost: atoll\r\n"
        f"Authorization: Bearer {stack.token()}\r\nContent-Length: 0\r\n\r\n"
    ).encode()
    with contextlib.ExitStack() as crowd:
        for _ in range(20):
            crowd.enter_context(RawConnection(stack.address)).send(request)
        assert eventually(lambda: client.run("shell", "echo on")["stdout"] == "on\n")
    stack.assert_clean()


def test_the_server_leaks_no_descriptors(stack, client):
    for _ in range(3):
        client.run("shell", "true")
    before = stack.server.open_fds()
    for _ in range(50):
        client.run("shell", "true")
        client.get("/nothing")
    eventually(lambda: stack.server.open_fds() <= before + 4, what="descriptors are given back")
