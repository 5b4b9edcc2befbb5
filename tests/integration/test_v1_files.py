"""/v1/sandboxes/{id}/files: what users do with files, and what a hostile sandbox puts in the way."""

import base64
import concurrent.futures
import json
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from support import tenancy
from support.client import assert_problem
from support.processes import a_sandbox, new_sandbox
from support.wait import eventually

BYTES = {"Content-Type": "application/octet-stream"}
# Traps that the sandbox's own code lays; it tells that it is done by the last file.
TRAPS = """
cd /sandbox
ln -s /proc/1/root root; ln -s /proc/1/fd fds; ln -s /proc/self/fd/4 logs
ln -s loop loop; ln -s nowhere dangling; ln -s /etc/shadow shadow
mkdir keep swapped; echo kept > keep/me
touch "$(printf 'bad\\377name')"
mkdir many; (cd many; seq 1 10000 | xargs touch)
touch ready
while :; do mv swapped away; ln -s keep swapped; rm swapped; mv away swapped; done
"""


def assert_refused(response, status, code, field=None):
    problem = assert_problem(response, status, code)
    assert field is None or problem["field"] == field, problem


class Files:
    """The files of one sandbox."""

    def __init__(self, client, sandbox_id):
        self.client = client
        self.base = f"/v1/sandboxes/{sandbox_id}"

    def get(self, what, path=None, headers=None, method="GET", **query):
        query.update({"path": path} if path else {})
        return self.client.request(
            method, f"{self.base}/files{what}?{urlencode(query, quote_via=quote)}", headers=headers
        )

    def put(self, path, content, **query):
        query["path"] = path
        return self.client.request(
            "PUT", f"{self.base}/files/content?{urlencode(query)}", content, headers=BYTES
        )

    def post(self, what, **body):
        return self.client.post(f"{self.base}/files/{what}", body)

    def write(self, path, content=b"x", **query):
        response = self.put(path, content, **query)
        assert response.status == 200, response
        return response.json

    def read(self, path, **query):
        response = self.get("/content", path, **query)
        assert response.status == 200, response
        return response.body

    def stat(self, path, **query):
        response = self.get("/stat", path, **query)
        assert response.status == 200, response
        return response.json

    def list(self, path=None, **query):
        response = self.get("", path, **query)
        assert response.status == 200, response
        return response.json

    def change(self, what, **body):
        response = self.post(what, **body)
        assert response.status == 204, response

    def exists(self, path):
        response = self.get("/exists", path)
        assert response.status == 200, response
        return response.json["exists"]


@pytest.fixture(scope="module")
def member(stack):
    return tenancy.as_role(stack, "member")


@pytest.fixture(scope="module")
def files(member):
    with a_sandbox(member) as sandbox_id:
        yield Files(member, sandbox_id)


@pytest.fixture(scope="module")
def trapped(member):
    """A sandbox full of traps, which goes on swapping a folder for a link."""
    with a_sandbox(member, command=TRAPS) as sandbox_id:
        trapped = Files(member, sandbox_id)
        eventually(lambda: trapped.exists("ready"), timeout=60)
        yield trapped


@pytest.mark.parametrize(
    "content", [b"", b"plain\n", bytes(range(256)) * 300, b"$(id) `id` \"'\\ \r\n", b"x" * 3_000_000],
    ids=["empty", "text", "binary", "quotes", "large"],
)
def test_bytes_come_back_identical(files, content):
    made = files.write("deep/er/a b\"'$(x)", content)
    assert made["path"] == "/sandbox/deep/er/a b\"'$(x)" and made["size"] == len(content)
    assert files.read("/sandbox/deep/er/a b\"'$(x)") == content


