"""Bad input: a 4xx that names the field and the limit; nothing is created, nothing is left."""

import json
from urllib.parse import quote

import pytest

from support.client import assert_problem

GOOD = {"runtime": "shell", "code": "true"}
ABSENT = object()


def changed(**fields):
    body = {**GOOD, **fields}
    return {name: value for name, value in body.items() if value is not ABSENT}


def file_at(path, **more):
    return changed(files=[{"path": path, "content": "x", **more}])


# name: (body, code, what `field` holds, what the message holds)
FIELDS = {
    "unknown runtime": (changed(runtime="ruby"), "invalid_field", "runtime", "typescript"),
    "empty runtime": (changed(runtime=""), "invalid_field", "runtime", ""),
    "runtime in upper case": (changed(runtime="Shell"), "invalid_field", "runtime", ""),
    "no runtime": (changed(runtime=ABSENT), "missing_field", "runtime", "runtime"),
    "runtime of a wrong type": (changed(runtime=5), "invalid_field", "runtime", "string"),
    "runtime null": (changed(runtime=None), "invalid_field", "runtime", ""),
    "empty code": (changed(code=""), "invalid_field", "code", "1"),
    "no code": (changed(code=ABSENT), "missing_field", "code", "code"),
    "code of a wrong type": (changed(code=["x"]), "invalid_field", "code", "string"),
    "code over 1 MiB": (changed(code="#" * 1048577), "invalid_field", "code", "1048576"),
    "negative timeout": (changed(timeout_ms=-1), "invalid_field", "timeout_ms", "1"),
    "zero timeout": (changed(timeout_ms=0), "invalid_field", "timeout_ms", "1"),
    "huge timeout": (changed(timeout_ms=3600001), "invalid_field", "timeout_ms", "3600000"),
    "timeout 2^63": (changed(timeout_ms=2**63), "invalid_field", "timeout_ms", ""),
    "timeout 1e400": (
        b'{"runtime":"shell","code":"true","timeout_ms":1e400}', None, "timeout_ms", "",
    ),
    "fractional timeout": (changed(timeout_ms=1.5), "invalid_field", "timeout_ms", ""),
    "timeout as text": (changed(timeout_ms="5000"), "invalid_field", "timeout_ms", "integer"),
    "timeout as boolean": (changed(timeout_ms=True), "invalid_field", "timeout_ms", ""),
    "little memory": (changed(memory_limit_mb=15), "invalid_field", "memory_limit_mb", "16"),
    "negative memory": (changed(memory_limit_mb=-128), "invalid_field", "memory_limit_mb", "16"),
    "huge memory": (changed(memory_limit_mb=8193), "invalid_field", "memory_limit_mb", "8192"),
    "memory as object": (changed(memory_limit_mb={}), "invalid_field", "memory_limit_mb", ""),
    "entry point with ..": (changed(entry_point="../x"), "invalid_field", "entry_point", ""),
    "entry point with NUL": (changed(entry_point="a\0b"), "invalid_field", "entry_point", ""),
    "entry point of a wrong type": (changed(entry_point=1), "invalid_field", "entry_point", ""),
    "env_vars as list": (changed(env_vars=["A=1"]), "invalid_field", "env_vars", ""),
    "env name with =": (changed(env_vars={"A=B": "1"}), "invalid_field", "env_vars", ""),
    "env name with a digit first": (changed(env_vars={"1A": "1"}), "invalid_field", "env_vars", ""),
    "empty env name": (changed(env_vars={"": "1"}), "invalid_field", "env_vars", ""),
    "env value of a wrong type": (changed(env_vars={"A": 1}), "invalid_field", "env_vars", ""),
    "env value with NUL": (changed(env_vars={"A": "a\0b"}), "invalid_field", "env_vars", ""),
    "env value over 32 KiB": (
        changed(env_vars={"A": "x" * 32769}), "invalid_field", "env_vars", "32768",
    ),
    "257 env_vars": (
        changed(env_vars={f"V{n}": "" for n in range(257)}), "invalid_field", "env_vars", "256",
    ),
    "unknown field": (changed(colour="red"), "unknown_field", "colour", "colour"),
    "unknown field of a file": (file_at("a", mode=7), "unknown_field", "mode", "mode"),
    "field in wrong case": (changed(Code="x"), "unknown_field", "Code", ""),
    "files as object": (changed(files={}), "invalid_field", "files", ""),
    "file as text": (changed(files=["a"]), "invalid_field", "files", ""),
    "10,000 files": (
        changed(files=[{"path": f"f{n}", "content": ""} for n in range(10000)]),
        "invalid_field", "files", "1000",
    ),
    "1,001 files": (
        changed(files=[{"path": f"f{n}", "content": ""} for n in range(1001)]),
        "invalid_field", "files", "1000",
    ),
    "file without path": (changed(files=[{"content": "x"}]), "missing_field", "path", ""),
    "file without content": (changed(files=[{"path": "x"}]), "missing_field", "content", ""),
    "empty path": (file_at(""), "invalid_field", "path", ""),
    "path with ..": (file_at("../etc/passwd"), "invalid_field", "path", ".."),
    "path with .. inside": (file_at("a/../../b"), "invalid_field", "path", ".."),
    "path that is ..": (file_at(".."), "invalid_field", "path", ".."),
    "absolute path with ..": (file_at("/sandbox/../etc/x"), "invalid_field", "path", ".."),
    "path with NUL": (file_at("a\0b"), "invalid_field", "path", "NUL"),
    "path over 1,024 bytes": (file_at("a/" * 512 + "b"), "invalid_field", "path", "1024"),
    "path that is a folder": (file_at("a/"), "invalid_field", "path", ""),
    "path that is the root": (file_at("/"), "invalid_field", "path", ""),
    "path of a wrong type": (file_at(5), "invalid_field", "path", ""),
    "content of a wrong type": (file_at("a", content=5), "invalid_field", "content", ""),
    "is_executable of a wrong type": (
        file_at("a", is_executable="yes"), "invalid_field", "is_executable", "",
    ),
    "unknown encoding": (file_at("a", encoding="rot13"), "invalid_field", "encoding", "base64"),
    "broken base64": (
        file_at("a", content="a$b=", encoding="base64"), "invalid_field", "content", "base64",
    ),
}

