"""Files of any size: passed on as they come, in little memory, whole or not at all."""

import concurrent.futures
import contextlib
import hashlib
import http.client
import os
import socket
from urllib.parse import urlencode

import pytest

from support import tenancy
from support.client import assert_problem
from support.processes import a_sandbox
from support.stack import sanitized
from support.wait import eventually

STACK_ENVIRONMENT = {
    "ATOLL_MAX_BODY_BYTES": 1 << 20,
    "ATOLL_MAX_TRANSFER_BYTES": 40 << 20,
    "ATOLL_MAX_TRANSFERS": 2,
}
BYTES = {"Content-Type": "application/octet-stream"}
MB = 1 << 20
PIECE = hashlib.shake_256(b"piece").digest(MB)
# What the server may grow by while a large body passes: the promise, and what allocators keep.
GROWTH_KB = 4096


class Files:
    """The files of one sandbox."""

    def __init__(self, client, sandbox_id):
        self.client = client
        self.base = f"/v1/sandboxes/{sandbox_id}/files"

    def target(self, path, **query):
        return f"{self.base}/content?{urlencode({'path': path, **query})}"

    def put(self, path, content, headers=None, **query):
        return self.client.request(
            "PUT", self.target(path, **query), content, headers={**BYTES, **(headers or {})}
        )

    def get(self, path, headers=None):
        return self.client.get(self.target(path), headers=headers)

    def names(self, path="/sandbox"):
        response = self.client.get(f"{self.base}?{urlencode({'path': path})}")
        assert response.status == 200, response
        return {item["path"].rsplit("/", 1)[1] for item in response.json["items"]}

    def begin(self, method, path, *fields):
        """A connection on which a request's head was sent."""
        lines = [f"{method} {self.target(path)} HTTP/1.1", "Host: x", *fields,
                 f"Authorization: Bearer {self.client.token}"]
        connection = socket.create_connection((self.client.host, self.client.port), timeout=60)
        connection.sendall("\r\n".join(lines + ["", ""]).encode())
        return connection

    def begin_put(self, path, size):
        return self.begin("PUT", path, "Content-Type: application/octet-stream",
                          f"Content-Length: {size}")


def answer(connection):
    reply = http.client.HTTPResponse(connection)
    reply.begin()
    return reply


@contextlib.contextmanager
def files_of(client, **fields):
    """Those of a sandbox that is there for as long as the block."""
    with a_sandbox(client, **fields) as sandbox_id:
        yield Files(client, sandbox_id)


@pytest.fixture(scope="module")
def files(stack):
    with files_of(tenancy.as_role(stack, "member"), disk_limit="1g") as made:
        yield made


@pytest.fixture(scope="module")
def bounded(private_stack):
    """In a server with small limits."""
    with files_of(tenancy.as_role(private_stack, "member"), disk_limit="28m") as made:
        yield made


@pytest.fixture
def hasty(private_stack):
    """In a server that soon gives up on who sends nothing."""
    address = private_stack.another_server(ATOLL_BODY_TIMEOUT_MS="5000")
    token = private_stack.token(scope="member")
    with files_of(private_stack.client(token, address), disk_limit="28m") as made:
        yield made
    private_stack.extra_servers.pop().stop()


def pieces(count):
    for _ in range(count):
        yield PIECE


def digest_of(count):
    whole = hashlib.sha256()
    for piece in pieces(count):
        whole.update(piece)
    return whole.hexdigest()


def upload(files, path, count, chunked):
    connection = http.client.HTTPConnection(files.client.host, files.client.port, timeout=90)
    headers = {**BYTES, "Authorization": f"Bearer {files.client.token}"}
    if not chunked:
        headers["Content-Length"] = str(count * MB)
    connection.request("PUT", files.target(path), body=pieces(count), headers=headers,
                       encode_chunked=chunked)
    reply = connection.getresponse()
    assert reply.status == 200, reply.read()
    connection.close()