def test_what_is_written_has_its_mode_and_owner(files):
    assert files.write("script", b"#!/bin/sh\n", mode="0750")["mode"] == "0750"
    mine = files.stat("script")
    assert (mine["type"], mine["owner"], mine["group"], mine["link"]) == ("file", "user", "user", None)
    files.write("/root-file", b"r", user="root", mode="600")
    assert files.stat("/root-file")["owner"] == "root"
    assert files.read("/root-file", user="root") == b"r"
    assert_refused(files.get("/content", "/root-file"), 403, "permission_denied", field="path")
    assert_refused(files.put("/etc/mine", b"x"), 403, "permission_denied", field="path")
    assert_refused(files.post("chmod", path="/root-file", mode="777"), 403, "permission_denied")
    assert_refused(files.post("remove", path="/root-file"), 403, "permission_denied")


def test_a_script_with_other_content_still_runs(files):
    files.write("tool", b"#!/bin/sh\n", mode="0755")
    assert files.write("tool", b"#!/bin/bash\n")["mode"] == "0755"
    assert files.post("batch", files=[{"path": "tool", "content": ""}]).json["written"] == 1
    assert files.stat("tool")["mode"] == "0755"
    assert files.write("tool", b"", mode="0644")["mode"] == "0644"


def test_ranges(files):
    files.write("digits", b"0123456789")
    for field, expected, told in (
        ("bytes=2-4", b"234", "bytes 2-4/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=8-99", b"89", "bytes 8-9/10"),
    ):
        part = files.get("/content", "digits", headers={"Range": field})
        assert (part.status, part.body, part.headers["Content-Range"]) == (206, expected, told)
    outside = files.get("/content", "digits", headers={"Range": "bytes=10-"})
    assert_refused(outside, 416, "range_not_satisfiable")
    assert outside.headers["Content-Range"] == "bytes */10"
    for field in ("bytes=4-2", "bytes=0-1,3-4", "lines=1-2", "bytes=x-"):
        assert files.get("/content", "digits", headers={"Range": field}).status == 200
    other = {"Range": "bytes=0-1", "If-Range": '"other"'}
    assert files.get("/content", "digits", headers=other).status == 200


def test_etag(files):
    files.write("tagged", b"one")
    first = files.get("/content", "tagged")
    tag = first.headers["ETag"]
    assert files.stat("tagged")["etag"] == tag
    same = files.get("/content", "tagged", headers={"If-None-Match": tag})
    assert (same.status, same.body, same.headers["ETag"]) == (304, b"", tag)
    head = files.get("/content", "tagged", method="HEAD")
    assert (head.status, head.headers["Content-Length"], head.body) == (200, "3", b"")
    files.write("tagged", b"two")
    changed = files.get("/content", "tagged", headers={"If-None-Match": tag})
    assert (changed.status, changed.body) == (200, b"two") and changed.headers["ETag"] != tag


def test_list(files):
    files.change("mkdir", path="tree/a/b", parents=True)
    files.write("tree/f", b"12")
    files.write("tree/a/g")
    flat = files.list("tree")
    assert {item["path"] for item in flat["items"]} == {"/sandbox/tree/a", "/sandbox/tree/f"}
    assert not flat["truncated"]
    deep = files.list("tree", depth=3)
    assert {item["path"] for item in deep["items"]} == {
        "/sandbox/tree/a", "/sandbox/tree/f", "/sandbox/tree/a/b", "/sandbox/tree/a/g"
    }
    for same in ("./tree", ".//tree", "././tree"):
        assert files.list(same)["items"] == flat["items"]
    cut = files.list("tree", depth=3, limit=3)
    assert len(cut["items"]) == 3 and cut["truncated"]
    assert any(item["path"] == "/sandbox/tree" for item in files.list()["items"])
    assert_refused(files.get("", "tree/f"), 409, "conflict", field="path")