# name: the bytes of a body that is not a well-formed request
BODIES = {
    "empty body": b"",
    "not JSON": b"runtime=shell&code=true",
    "cut JSON": b'{"runtime":"shell","code":"tr',
    "two documents": b'{"runtime":"shell","code":"true"}{}',
    "an array": b"[]",
    "a number": b"5",
    "null": b"null",
    "over-deep JSON": b'{"runtime":"shell","code":"true","files":' + b"[" * 17 + b"]" * 17 + b"}",
    "a million brackets": b"[" * 1000000,
    "invalid UTF-8": b'{"runtime":"shell","code":"\xff\xfe"}',
    "overlong UTF-8": b'{"runtime":"shell","code":"\xc0\xaf"}',
    "UTF-8 surrogate": b'{"runtime":"shell","code":"\xed\xa0\x80"}',
    "a lone escaped surrogate": b'{"runtime":"shell","code":"\\ud800"}',
    "a raw NUL": b'{"runtime":"shell","code":"a\0b"}',
    "a raw newline in a string": b'{"runtime":"shell","code":"a\nb"}',
    "duplicate keys": b'{"runtime":"shell","code":"true","code":"false"}',
    "a comment": b'{"runtime":"shell","code":"true"} // comment',
    "a trailing comma": b'{"runtime":"shell","code":"true",}',
    "NaN": b'{"runtime":"shell","code":"true","timeout_ms":NaN}',
}


@pytest.fixture
def nothing_created(stack):
    before = stack.sandbox_ids()
    yield
    assert stack.sandbox_ids() <= before
    stack.assert_clean()


@pytest.mark.parametrize("name", FIELDS)
def test_field(client, nothing_created, name):
    body, code, field, message = FIELDS[name]
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    problem = assert_problem(client.post("/sandbox", raw), 400, code)
    assert field in problem["field"], problem
    assert message in problem["detail"], problem


@pytest.mark.parametrize("name", BODIES)
def test_body(client, nothing_created, name):
    assert_problem(client.post("/sandbox", BODIES[name]), 400)


def test_an_empty_body_is_called_so(client):
    problem = assert_problem(client.post("/v1/sandboxes", b""), 400, "bad_request")
    assert "empty" in problem["detail"]


def test_body_of_100_megabytes(client, nothing_created):
    """Refused by its announced length: the server need not read it."""
    response = client.post("/sandbox", b"", headers={"Content-Length": str(100 << 20)})
    problem = assert_problem(response, 413, "too_large")
    assert "16777216" in problem["detail"] or "16 MiB" in problem["detail"]


def test_body_just_over_the_limit_sent_whole(client, nothing_created):
    content = "x" * (16 << 20)
    body = json.dumps(changed(files=[{"path": "a", "content": content}])).encode()
    try:
        response = client.post("/sandbox", body)
    except (BrokenPipeError, ConnectionResetError):
        return  # the server answered and closed before all was sent
    assert_problem(response, 413, "too_large")