def download(files, path):
    connection = files.begin("GET", path)
    reply = answer(connection)
    whole = hashlib.sha256()
    while piece := reply.read(MB):
        whole.update(piece)
    connection.close()
    return reply, whole.hexdigest()


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunks"])
def test_a_large_file_passes_in_little_memory(stack, files, chunked):
    count = 256
    upload(files, "warm", 4, chunked)  # what is allocated once
    download(files, "warm")
    grown = stack.server.peak_growth_kib(lambda: upload(files, "large", count, chunked))
    assert sanitized() or grown <= GROWTH_KB, grown
    seen = {}
    grown = stack.server.peak_growth_kib(lambda: seen.update(enumerate(download(files, "large"))))
    assert sanitized() or grown <= GROWTH_KB, grown
    assert seen[1] == digest_of(count)
    assert int(seen[0].headers["Content-Length"]) == count * MB


def test_a_range_is_as_large_as_it_was_asked_for(files):
    upload(files, "ranged", 24, False)
    reply = files.get("ranged", headers={"Range": f"bytes=1000-{20 * MB}"})
    assert reply.status == 206
    assert reply.headers["Content-Range"] == f"bytes 1000-{20 * MB}/{24 * MB}"
    assert reply.body == (PIECE * 24)[1000 : 20 * MB + 1]


def test_a_file_that_has_no_size_is_read(files):
    assert b"MemTotal" in files.get("/proc/meminfo").body
    assert files.put("empty", b"").status == 200
    reply = files.get("empty")
    assert (reply.status, reply.body) == (200, b"")


def test_a_client_that_leaves_changes_nothing(files):
    assert files.put("kept", b"before").status == 200
    connection = files.begin_put("kept", 64 * MB)
    connection.sendall(PIECE * 3)
    eventually(lambda: any(name.startswith(".atoll-") for name in files.names()), 60)
    connection.close()
    eventually(lambda: not any(name.startswith(".atoll-") for name in files.names()), 60)
    assert files.get("kept").body == b"before"


def test_a_full_disk_is_told_and_changes_nothing(bounded):
    assert bounded.put("kept", b"before").status == 200
    reply = bounded.put("kept", PIECE * 36)
    assert_problem(reply, 507, "insufficient_storage")
    assert not any(name.startswith(".atoll-") for name in bounded.names())
    assert bounded.get("kept").body == b"before"


def test_a_body_over_the_limit_is_refused(bounded):
    connection = bounded.begin_put("big", 40 * MB + 1)
    assert answer(connection).status == 413
    connection.close()
    connection = bounded.begin("PUT", "big", "Content-Type: application/octet-stream",
                               "Transfer-Encoding: chunked")
    # What is over the limit may be reset before its answer is read, but never accepted.
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        for _ in range(41):
            connection.sendall(b"100000\r\n" + PIECE + b"\r\n")
        assert answer(connection).status == 413
    connection.close()
    assert "big" not in bounded.names()


def test_a_slow_client_is_served_and_a_stalled_one_is_not(hasty):
    """The deadline of 5 s is of each piece."""
    size = 2 * MB
    connection = hasty.begin_put("slow", size)
    connection.sendall(PIECE[:100_000])
    sent = 100_000
    for _ in range(4):
        with pytest.raises(TimeoutError):  # nothing comes: the request goes on
            connection.settimeout(1.5)
            connection.recv(1)
        connection.settimeout(60)
        connection.sendall(PIECE[:1000])
        sent += 1000
    connection.sendall((PIECE * 2)[: size - sent])
    assert answer(connection).status == 200
    connection.close()
    connection = hasty.begin_put("stalled", size)
    connection.sendall(PIECE[:100_000])
    assert answer(connection).status == 408
    connection.close()
    assert "stalled" not in hasty.names()


def test_a_transfer_keeps_its_sandbox_from_being_idle(private_stack, bounded):
    """Its idle timeout is shorter than the transfer."""
    size = 1 * MB
    sent = 0
    with files_of(bounded.client, idle_timeout=10, disk_limit="16m") as brief:
        connection = brief.begin_put("slow", size)
        for _ in range(18):
            connection.sendall(PIECE[sent : sent + 50_000])
            sent += 50_000
            connection.settimeout(0.8)
            with pytest.raises(TimeoutError):  # nothing comes: the request goes on
                connection.recv(1)
        connection.settimeout(60)
        connection.sendall(PIECE[sent:size])
        assert answer(connection).status == 200
        connection.close()