def test_move_copy_chmod_remove(files):
    files.write("from/one", b"1")
    files.change("copy", path="from", target="twin", recursive=True)
    assert files.read("twin/one") == b"1"
    assert_refused(files.post("copy", path="from", target="twin", recursive=True), 409, "conflict")
    files.change("move", path="twin/one", target="moved")
    assert files.read("moved") == b"1" and not files.exists("twin/one")
    files.write("other", b"2")
    assert_refused(files.post("move", path="moved", target="other"), 409, "conflict")
    files.change("move", path="moved", target="other", replace=True)
    assert files.read("other") == b"1"
    files.change("chmod", path="other", mode="0400")
    assert files.stat("other")["mode"] == "0400"
    assert_refused(files.post("remove", path="from"), 409, "conflict", field="path")
    files.change("remove", path="from", recursive=True)
    assert not files.exists("from")
    assert_refused(files.post("remove", path="from"), 404, "not_found", field="path")
    assert_refused(files.post("mkdir", path="other"), 409, "conflict")
    assert_refused(files.post("mkdir", path="no/such"), 404, "not_found", field="path")


@pytest.mark.parametrize("what, body, field, detail", [
    ("remove", {"path": "none"}, "path", "cannot remove '/sandbox/none': No such"),
    ("mkdir", {"path": "/etc/x"}, "path", "cannot make the folder '/etc/x': Permission"),
    ("chmod", {"path": "none", "mode": "600"}, "path", "cannot change the mode of '/sandbox/none'"),
    ("move", {"path": "none", "target": "x"}, "path", "cannot move '/sandbox/none' to '/sandbox/x'"),
    ("move", {"path": "told", "target": "/etc"}, "target", "cannot move '/sandbox/told' to '/etc'"),
    ("copy", {"path": "told", "target": "no/x"}, "target", "cannot copy '/sandbox/told' to"),
    ("copy", {"path": "/dev/null", "target": "x"}, "path", "be a file, folder or link"),
    ("copy", {"path": "/sandbox", "target": "x"}, "path", "cannot copy '/sandbox' to '/sandbox/x'"),
    ("remove", {"path": "told", "user": "nobody-here"}, "user", "has none of this name"),
])
def test_a_failure_says_what_could_not_be_done(files, what, body, field, detail):
    files.write("told")
    problem = json.loads(files.post(what, **body).body)
    assert problem["field"] == field and detail in problem["detail"], problem
    assert files.exists("told")


@pytest.mark.parametrize("what, path, detail", [
    ("", "none", "cannot list '/sandbox/none': No such"),
    ("/stat", "none", "cannot look at '/sandbox/none': No such"),
    ("/content", "none", "cannot read '/sandbox/none': No such"),
    ("/content", "/dev/null", "cannot read '/dev/null': it is no regular file"),
    ("/search?name=x", "none", "cannot search '/sandbox/none': No such"),
    ("/watch", "none", "cannot watch '/sandbox/none': No such"),
    ("/archive", "none", "cannot pack '/sandbox/none': No such"),
])
def test_a_look_that_fails_says_at_what(files, what, path, detail):
    query = f"{'&' if '?' in what else '?'}path={path}"
    problem = json.loads(files.client.get(f"{files.base}/files{what}{query}").body)
    assert problem["field"] == "path" and problem["detail"].startswith(detail), problem


def test_what_would_lie_below_a_file_does_not_exist(files):
    files.write("no-folder")
    assert not files.exists("no-folder/x") and not files.exists("none/x")
    assert_refused(files.get("/stat", "no-folder/x"), 409, "conflict", field="path")


def test_a_file_without_a_size_has_no_ranges(files):
    part = files.get("/content", "/proc/self/status", headers={"Range": "bytes=0-3"})
    assert part.status == 200 and part.body.startswith(b"Name:") and len(part.body) > 100
    files.write("empty", b"")
    empty = files.get("/content", "empty", headers={"Range": "bytes=0-3"})
    assert (empty.status, empty.body) == (200, b"")


