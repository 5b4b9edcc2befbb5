"""HTTP framing over raw sockets: what is ambiguous is refused with 400 and a closed connection."""

import pytest

from support.client import RawConnection, status_lines

HOST = b"Host: atoll\r\n"
SMUGGLED = b"GET /health HTTP/1.1\r\nHost: atoll\r\nX-Request-Id: smuggled\r\n\r\n"


def post(headers, body=b"{}"):
    return b"POST /sandbox HTTP/1.1\r\n" + HOST + headers + b"\r\n" + body


def get(headers=b"", target=b"/health", version=b"HTTP/1.1", host=HOST):
    return b"GET " + target + b" " + version + b"\r\n" + host + headers + b"\r\n"


CHUNKED = b"Transfer-Encoding: chunked\r\n"
REFUSED = {
    "content-length with transfer-encoding": post(
        b"Content-Length: 4\r\n" + CHUNKED, b"0\r\n\r\n" + SMUGGLED
    ),
    "transfer-encoding with content-length": post(
        CHUNKED + b"Content-Length: 4\r\n", b"0\r\n\r\n" + SMUGGLED
    ),
    "two content-lengths": post(b"Content-Length: 2\r\nContent-Length: 40\r\n", b"{}" + SMUGGLED),
    "two equal content-lengths": post(b"Content-Length: 2\r\nContent-Length: 2\r\n"),
    "content-length list": post(b"Content-Length: 2, 2\r\n"),
    "content-length +2": post(b"Content-Length: +2\r\n"),
    "content-length -2": post(b"Content-Length: -2\r\n"),
    "content-length 0x2": post(b"Content-Length: 0x2\r\n"),
    "content-length 2abc": post(b"Content-Length: 2abc\r\n"),
    "content-length 2 2": post(b"Content-Length: 2 2\r\n"),
    "empty content-length": post(b"Content-Length: \r\n"),
    "content-length of 30 digits": post(b"Content-Length: " + b"9" * 30 + b"\r\n"),
    "space before the colon": post(b"Content-Length : 2\r\n"),
    "tab before the colon": post(b"Content-Length\t: 2\r\n"),
    "transfer-encoding twice": post(CHUNKED + CHUNKED, b"0\r\n\r\n"),
    "transfer-encoding identity": post(b"Transfer-Encoding: identity\r\n", b"0\r\n\r\n"),
    "transfer-encoding gzip, chunked": post(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"),
    "transfer-encoding xchunked": post(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"),
    "transfer-encoding in HTTP/1.0": (
        b"POST /sandbox HTTP/1.0\r\n" + HOST + CHUNKED + b"\r\n0\r\n\r\n"
    ),
    "chunk size -1": post(CHUNKED, b"-1\r\n\r\n"),
    "chunk size 0x2": post(CHUNKED, b"0x2\r\n{}\r\n0\r\n\r\n"),
    "chunk size of 17 digits": post(CHUNKED, b"1" + b"0" * 16 + b"\r\n"),
    "chunk without CRLF": post(CHUNKED, b"2\r\n{}0\r\n\r\n"),
    "chunk line with bare LF": post(CHUNKED, b"2\n{}\n0\n\n"),
    "bare LF between headers": b"GET /health HTTP/1.1\nHost: atoll\n\n",
    "bare LF in one header": get(b"X-A: 1\nX-B: 2\r\n"),
    "bare CR in a header": get(b"X-A: 1\rX-B: 2\r\n"),
    "folded header": get(b"X-A: 1\r\n folded\r\n"),
    "header without colon": get(b"nonsense\r\n"),
    "header with empty name": get(b": value\r\n"),
    "header name with a space": get(b"X A: 1\r\n"),
    "NUL in a header": get(b"X-A: a\0b\r\n"),
    "control character in a header": get(b"X-A: a\x01b\r\n"),
    "no host": get(host=b""),
    "two hosts": get(host=HOST + b"Host: other\r\n"),
    "empty host": get(host=b"Host: \r\n"),
    "host with a path": get(host=b"Host: atoll/evil\r\n"),
    "encoded NUL in the path": get(target=b"/health%00x"),
    "raw NUL in the path": get(target=b"/health\0x"),
    "broken percent in the path": get(target=b"/health%zz"),
    "cut percent in the path": get(target=b"/health%2"),
    "encoded dot-dot": get(target=b"/sandbox/%2e%2e%2f%2e%2e%2fetc/passwd"),
    "dot-dot": get(target=b"/sandbox/../health"),
    "space in the target": get(target=b"/health x"),
    "fragment in the target": get(target=b"/health#x"),
    "no target": b"GET HTTP/1.1\r\nHost: atoll\r\n\r\n",
    "relative target": get(target=b"health"),
    "two spaces": b"GET  /health HTTP/1.1\r\nHost: atoll\r\n\r\n",
    "bytes over ASCII in the path": get(target=b"/\xff\xfe"),
    "lower-case version": get(version=b"http/1.1"),
    "version 0.9": b"GET /health\r\n\r\n",
    "TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 32 + b"\r\n\r\n",
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_400_and_close(stack, name):
    authorized = REFUSED[name]
    with RawConnection(stack.address) as connection:
        stream = connection.send(authorized).read_to_end()
    assert status_lines(stream) == [400], stream[:400]
    assert b"smuggled" not in stream
    assert b"application/problem+json" in stream


@pytest.mark.parametrize("version", [b"HTTP/2.0", b"HTTP/1.2", b"HTTP/3.0", b"HTTP/1.1x"])
def test_other_versions(stack, version):
    with RawConnection(stack.address) as connection:
        statuses = status_lines(connection.send(get(version=version)).read_to_end())
    assert statuses in ([400], [505])


def test_header_over_its_size(stack):
    with RawConnection(stack.address) as connection:
        stream = connection.send(get(b"X-Big: " + b"a" * 200000 + b"\r\n")).read_to_end()
    assert status_lines(stream) in ([431], [400], [])


def test_65_headers_are_too_many(stack):
    """civetweb drops what is past its 64th, a Content-Length among them."""
    headers = b"".join(b"X-%d: 1\r\n" % n for n in range(63)) + b"Content-Length: 100\r\n"
    with RawConnection(stack.address) as connection:
        stream = connection.send(get(headers) + SMUGGLED).read_to_end()
    assert status_lines(stream) == [431]


def test_target_over_its_size(stack):
    with RawConnection(stack.address) as connection:
        stream = connection.send(get(target=b"/" + b"a" * 200000)).read_to_end()
    assert status_lines(stream) in ([414], [431], [400], [])


# --- the positive controls: the same shapes, well-formed


def authorization(stack):
    return f"Authorization: Bearer {stack.token()}\r\n".encode()


def test_chunked_body_is_read(stack, client):
    body = b'{"runtime":"shell","code":"echo chunked"}'
    chunks = b"".join(b"%x\r\n%b\r\n" % (1, body[at : at + 1]) for at in range(len(body)))
    headers = authorization(stack) + CHUNKED + b"Content-Type: application/json\r\n"
    with RawConnection(stack.address) as connection:
        response = connection.send(post(headers, chunks + b"0\r\n\r\n")).response()
    assert response.status == 201, response
    stack.created.add(response.json["id"])
    assert client.execute(response.json["id"])["stdout"] == "chunked\n"


def test_keep_alive_and_pipelining(stack):
    with RawConnection(stack.address) as connection:
        connection.send(get() * 3)
        assert [connection.response().status for _ in range(3)] == [200, 200, 200]


def test_connection_close_is_honoured(stack):
    with RawConnection(stack.address) as connection:
        stream = connection.send(get(b"Connection: close\r\n")).read_to_end()
    assert status_lines(stream) == [200]


def test_http_1_0_closes(stack):
    with RawConnection(stack.address) as connection:
        stream = connection.send(get(version=b"HTTP/1.0")).read_to_end()
    assert status_lines(stream) == [200]


def test_a_request_in_single_bytes(stack):
    with RawConnection(stack.address) as connection:
        for byte in get():
            connection.send(bytes([byte]))
        assert connection.response().status == 200


def test_64_headers_are_not_too_many(stack):
    with RawConnection(stack.address) as connection:
        headers = b"".join(b"X-%d: 1\r\n" % n for n in range(63))
        assert connection.send(get(headers)).response().status == 200


def test_expect_100_continue(stack):
    body = b'{"runtime":"shell","code":"true"}'
    headers = (
        authorization(stack)
        + b"Content-Type: application/json\r\nExpect: 100-continue\r\n"
        + b"Content-Length: %d\r\nConnection: close\r\n" % len(body)
    )
    with RawConnection(stack.address) as connection:
        stream = connection.send(post(headers, body)).read_to_end()
    assert status_lines(stream)[-1] == 201, stream


def test_query_is_not_part_of_the_path(stack):
    with RawConnection(stack.address) as connection:
        assert connection.send(get(target=b"/health?x=1&y=%41")).response().status == 200


def test_a_body_on_get_does_not_become_a_request(stack):
    with RawConnection(stack.address) as connection:
        connection.send(
            get(b"Content-Length: %d\r\nConnection: close\r\n" % len(SMUGGLED)) + SMUGGLED
        )
        assert len(status_lines(connection.read_to_end())) == 1