def test_transfers_of_a_tenant_are_bounded(bounded):
    assert bounded.put("small", b"x").status == 200
    held = [bounded.begin_put(f"held{n}", 2 * MB) for n in range(2)]
    for connection in held:
        connection.sendall(PIECE[:100_000])
    eventually(lambda: len([n for n in bounded.names() if n.startswith(".atoll-")]) == 2, 60)
    refused = bounded.put("third", PIECE * 2)
    assert_problem(refused, 429, "too_many")
    assert int(refused.headers["Retry-After"]) >= 1
    assert bounded.get("small").status == 200, "small files need no place"
    for connection in held:
        connection.close()
    eventually(lambda: bounded.put("third", PIECE * 20).status == 200, 60)
    # Readers that take nothing hold the places too, until they leave.
    held = [bounded.begin("GET", "third") for _ in range(2)]
    for connection in held:
        assert connection.recv(1) == b"H"
    assert_problem(bounded.get("third"), 429, "too_many")
    for connection in held:
        connection.close()
    eventually(lambda: bounded.get("third").body == PIECE * 20, 60)
    assert bounded.client.post(f"{bounded.base}/remove", {"path": "third"}).status == 204


def test_a_reader_that_leaves_ends_the_reading(files):
    upload(files, "left", 64, False)
    for _ in range(40):  # more than places
        connection = files.begin("GET", "left")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        connection.close()
        eventually(lambda: files.get("left", headers={"Range": "bytes=0-0"}).status == 206, 60)
    eventually(lambda: len(files.get("left").body) == 64 * MB, 60)


def test_what_a_write_answers_names_the_file(files):
    written = files.put("tagged", b"one")
    read = files.get("tagged")
    assert written.headers["ETag"] == read.headers["ETag"] == written.json["etag"]
    assert written.json["path"] == "/sandbox/tagged" and written.json["size"] == 3


def test_if_match(files):
    first = files.put("matched", b"one").headers["ETag"]
    second = files.put("matched", b"two", headers={"If-Match": f'"other", {first}'})
    assert second.status == 200
    for stale in (first, '"other"', f"W/{second.headers['ETag']}", "other"):
        refused = files.put("matched", b"three", headers={"If-Match": stale})
        assert_problem(refused, 412, "precondition_failed")
    assert files.put("matched", b"four", headers={"If-Match": "*"}).status == 200
    assert_problem(files.put("not-there", b"x", headers={"If-Match": "*"}), 412,
                   "precondition_failed")
    assert files.get("matched").body == b"four" and "not-there" not in files.names()


def test_if_none_match(files):
    new = files.put("fresh", b"one", headers={"If-None-Match": "*"})
    assert new.status == 200
    for list_ in ("*", new.headers["ETag"], f'"a", W/{new.headers["ETag"]}'):
        refused = files.put("fresh", b"two", headers={"If-None-Match": list_})
        assert_problem(refused, 412, "precondition_failed")
    assert files.put("fresh", b"two", headers={"If-None-Match": '"other"'}).status == 200


@pytest.mark.parametrize("condition", ["If-Match", "If-None-Match"])
def test_of_writers_with_one_condition_one_wins(files, condition):
    """Each has seen the same: whoever comes second must not undo the first."""
    path = f"race-{condition}"
    seen = files.put(path, b"first").headers["ETag"] if condition == "If-Match" else "*"
    contents = [os.urandom(200_000) for _ in range(8)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda c: files.put(path, c, headers={condition: seen}), contents))
    won = [content for content, reply in zip(contents, replies) if reply.status == 200]
    assert sorted(reply.status for reply in replies) == [200] + 7 * [412]
    assert files.get(path).body == won[0]


def test_the_condition_is_judged_before_the_body(files):
    assert files.put("judged", b"x").status == 200
    connection = files.begin("PUT", "judged", "Content-Type: application/octet-stream",
                             "Content-Length: 90000000", 'If-Match: "other"')
    connection.sendall(PIECE[:100_000])
    assert answer(connection).status == 412
    connection.close()


def test_a_key_does_not_make_a_transfer_wait_in_memory(stack, files):
    """PUT is idempotent without a key, and a body of any size cannot be kept for comparison."""
    headers = {"Idempotency-Key": "one"}
    assert files.put("keyed", PIECE * 20, headers=headers).status == 200
    again = files.put("keyed", b"other", headers=headers)
    assert again.status == 200 and "Idempotency-Replayed" not in again.headers
    assert files.get("keyed").body == b"other"