def test_users_are_names_or_ids(files):
    for user in ("-1:-1", "4294967296:0", "0:65536", "1000", "a:b"):
        assert_refused(files.get("/stat", "/etc", user=user), 400, "invalid_field", field="user")
        assert_refused(files.get("/archive", "/etc", user=user), 400, "invalid_field", field="user")
        batch = files.post("batch", files=[{"path": "batched", "content": ""}], user=user)
        assert_refused(batch, 400, "invalid_field", field="user")
    assert files.get("/stat", "/etc", user="65535:65535").status == 200
    assert_refused(files.get("/stat", "/etc", user="nobody-here"), 422, "not_possible", field="user")


def test_batch_tells_of_each_file(files):
    answer = files.post("batch", files=[
        {"path": "b/text", "content": "grüße"},
        {"path": "/etc/no", "content": ""},
        {"path": "b/bytes", "content": base64.b64encode(b"\0\xff").decode(), "encoding": "base64",
         "mode": "0700"},
    ])
    assert answer.status == 200, answer
    assert [item["written"] for item in answer.json["items"]] == [True, False, True]
    assert answer.json["items"][1]["code"] == "permission_denied"
    assert answer.json["items"][1]["detail"] == "cannot write '/etc/no': Permission denied"
    assert (answer.json["written"], answer.json["failed"]) == (2, 1)
    assert files.read("b/text") == "grüße".encode() and files.read("b/bytes") == b"\0\xff"
    assert files.stat("b/bytes")["mode"] == "0700"


@pytest.mark.parametrize("bad, status, code, field", [
    ({"path": "ok", "content": "x", "encoding": "base64"}, 422, "not_possible", "files[1].content"),
    ({"path": "ok", "content": "x", "mode": "9"}, 400, "invalid_field", "files[1].mode"),
    ({"path": "", "content": "x"}, 400, "invalid_field", "files[1].path"),
])
def test_a_batch_is_checked_before_anything_is_written(files, bad, status, code, field):
    refused = files.post("batch", files=[{"path": "unwritten", "content": ""}, bad])
    assert_refused(refused, status, code, field=field)
    assert not files.exists("unwritten")


def test_refused_paths(files):
    assert_refused(files.put("n" * 256, b""), 422, "not_possible", field="path")
    assert_refused(files.get("/stat", "/" + "n" * 4095), 400, "invalid_field", field="path")
    assert_refused(files.get("/content", "."), 409, "conflict", field="path")
    files.change("mkdir", path="a folder")
    assert_refused(files.put("a folder", b""), 409, "conflict", field="path")
    assert_refused(files.get("/content"), 400, "missing_field", field="path")
    assert files.client.get(f"{files.base}/files/stat?path=a%00b").status == 400
    assert files.stat("../../../etc/passwd")["type"] == "file"  # inside, `..` leads nowhere else
    text = files.client.request(
        "PUT", f"{files.base}/files/content?path=x", b"{}", headers={"Content-Type": "text/plain"}
    )
    assert_refused(text, 415, "unsupported_media_type")


@pytest.mark.parametrize("path", [
    "root/etc/passwd", "logs", "fds/4", "/proc/self/fd/3", "/proc/1/root/etc/passwd", "loop",
])
def test_links_that_lead_out_or_nowhere_are_refused(trapped, path):
    for user in ("user", "root"):
        for what in ("/content", ""):
            response = trapped.get(what, path, user=user)
            # A process may not even look at another's descriptors.
            assert response.status in (403, 422), response
    assert trapped.post("remove", path=path + "/x", recursive=True, user="root").status in (403, 422)


def test_special_files_are_not_opened(trapped):
    """A FIFO cannot be made in here: the unit tests of the agent have one."""
    for path in ("/dev/null", "/dev/zero", "/proc/self/mem"):
        for user in ("user", "root"):
            response = trapped.get("/content", path, user=user)
            assert response.status in (403, 422, 503), (path, user, response)
    assert trapped.stat("/dev/null")["type"] == "device"
    assert trapped.read("shadow", user="root") != Path("/etc/shadow").read_bytes()
    assert_refused(trapped.get("/content", "dangling"), 404, "not_found", field="path")
    trapped.write("dangling", b"now a file")
    assert trapped.stat("dangling")["type"] == "file" and not trapped.exists("nowhere")