def test_a_body_just_under_the_limit_is_taken(client):
    content = "x" * ((16 << 20) - 200)
    sandbox_id = client.create("shell", "wc -c < a", files=[{"path": "a", "content": content}])
    assert client.execute(sandbox_id)["stdout"].strip() == str(len(content))
    client.delete(sandbox_id)


def test_depth_of_16_is_not_too_deep_to_be_read(client, nothing_created):
    body = b'{"runtime":"shell","code":"true","x":' + b"[" * 15 + b"]" * 15 + b"}"
    problem = assert_problem(client.post("/sandbox", body), 400, "unknown_field")
    assert problem["field"] == "x"


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded"])
def test_other_media_types(client, nothing_created, content_type):
    response = client.post("/sandbox", GOOD, headers={"Content-Type": content_type})
    assert_problem(response, 415, "unsupported_media_type")


UPLOADS = {
    "an object": ({"path": "a", "content": "b"}, None),
    "a path with ..": ([{"path": "../a", "content": "b"}], "path"),
    "an unknown field": ([{"path": "a", "content": "b", "colour": "red"}], "colour"),
    "10,000 files": ([{"path": f"f{n}", "content": ""} for n in range(10000)], "files"),
}


@pytest.mark.parametrize("name", UPLOADS)
def test_upload(client, name):
    body, field = UPLOADS[name]
    sandbox_id = client.create("shell", "find /sandbox -type f | wc -l")
    before = client.execute(sandbox_id)["stdout"]
    problem = assert_problem(client.post(f"/sandbox/{sandbox_id}/files", body), 400)
    if field:
        assert field in problem.get("field", "") + problem["detail"], problem
    assert client.execute(sandbox_id)["stdout"] == before


def test_uploads_do_not_add_up_past_the_limit(client, stack):
    """A sandbox holds 10,000 files, however many uploads brought them."""
    sandbox_id = client.create("shell", "true")
    for part in range(10):
        files = [{"path": f"{part}/{n}", "content": ""} for n in range(1000)]
        assert client.post(f"/sandbox/{sandbox_id}/files", files).status == 200
    response = client.post(f"/sandbox/{sandbox_id}/files", [{"path": "one-more", "content": ""}])
    problem = assert_problem(response, 413, "too_large")
    assert problem["field"] == "files"
    assert client.info(sandbox_id)["files"] == 10000
    client.delete(sandbox_id)


def test_the_same_path_twice(client, nothing_created):
    files = [{"path": "a", "content": "1"}, {"path": "/sandbox/a", "content": "2"}]
    problem = assert_problem(client.post("/sandbox", changed(files=files)), 409, "conflict")
    assert "path" in problem["detail"]


@pytest.mark.parametrize(
    "sandbox_id",
    ["x", "0", "g" * 32, "0" * 31, "0" * 33, "0" * 32, "..", "%2e%2e", "'; DROP TABLE tenants; --",
     "0" * 32 + "%0a", "{" + "0" * 32 + "}"],
)
def test_ids_that_are_none(client, sandbox_id):
    path = f"/sandbox/{quote(sandbox_id, safe='%')}"
    for method, tail in (("GET", ""), ("DELETE", ""), ("POST", "/execute")):
        response = client.request(method, path + tail)
        assert response.status in (400, 404, 405), (method, response)


@pytest.mark.parametrize("method, path", [
    ("GET", ""), ("GET", "/why"), ("DELETE", ""), ("POST", "/stop"), ("POST", "/exec"),
])
def test_a_parameter_that_a_route_does_not_have_is_refused(client, method, path):
    """Before anything is done."""
    made = f"/v1/sandboxes/{client.post('/v1/sandboxes', {}).json['id']}"
    body = {"command": "true"} if path == "/exec" else None
    response = client.request(method, f"{made}{path}?timeout=0", body)
    problem = assert_problem(response, 400, "unknown_field")
    assert problem["detail"] == "there is no parameter 'timeout'"
    assert client.get(made).json["state"] == "running"
    assert client.request("DELETE", made).status == 204


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=-1", "limit=x", "limit=", "cursor=x", "cursor=%00"]
)
def test_listing_query(client, query):
    problem = assert_problem(client.get(f"/sandboxes?{query}"), 400)
    assert query.split("=")[0] in problem.get("field", "") + problem["detail"] or "%00" in query


def test_execute_body_with_unknown_field(client):
    sandbox_id = client.create()
    problem = assert_problem(client.try_execute(sandbox_id, body={"x": 1}), 400, "unknown_field")
    assert problem["field"] == "x"
