"""/v1/sandboxes/{id}/files/watch: what changes in a folder, told without a gap that is not marked."""

from urllib.parse import urlencode

import pytest

from support import tenancy
from support.client import assert_problem
from support.processes import a_sandbox
from support.sse import EventStream
from support.wait import eventually

STORM = 100_000
# Makes so many files, a thousand at a time, because a sandbox's disk has only so many.
STORM_SCRIPT = f"""
mkdir s; i=0
while [ $i -lt {STORM} ]; do
    : >s/$i || break
    i=$((i+1))
    [ $((i % 1000)) -ne 0 ] || {{ rm -r s/*; }}
done
: >end
"""


@pytest.fixture(scope="module")
def member(stack):
    return tenancy.as_role(stack, "member")


@pytest.fixture
def sandbox(member):
    with a_sandbox(member) as sandbox_id:
        yield sandbox_id


def watch(member, sandbox, ready=True, **query):
    stream = EventStream(member, f"/v1/sandboxes/{sandbox}/files/watch?{urlencode(query)}")
    assert stream.status == 200, stream.reply.read()
    if ready:
        folder = query.get("path", "/sandbox")
        assert stream.take(1) == [(None, "ready", {"path": folder, "folder": True})]
    return stream


def run(member, sandbox, script):
    done = member.post(
        f"/v1/sandboxes/{sandbox}/exec", {"command": script, "timeout": 240}, timeout=300
    )
    assert done.status == 200 and done.json["exit_code"] == 0, (done, done.json)


def told(stream, count):
    return [(kind, data["path"], data.get("target")) for _, kind, data in stream.take(count)]


def test_changes_are_told_in_their_order(member, sandbox):
    with watch(member, sandbox) as stream:
        run(member, sandbox, "echo 1 >f; chmod 600 f; mv f g; rm g; mkdir d; touch d/quiet; rmdir e || touch z")
        assert told(stream, 7) == [
            ("create", "/sandbox/f", None),
            ("modify", "/sandbox/f", None),
            ("attrib", "/sandbox/f", None),
            ("move", "/sandbox/f", "/sandbox/g"),
            ("delete", "/sandbox/g", None),
            ("create", "/sandbox/d", None),
            ("create", "/sandbox/z", None),
        ]


def test_new_folders_are_watched_as_they_come(member, sandbox):
    with watch(member, sandbox, path="/sandbox", recursive="true") as stream:
        run(member, sandbox, "for i in $(seq 300); do mkdir -p a$i/b/c; : >a$i/b/c/f; done; : >end")
        wanted = {f"/sandbox/a{i}/b/c/f" for i in range(1, 301)}
        for _, kind, data in stream:
            assert kind != "overflow"
            if data["path"] == "/sandbox/end":
                break
            if kind == "create":
                wanted.discard(data["path"])
        assert not wanted


def test_what_calls_of_files_make_is_told_once_it_is_there(member, sandbox):
    """Not under the names that it has until then."""
    base = f"/v1/sandboxes/{sandbox}/files"
    octets = {"Content-Type": "application/octet-stream"}
    with watch(member, sandbox, recursive="true") as stream:
        for content in (b"one", b"two"):
            written = member.request("PUT", f"{base}/content?path=a/b", content, headers=octets)
            assert written.status == 200, written
        copy = {"path": "a", "target": "c", "recursive": True}
        assert member.post(f"{base}/copy", copy).status == 204
        gone = {"path": "c", "recursive": True}
        assert member.post(f"{base}/remove", gone).status == 204
        assert told(stream, 7) == [
            ("create", "/sandbox/a", None),
            ("create", "/sandbox/a/b", None),
            ("create", "/sandbox/a/b", None),
            ("create", "/sandbox/c", None),
            ("create", "/sandbox/c/b", None),
            ("delete", "/sandbox/c/b", None),
            ("delete", "/sandbox/c", None),
        ]


def test_paths_of_the_folder_itself_are_plain(member, sandbox):
    with watch(member, sandbox, path=".", ready=False) as stream:
        run(member, sandbox, ": >f")
        assert [(kind, path) for kind, path, _ in told(stream, 2)][1:] == [("create", "/sandbox/f")]
    for path in (".", "./", "/sandbox/", "/sandbox/./"):
        listed = member.get(f"/v1/sandboxes/{sandbox}/files?{urlencode({'path': path})}").json
        assert [item["path"] for item in listed["items"]] == ["/sandbox/f"]