def test_pages_of_a_folder(files):
    names = {f"pages/{n % 7}/{n}" for n in range(60)}
    for name in names:
        files.write(name)
    for depth, total in ((1, 7), (2, 67)):
        seen, cursor, pages = [], {}, 0
        while True:
            page = files.list("pages", depth=depth, limit=5, **cursor)
            seen += [item["path"] for item in page["items"]]
            pages += 1
            assert page["truncated"] == (page["next_cursor"] is not None)
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}
        assert len(seen) == len(set(seen)) == total and pages == -(-total // 5)
    assert files.list("pages", cursor="1000")["items"] == []
    for bad in ("-1", "x", "1" * 16, ""):
        assert files.get("", "pages", cursor=bad).status == 400


def test_a_folder_of_more_than_a_page(files):
    """More than a page holds; what comes before the cursor is passed over quickly."""
    made = files.client.post(f"{files.base}/exec", {
        "command": "mkdir -p crowd && cd crowd && seq 1 12000 | xargs touch"})
    assert made.status == 200 and made.json["exit_code"] == 0, made
    seen, cursor = set(), {}
    while cursor is not None:
        page = files.list("crowd", limit=5000, **cursor)
        seen |= {item["path"] for item in page["items"]}
        cursor = page["next_cursor"] and {"cursor": page["next_cursor"]}
    assert len(seen) == 12000
    files.change("remove", path="crowd", recursive=True)


def test_ten_thousand_entries_and_a_name_that_is_no_text(trapped):
    many = trapped.list("many", limit=10000)
    assert len(many["items"]) == 10000 and not many["truncated"]
    bad = [item for item in trapped.list()["items"] if "path_base64" in item]
    assert [base64.b64decode(item["path_base64"]) for item in bad] == [b"/sandbox/bad\xffname"]


def test_a_folder_swapped_for_a_link_leads_nowhere(trapped):
    for number in range(100):
        trapped.post("remove", path="swapped", recursive=True)
        trapped.post("mkdir", path=f"swapped/{number}", parents=True)
        assert trapped.read("keep/me") == b"kept\n"


def test_writers_of_one_file_never_mix(files):
    contents = [bytes([65 + n]) * 200_000 for n in range(8)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert {r.status for r in pool.map(lambda c: files.put("raced", c), contents)} == {200}
    assert files.read("raced") in contents


def test_only_a_running_sandbox_has_files(member):
    sandbox_id = new_sandbox(member)
    stopped = Files(member, sandbox_id)
    stopped.write("kept", b"still here")
    assert member.post(f"/v1/sandboxes/{sandbox_id}/stop", {"timeout": 0}).status == 200
    refused = stopped.get("/content", "kept")
    assert_refused(refused, 409, "conflict")
    assert "stopped" in json.loads(refused.body)["detail"]
    assert member.post(f"/v1/sandboxes/{sandbox_id}/start").status == 200
    assert stopped.read("kept") == b"still here"
    assert member.request("DELETE", f"/v1/sandboxes/{sandbox_id}").status == 204


def test_a_file_call_is_a_use(stack, files):
    sandbox = files.base.rsplit("/", 1)[1]
    stack.postgres.execute(
        f"UPDATE sandboxes SET last_active_at = now() - interval '1 minute' WHERE id = '{sandbox}'"
    )
    before = files.client.get(files.base).json["last_active_at"]
    files.exists("x")
    eventually(lambda: files.client.get(files.base).json["last_active_at"] > before)


def test_a_viewer_sees_no_files(stack, files):
    viewer = Files(tenancy.as_role(stack, "viewer"), files.base.rsplit("/", 1)[1])
    assert_refused(viewer.get("/stat", "x"), 403, "forbidden")
