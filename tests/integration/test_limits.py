"""Admission: past the limit the answer is 429 with Retry-After, after a bounded wait and never a hang."""

import concurrent.futures
import contextlib

import pytest

from support.client import RawConnection, status_lines
from support.wait import eventually

STACK_ENVIRONMENT = {
    "ATOLL_MAX_CONCURRENT": 2,
    "ATOLL_MAX_CONNECTIONS": 64,
}


@pytest.fixture
def limited(private_stack):
    return private_stack.client()


@pytest.fixture
def occupied(limited):
    """Both places taken by runs that end when their sandboxes are deleted."""
    ids = [limited.create("shell", "sleep 100", timeout_ms=90000) for _ in range(2)]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        runs = [pool.submit(limited.try_execute, sandbox_id) for sandbox_id in ids]
        for sandbox_id in ids:
            eventually(lambda: limited.info(sandbox_id)["status"] == "Running")
        yield ids
        for sandbox_id in ids:
            assert limited.delete(sandbox_id).status == 200
        for run in runs:
            run.result(timeout=30)


def test_the_third_run_is_429(limited, occupied):
    sandbox_id = limited.create("shell", "true")
    response = limited.try_execute(sandbox_id)
    assert response.status == 429, response
    assert response.json["code"] == "too_many"
    assert int(response.headers["Retry-After"]) >= 1
    assert limited.info(sandbox_id)["status"] == "Created"


def test_other_calls_go_on_at_the_limit(limited, occupied):
    assert limited.get("/health").status == 200
    assert limited.info(limited.create())["status"] == "Created"


def test_the_place_is_free_again(limited):
    sandbox_id = limited.create("shell", "echo free")
    for _ in range(5):
        assert limited.execute(sandbox_id)["stdout"] == "free\n"


def test_a_burst_never_passes_the_limit_and_loses_nothing(limited, private_stack):
    sandbox_id = limited.create("shell", "sleep 1; echo done")
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        runs = list(pool.map(lambda _: limited.try_execute(sandbox_id), range(32)))
    statuses = [run.status for run in runs]
    assert set(statuses) <= {200, 429}
    assert statuses.count(200) >= 2
    assert all(run.json["stdout"] == "done\n" for run in runs if run.status == 200)
    rows = private_stack.postgres.value(
        f"SELECT count(*) FROM processes WHERE sandbox_id = '{sandbox_id}'"
    )
    assert rows == statuses.count(200)
    assert limited.info(sandbox_id)["status"] == "Completed"


@pytest.fixture(scope="module")
def hasty(private_stack):
    """The address of a server that soon gives up on who sends nothing."""
    return private_stack.another_server(
        ATOLL_BODY_TIMEOUT_MS="3000", ATOLL_IDLE_TIMEOUT_MS="3000")


def test_a_body_that_never_comes_is_408(private_stack, hasty):
    request = (
        b"POST /sandbox HTTP/1.1\r\nHost: atoll\r\nContent-Type: application/json\r\n"
        b"Authorization: Bearer " + private_stack.token().encode() + b"\r\n"
        b"Content-Length: 100\r\n\r\n{"
    )
    with RawConnection(hasty) as connection:
        assert status_lines(connection.send(request).read_to_end()) == [408]


def test_a_header_that_never_ends_is_closed(hasty):
    with RawConnection(hasty) as connection:
        stream = connection.send(b"GET /health HTTP/1.1\r\nHost: at").read_to_end()
    assert status_lines(stream) in ([408], [])


def test_an_idle_connection_is_closed(hasty):
    with RawConnection(hasty) as connection:
        connection.send(b"GET /health HTTP/1.1\r\nHost: atoll\r\n\r\n")
        assert connection.response().status == 200
        assert connection.read_to_end() == b""


def test_connections_over_the_limit_do_not_stop_the_service(private_stack):
    with contextlib.ExitStack() as crowd:
        for _ in range(100):
            crowd.enter_context(RawConnection(private_stack.address))
    eventually(lambda: private_stack.client().get("/health").status == 200)