def test_names_that_are_no_text_come_exactly(member, sandbox):
    with watch(member, sandbox) as stream:
        run(member, sandbox, ": >\"$(printf 'a\\377')\"; : >'b\nc'")
        first, second = (data for _, kind, data in stream.take(2))
        assert first["path"] == "/sandbox/a\ufffd"
        assert first["path_base64"] == "L3NhbmRib3gvYf8="
        assert second["path"] == "/sandbox/b\nc" and "path_base64" not in second


def test_it_ends_with_the_sandbox_and_says_so(member, sandbox):
    with watch(member, sandbox) as stream:
        assert member.post(f"/v1/sandboxes/{sandbox}/stop", {}).status == 200
        assert list(stream) == [(None, "end", {"reason": "sandbox", "state": "stopped"})]


def test_it_ends_with_the_folder_and_says_so(member, sandbox):
    run(member, sandbox, "mkdir folder")
    with watch(member, sandbox, path="/sandbox/folder") as stream:
        run(member, sandbox, "rmdir folder")
        assert [(kind, data) for _, kind, data in stream] == [
            ("delete", {"path": "/sandbox/folder", "folder": True}),
            ("end", {"reason": "folder", "state": None}),
        ]


def test_a_storm_loses_nothing_that_is_not_marked(member, sandbox):
    with watch(member, sandbox, recursive="true") as stream:
        started = member.post(
            f"/v1/sandboxes/{sandbox}/processes",
            # Its end is told again and again: once could be lost with others.
            {"command": STORM_SCRIPT + "while sleep 1; do : >end; done"},
        )
        assert started.status == 201, started
        last, marked, gaps = -1, False, 0
        missing = set()  # what a new folder has already is told in the folder's own order
        for _, kind, data in stream:
            if data["path"] == "/sandbox/end":
                break
            marked = marked or kind == "overflow"
            name = data["path"].removeprefix("/sandbox/s/")
            if kind != "create" or not name.isdigit():
                continue
            missing.discard(int(name))
            if int(name) <= last:
                continue
            if marked:
                gaps += int(name) != last + 1
            else:
                missing.update(range(last + 1, int(name)))
            last, marked = int(name), False
        assert not missing, f"{len(missing)} were not told: {sorted(missing)[:5]}"
        assert last == STORM - 1 or marked
        assert last > 0 or gaps


def test_a_reader_that_does_not_read_costs_no_memory(stack, member, sandbox):
    with watch(member, sandbox, recursive="true") as stream:
        before = stack.server.resident_kib()
        run(member, sandbox, STORM_SCRIPT)
        assert stack.server.resident_kib() - before < 4096
        kinds = set()
        for _, kind, _ in stream:
            kinds.add(kind)
            if kind == "overflow":
                break
        assert "overflow" in kinds
        run(member, sandbox, "touch after")
        assert any(data["path"] == "/sandbox/after" for _, _, data in stream)


@pytest.mark.parametrize(
    "query,status,code,field",
    [
        ({"path": "missing"}, 404, "not_found", "path"),
        ({"path": "/etc/passwd"}, 409, "conflict", "path"),
        ({"path": "/root"}, 403, "permission_denied", "path"),
        ({"path": "/proc/self/fd/4"}, 422, "not_possible", "path"),
        ({"path": ""}, 400, "invalid_field", "path"),
        ({"path": "x" * 4096}, 400, "invalid_field", "path"),
        ({"path": "x" * 4090}, 422, "not_possible", "path"),
        ({"user": "nobody-there"}, 422, "not_possible", None),
        ({"user": ""}, 400, "invalid_field", "user"),
        ({"recursive": "yes"}, 400, "invalid_field", "recursive"),
        ({"depth": "1"}, 400, "unknown_field", "query"),
    ],
)
def test_what_cannot_be_watched_is_refused(member, shared, query, status, code, field):
    reply = member.get(f"/v1/sandboxes/{shared}/files/watch?{urlencode(query)}")
    problem = assert_problem(reply, status, code)
    assert field is None or problem["field"] == field, problem


@pytest.fixture(scope="module")
def shared(member):
    with a_sandbox(member) as sandbox_id:
        yield sandbox_id


def test_a_sandbox_has_so_many_watches(member, sandbox):
    streams = [watch(member, sandbox) for _ in range(16)]
    path = f"/v1/sandboxes/{sandbox}/files/watch"
    assert_problem(member.get(path), 429, "too_many")
    for stream in streams:
        stream.close()

    def free():
        stream = EventStream(member, path)
        stream.close()
        return stream.status == 200

    eventually(free)


def test_a_sandbox_that_does_not_run_is_not_watched(member, sandbox):
    assert member.post(f"/v1/sandboxes/{sandbox}/stop", {}).status == 200
    assert_problem(member.get(f"/v1/sandboxes/{sandbox}/files/watch"), 409, "conflict")
