"""/v1/sandboxes/{id}/files/search: files by name and content, inside bounds that are told."""

import base64
import time
from urllib.parse import quote, urlencode

import pytest

from support import tenancy
from support.client import assert_problem
from support.processes import new_sandbox

SETUP = r"""
mkdir -p src/deep other; cd src
printf 'one\nTwo needle\nthree\n' >a.py
printf 'needle first\nno\nneedle last' >deep/b.py
printf 'x.y\nxzy\n' >deep/c.txt
printf 'needle \303\251\n' >utf8.txt; printf 'needle \377\n' >bytes.txt
printf 'needle\000\n' >binary
head -c 100000 /dev/zero | tr '\0' 'a' >long; printf 'needle' >>long; head -c 100000 /dev/zero | tr '\0' 'b' >>long
printf '\nsecond needle\n' >>long
: >"$(printf 'odd\377name')"; ln -s ../other link; echo needle >../other/linked
mkdir secret; echo needle >secret/f; chmod 0 secret; echo needle >closed; chmod 0 closed
cd ..; mkdir many; cd many; seq 1 3000 | xargs touch
"""


@pytest.fixture(scope="module")
def search(stack):
    member = tenancy.as_role(stack, "member")
    path = f"/v1/sandboxes/{new_sandbox(member)}"
    done = member.post(f"{path}/exec", {"command": SETUP})
    assert done.status == 200 and done.json["exit_code"] == 0, done.json

    def search(**query):
        return member.get(f"{path}/files/search?{urlencode(query, quote_via=quote)}")

    yield search
    assert member.request("DELETE", path).status == 204


def found(reply):
    assert reply.status == 200, reply
    return reply.json


def paths(reply):
    return sorted(item["path"].removeprefix("/sandbox/") for item in found(reply)["items"])


def lines(reply):
    return sorted(
        (item["path"].removeprefix("/sandbox/"), item["line"], item["text"])
        for item in found(reply)["items"]
    )


def test_names_are_globs(search):
    assert paths(search(path="src", name="*.py")) == ["src/a.py", "src/deep/b.py"]
    assert paths(search(path="src", name="?.[pq]y")) == ["src/a.py", "src/deep/b.py"]
    assert paths(search(path="src", name="A.PY")) == []
    assert paths(search(path="src", name="A.PY", ignore_case="true")) == ["src/a.py"]
    kinds = {item["path"]: item["type"] for item in found(search(path="src", name="*"))["items"]}
    assert kinds["/sandbox/src/deep"] == "folder" and kinds["/sandbox/src/link"] == "link"
    odd = found(search(path="src", name="odd*"))["items"][0]
    assert base64.b64decode(odd["path_base64"]) == b"/sandbox/src/odd\xffname"
    assert odd["line"] is None and odd["text"] is None


def test_content_is_found_by_line(search):
    reply = search(path="src", name="*.py", content="needle")
    assert lines(reply) == [
        ("src/a.py", 2, "Two needle"),
        ("src/deep/b.py", 1, "needle first"),
        ("src/deep/b.py", 3, "needle last"),
    ]
    assert not reply.json["truncated"] and reply.json["files"] == 2
    assert lines(search(path="src/a.py", content="one")) == [("src/a.py", 1, "one")]


def test_a_text_is_no_expression_unless_asked_for(search):
    assert lines(search(path="src", content="x.y")) == [("src/deep/c.txt", 1, "x.y")]
    assert lines(search(path="src", content="^x.y$", regex="true")) == [
        ("src/deep/c.txt", 1, "x.y"), ("src/deep/c.txt", 2, "xzy")
    ]
    assert paths(search(path="src", content="TWO", ignore_case="true")) == ["src/a.py"]
    assert paths(search(path="src", content="TWO")) == []


def test_what_is_no_text(search):
    reply = found(search(path="src", content="needle"))
    by_path = {item["path"].removeprefix("/sandbox/src/"): item for item in reply["items"]}
    assert by_path["utf8.txt"]["text"] == "needle é" and "text_base64" not in by_path["utf8.txt"]
    assert base64.b64decode(by_path["bytes.txt"]["text_base64"]) == b"needle \xff"
    assert "binary" not in by_path and reply["binary"] == 1
    # Links are not entered; what may not be read is counted.
    assert not any(name.startswith(("link", "secret", "closed")) for name in by_path)
    assert reply["unread"] == 2


def test_a_long_line_is_found_and_cut(search):
    items = found(search(path="src/long", content="needle"))["items"]
    assert [(item["line"], item["text_truncated"]) for item in items] == [(1, True), (2, False)]
    assert "needle" in items[0]["text"] and len(items[0]["text"]) <= 1023
    assert items[1]["text"] == "second needle"
    assert not found(search(path="src/long", content="a{200}needle", regex="true"))["truncated"]


def test_bounds_are_told(search):
    cut = found(search(path="many", name="*", limit="10"))
    assert len(cut["items"]) == 10 and cut["truncated"] and not cut["timed_out"]
    whole = found(search(path="many", name="*", limit="3000"))
    assert len(whole["items"]) == 3000 and not whole["truncated"]


def test_an_expression_of_bad_will_costs_its_time_and_no_more(search):
    begin = time.monotonic()
    reply = found(search(path="src/long", content="(a*)*(a|aa)+((a?){100})+b{50}c$", regex="true", timeout="1"))
    assert reply["items"] == []
    assert time.monotonic() - begin < 60


@pytest.mark.parametrize(
    "query,status,code,field",
    [
        ({}, 422, "not_possible", "name"),
        ({"regex": "true", "name": "x"}, 422, "not_possible", "content"),
        ({"name": "a/b"}, 422, "not_possible", "name"),
        ({"name": ""}, 400, "invalid_field", "name"),
        ({"name": "x" * 256}, 400, "invalid_field", "name"),
        ({"content": ""}, 400, "invalid_field", "content"),
        ({"content": "é" * 600}, 400, "invalid_field", "content"),
        ({"content": "a\nb"}, 400, "bad_request", None),
        ({"content": "(", "regex": "true"}, 422, "not_possible", "content"),
        ({"content": "x", "limit": "0"}, 400, "invalid_field", "limit"),
        ({"content": "x", "limit": "10001"}, 400, "invalid_field", "limit"),
        ({"content": "x", "timeout": "61"}, 400, "invalid_field", "timeout"),
        ({"name": "x", "path": "missing"}, 404, "not_found", "path"),
        ({"name": "x", "path": "/etc/passwd"}, 409, "conflict", "path"),
        ({"name": "x", "path": "src/secret"}, 403, "permission_denied", "path"),
        ({"content": "x", "path": "src/closed"}, 403, "permission_denied", "path"),
        ({"content": "x", "path": "/proc/self/fd/4"}, 422, "not_possible", "path"),
        ({"name": "x", "user": "nobody-there"}, 422, "not_possible", None),
    ],
)
def test_what_cannot_be_searched_is_refused(search, query, status, code, field):
    problem = assert_problem(search(**query), status, code)
    assert field is None or problem["field"] == field, problem
