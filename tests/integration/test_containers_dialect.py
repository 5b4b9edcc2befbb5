"""/api/v1/containers/{project}: the clients of this dialect work as they are."""

import concurrent.futures
import http.client
import json
import uuid

import pytest

from support.client import assert_problem
from support.wait import eventually

NODE = {"project_type": "node", "config": {"memory_limit": "512m", "cpu_limit": 0.5}}


class Container:
    """A client of the dialect, with nothing else than what its guide tells."""

    def __init__(self, client, project):
        self.client = client
        self.base = f"/api/v1/containers/{project}"

    def call(self, method, path="", body=None, **options):
        return self.client.request(method, self.base + path, body, **options)

    def ok(self, method, path="", body=None):
        response = self.call(method, path, body)
        assert response.status == 200, response
        return response.json

    def create(self, body=None):
        return self.ok("POST", "/create", NODE if body is None else body)

    def exec(self, command, **fields):
        """The events: a client of this dialect takes each line behind `data: `."""
        response = self.call("POST", "/exec", {"command": command, **fields})
        assert response.status == 200, response
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        lines = response.body.decode().split("\n")
        assert all(line == "" or line.startswith(("data: {", ":")) for line in lines), lines
        return [json.loads(line[len("data: "):]) for line in lines if line.startswith("data: ")]


def lines_of(events, kind="stdout"):
    return [event["data"] for event in events if event["type"] == kind]


@pytest.fixture
def container(client):
    made = Container(client, f"abc-{uuid.uuid4().hex[:8]}")
    yield made
    assert made.call("DELETE", "?delete_files=true").status in (200, 404)


@pytest.fixture
def running(container):
    container.create()
    return container


def open_exec(container, command):
    """The answer, of which nothing has been read yet, and its connection."""
    client = container.client
    connection = http.client.HTTPConnection(client.host, client.port, timeout=40)
    connection.request("POST", f"{container.base}/exec", json.dumps({"command": command}), {
        "Authorization": f"Bearer {client.token}", "Content-Type": "application/json"
    })
    return connection.getresponse(), connection


def assert_is_gone(container):
    """Every call says that there is none, and what to do."""
    for method, path, body in [
        ("POST", "/files", {"path": "src/App.tsx", "content": "x"}), ("GET", "/stats", None),
        ("POST", "/files/batch", []), ("GET", "/files", None), ("GET", "/files/a/b", None),
        ("POST", "/exec", {"command": "true"}), ("GET", "/preview?port=1", None),
        ("DELETE", "", None),
    ]:
        problem = assert_problem(container.call(method, path, body), 404, "not_found")
        assert "create" in problem["detail"]


# --- the guide's examples, in its order


def test_create_container(container):
    made = container.create()
    assert made["project_id"] == container.base.rsplit("/", 1)[1]
    assert made["status"] == "running"
    assert made["port_mappings"] == {} and made["preview_urls"] == {}
    assert made["created_at"].endswith("Z") and made["container_id"]
    # Nothing is promised that is not given.
    assert any(text.startswith("network_enabled") for text in made["warnings"])
    assert any(text.startswith("exposed_ports") for text in made["warnings"])


def test_execute_command(running):
    events = running.exec("npm install && npm run dev", timeout=300)
    assert events[0] == {"type": "status", "data": "Executing: npm install && npm run dev"}
    # The image has no npm: the client sees what the shell says of that.
    assert {event["type"] for event in events[1:-1]} == {"stderr"}
    assert events[-1] == {"type": "exit", "data": 127, "success": False}
    events = running.exec("echo one; echo two; echo bad >&2")
    assert lines_of(events) == ["one", "two"] and lines_of(events, "stderr") == ["bad"]
    assert events[-1] == {"type": "exit", "data": 0, "success": True}


def test_write_list_and_read_files(running):
    code = "export default function App() { return <div>Hello</div> }"
    assert running.ok("POST", "/files", {"path": "src/App.tsx", "content": code}) == {
        "success": True, "path": "src/App.tsx"
    }
    batch = [{"path": "package.json", "content": "..."}, {"path": "src/index.tsx", "content": "..."},
             {"path": "src/components/a/B.tsx", "content": "..."}]
    assert running.ok("POST", "/files/batch", batch) == {"success": True, "files_written": 3}
    assert running.ok("GET", "/files?path=src")["files"] == [
        {"name": "App.tsx", "path": "src/App.tsx", "type": "file", "size": len(code)},
        {"name": "components", "path": "src/components", "type": "directory", "size": 0},
        {"name": "index.tsx", "path": "src/index.tsx", "type": "file", "size": 3},
    ]
    assert running.ok("GET", "/files?path=src/")["files"][0]["path"] == "src/App.tsx"
    assert [f["path"] for f in running.ok("GET", "/files")["files"]] == ["package.json", "src"]
    assert running.ok("GET", "/files/src/App.tsx") == {"path": "src/App.tsx", "content": code}
    # What was written is what commands see.
    assert lines_of(running.exec("cat src/App.tsx")) == [code]


def test_preview_says_that_there_is_none(running):
    answer = running.ok("GET", "/preview?port=3000")
    assert answer["preview_url"] is None and answer["status"] == "running" and answer["warnings"]
    assert running.ok("GET", "/preview")["status"] == "running"


def test_stats(running):
    stats = running.ok("GET", "/stats")
    assert stats["status"] == "running" and stats["memory_limit_mb"] == 512
    assert stats["memory_usage_mb"] > 0 and stats["processes"] >= 1
    assert stats["memory_percent"] == pytest.approx(stats["memory_usage_mb"] / 5.12, abs=0.02)


def test_stats_show_what_the_disk_holds(running):
    before = running.ok("GET", "/stats")["disk_usage_mb"]
    running.ok("POST", "/files", {"path": "five", "content": "x" * (5 << 20)})
    after = running.ok("GET", "/stats")
    assert before + 4.9 < after["disk_usage_mb"] < before + 6 < after["disk_limit_mb"]


def test_stats_show_a_busy_container(running, client):
    started = client.post(
        f"/v1/sandboxes/{running.create()['container_id']}/processes",
        {"command": "while :; do :; done"},
    )
    assert started.status == 201
    eventually(lambda: running.ok("GET", "/stats")["cpu_percent"] > 5)


def test_delete_container(running):
    assert running.ok("DELETE", "?delete_files=true") == {
        "success": True, "message": "Container deleted"
    }
    assert_problem(running.call("GET", "/stats"), 404, "not_found")
    assert_problem(running.call("DELETE", "?delete_files=true"), 404, "not_found")


def test_a_longer_command_and_more_memory(container):
    made = container.create({"project_type": "python", "config": {"memory_limit": "1g"}})
    assert made["status"] == "running"
    assert container.ok("GET", "/stats")["memory_limit_mb"] == 1024
    assert lines_of(container.exec("python3 -c 'print(6 * 7)'", timeout=600)) == ["42"]


def test_the_whole_configuration_of_the_guide(container):
    made = container.create({"project_type": "node", "config": {
        "memory_limit": "512m", "cpu_limit": 0.5, "disk_limit": "1g", "idle_timeout": 3600,
        "max_lifetime": 86400, "command_timeout": 300, "network_enabled": True,
        "exposed_ports": [3000, 3001, 5000, 8000, 8080], "read_only_root": False,
        "privileged": False, "cap_drop": ["ALL"], "cap_add": ["CHOWN", "SETUID", "SETGID"],
    }})
    sandbox = container.client.get(f"/v1/sandboxes/{made['container_id']}").json
    assert [port["port"] for port in sandbox["ports"]] == [3000, 3001, 5000, 8000, 8080]
    assert sandbox["resources"]["memory"] == 512 and sandbox["resources"]["cpu"] == 0.5
    assert (sandbox["idle_timeout"], sandbox["max_lifetime"]) == (3600, 86400)
    assert sandbox["command_timeout"] == 300 and sandbox["disk_limit"] == 1024
    assert sandbox["cap_add"] == ["CHOWN", "SETUID", "SETGID"]


def test_before_create_everything_fails(container):
    assert_is_gone(container)


# --- one container a project


def test_a_second_create_answers_the_same(container):
    first = container.create()
    again = container.create()
    assert again == first
    other = container.create({"project_type": "node", "config": {"memory_limit": "64m"}})
    assert other["container_id"] == first["container_id"]
    assert any(text.startswith("config:") for text in other["warnings"])
    assert container.ok("GET", "/stats")["memory_limit_mb"] == 512


@pytest.mark.parametrize("config", [
    {"cap_add": ["CHOWN"]}, {"cap_drop": ["ALL"]}, {"exposed_ports": [3000, 8000]},
])
def test_each_part_of_another_config_is_told(container, config):
    container.create({"project_type": "static", "config": {"exposed_ports": [8000, 3000]}})
    other = {"project_type": "static", "config": {"exposed_ports": [8000, 3000], **config}}
    assert any(text.startswith("config:") for text in container.create(other)["warnings"])


def test_creates_at_once_make_one(container):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: container.create(), range(8)))
    assert len({answer["container_id"] for answer in made}) == 1
    assert {answer["status"] for answer in made} == {"running"}


@pytest.mark.parametrize("word", ["true", "True", "1"])
def test_words_for_yes(container, word):
    """Each client writes a boolean in its own way: Python's requests sends True."""
    first = container.create()
    container.ok("DELETE", f"?delete_files={word}")
    assert container.create()["container_id"] != first["container_id"]


@pytest.mark.parametrize("word", ["false", "False", "0"])
def test_words_for_no(container, word):
    first = container.create()
    container.ok("DELETE", f"?delete_files={word}")
    assert container.create()["container_id"] == first["container_id"]
    assert_problem(container.call("DELETE", "?delete_files=maybe"), 400, "invalid_field")


def test_files_stay_unless_they_are_to_go(container):
    first = container.create()
    container.ok("POST", "/files", {"path": "kept", "content": "x"})
    assert container.ok("DELETE") == {"success": True, "message": "Container deleted"}
    assert_is_gone(container)
    assert container.create()["container_id"] == first["container_id"]
    assert container.ok("GET", "/files/kept")["content"] == "x"
    container.ok("DELETE", "?delete_files=true")
    assert container.create()["container_id"] != first["container_id"]
    assert_problem(container.call("GET", "/files/kept"), 404, "not_found")


def test_the_files_of_a_deleted_container_can_be_deleted(container):
    first = container.create()
    container.ok("DELETE")
    container.ok("DELETE", "?delete_files=true")
    assert_problem(container.call("DELETE", "?delete_files=true"), 404, "not_found")
    assert container.create()["container_id"] != first["container_id"]


def test_a_paused_container_goes_on(container, client):
    made = container.create()["container_id"]
    assert client.post(f"/v1/sandboxes/{made}/pause").status == 200
    assert container.ok("GET", "/stats")["status"] == "paused"
    assert_problem(container.call("POST", "/exec", {"command": "true"}), 409, "conflict")
    assert container.create()["status"] == "running"


def test_the_name_is_each_tenants_own(other, container):
    first = container.create()
    theirs = Container(other, container.base.rsplit("/", 1)[1])
    assert_problem(theirs.call("GET", "/stats"), 404, "not_found")
    assert_problem(theirs.call("POST", "/exec", {"command": "true"}), 404, "not_found")
    assert theirs.create()["container_id"] != first["container_id"]
    theirs.ok("DELETE", "?delete_files=true")
    assert container.ok("GET", "/stats")["status"] == "running"


def test_a_viewer_only_looks(stack, container):
    container.create()
    viewer = Container(stack.client(stack.token(scope="viewer")), container.base.rsplit("/", 1)[1])
    assert viewer.ok("GET", "/stats")["status"] == "running"
    assert_problem(viewer.call("POST", "/exec", {"command": "true"}), 403, "forbidden")
    assert_problem(viewer.call("POST", "/create", NODE), 403, "forbidden")


@pytest.mark.parametrize("name", ["a", "A.b_c-1", "%D0%BF%D1%80%D0%BE%D0%B5%D0%BA%D1%82", "a%20b", "x" * 255])
def test_names_are_the_clients(client, name):
    container = Container(client, name)
    try:
        assert container.create()["status"] == "running"
        assert container.ok("GET", "/stats")["status"] == "running"
    finally:
        container.ok("DELETE", "?delete_files=true")


# --- what is refused


@pytest.mark.parametrize("kind", ["java", "go", "rust", "ruby", "php"])
def test_a_type_without_an_image_says_what_to_do(container, kind):
    problem = assert_problem(
        container.call("POST", "/create", {"project_type": kind}), 422, "not_supported"
    )
    assert problem["field"] == "project_type" and f"atoll image import {kind}" in problem["detail"]


@pytest.mark.parametrize("body, status, field", [
    ({}, 400, "project_type"),
    ({"project_type": "cobol"}, 400, "project_type"),
    ({"project_type": "node", "user": "x"}, 400, "user"),
    ({"project_type": "node", "config": {"privileged": True}}, 422, "config.privileged"),
    ({"project_type": "node", "config": {"memory_limit": "512"}}, 400, "config.memory_limit"),
    ({"project_type": "node", "config": {"memory_limit": "1t"}}, 400, "config.memory_limit"),
    ({"project_type": "node", "config": {"cpu_limit": 0.01}}, 400, "config.cpu_limit"),
    ({"project_type": "node", "config": {"idle_timeout": 0}}, 400, "config.idle_timeout"),
    ({"project_type": "node", "config": {"exposed_ports": [0]}}, 400, "config.exposed_ports"),
    ({"project_type": "node", "config": {"exposed_ports": [80, 80]}}, 400, "ports"),
    ({"project_type": "node", "config": {"cap_add": ["SYS_ADMIN"]}}, 422, "cap_add"),
    ({"project_type": "node", "config": {"volumes": []}}, 400, "config.volumes"),
])
def test_bad_creates(container, body, status, field):
    problem = assert_problem(container.call("POST", "/create", body), status)
    assert problem["field"] == field


@pytest.mark.parametrize("path, body, field", [
    ("/exec", {"command": ""}, "command"), ("/exec", {"command": ["ls"]}, "command"),
    ("/exec", {"command": "ls", "timeout": 0}, "timeout"),
    ("/files", {"path": "", "content": "x"}, "path"), ("/files", {"path": "a"}, "content"),
    ("/files/batch", [{"path": "a", "content": "x"}, {"path": "b"}], "files[1].content"),
    ("/files/batch", {"files": []}, "files"),
])
def test_bad_requests(running, path, body, field):
    problem = assert_problem(running.call("POST", path, body), 400)
    assert problem["field"] == field
    assert running.ok("GET", "/files")["files"] == [], "nothing of it was written"


def test_a_path_leads_nowhere_but_into_the_sandbox(running):
    assert running.ok("POST", "/files", {"path": "../../../../tmp/up", "content": "x"})["success"]
    assert lines_of(running.exec("cat /tmp/up")) == ["x"]
    assert_problem(running.call("POST", "/files", {"path": "/etc/x", "content": "x"}), 403,
                   "permission_denied")
    assert_problem(running.call("GET", "/files/../../../etc/passwd"), 400, "bad_request")


def test_a_batch_tells_what_was_not_written(running):
    answer = running.ok("POST", "/files/batch", [{"path": "a", "content": "1"},
                                                 {"path": "/etc/b", "content": "2"}])
    assert answer["success"] is False and answer["files_written"] == 1
    assert answer["errors"] == {"/etc/b": "cannot write '/etc/b': Permission denied"}


@pytest.mark.parametrize("method, path, body, detail", [
    ("POST", "/files", {"path": "/etc/b", "content": ""}, "cannot write '/etc/b': Permission"),
    ("GET", "/files?path=none", None, "cannot list '/sandbox/none': No such"),
    ("GET", "/files/none", None, "cannot read '/sandbox/none': No such"),
])
def test_a_failure_says_what_could_not_be_done(running, method, path, body, detail):
    problem = running.call(method, path, body).json
    assert problem["field"] == "path" and problem["detail"].startswith(detail), problem


# --- commands to their end


def test_ends_that_are_no_exit_code(running):
    last = running.exec("kill -KILL $$")[-1]
    assert last == {"type": "exit", "data": 137, "success": False, "reason": "killed"}
    last = running.exec("sleep 60", timeout=1)[-1]
    assert (last["success"], last["reason"]) == (False, "timed_out")
    assert running.exec("exit 3")[-1] == {"type": "exit", "data": 3, "success": False}


def test_the_time_limit_of_the_configuration(container):
    container.create({"project_type": "node", "config": {"command_timeout": 1}})
    assert container.exec("sleep 60")[-1]["reason"] == "timed_out"


def test_an_event_is_a_line(running):
    """However the command writes it, and without its end, as clients print it."""
    events = running.exec("printf 'a'; printf 'b\\n\\nc\\n'; printf 'no end'")
    assert events[1:] == [{"type": "stdout", "data": line} for line in ["ab", "", "c", "no end"]] + [
        {"type": "exit", "data": 0, "success": True}
    ]
    lines = lines_of(running.exec("seq 100000"))
    assert lines == [str(n) for n in range(1, 100001)]


def test_a_reader_may_lag_behind(running):
    """He begins to read when the command has written all: short lines count by their bytes."""
    reply, connection = open_exec(running, "seq 1500000; touch written")
    eventually(lambda: running.call("GET", "/files/written").status == 200)
    body = reply.read()
    connection.close()
    events = [event for event in body.split(b"\n\n") if event.startswith(b'data: {"type":"stdout"')]
    assert len(events) == 1500000
    assert events[-1] == b'data: {"type":"stdout","data":"1500000"}'


def test_a_long_line_comes_in_parts(running):
    parts = lines_of(running.exec("head -c 300000 /dev/zero | tr '\\0' x; echo; echo next"))
    assert "".join(parts[:-1]) == "x" * 300000 and parts[-1] == "next"
    assert all(len(part) > 60000 for part in parts[:4])


def test_output_that_is_no_text(running):
    events = running.exec("printf 'a\\377b'")
    assert events[1]["data"] == "a\ufffdb" and events[1]["data_base64"] == "Yf9i"
    running.exec("printf 'a\\377b' > raw")
    assert running.ok("GET", "/files/raw") == {
        "path": "raw", "content": "a\ufffdb", "content_base64": "Yf9i"
    }


def test_output_comes_as_it_is_written(running):
    """The first line is there while the command still runs."""
    command = "echo begun; until [ -e go ]; do sleep 0.01; done; echo done"
    reply, connection = open_exec(running, command)
    lines = iter(reply.readline, b"")
    assert any(b'"begun"' in line for line in lines)
    running.ok("POST", "/files", {"path": "go", "content": ""})
    assert any(b'"data":"done"' in line for line in lines)
    assert b'"success":true' in reply.read()
    connection.close()


def test_a_retry_of_a_command_with_a_key_follows_the_same_one(running):
    key = {"Idempotency-Key": uuid.uuid4().hex}
    body = {"command": "echo x >> count; wc -l < count; exit 3"}
    first, again = (running.call("POST", "/exec", body, headers=key) for _ in range(2))
    assert first.status == 200 and b'"data":"1"' in first.body and b'"data":3' in first.body
    assert again.body == first.body and again.headers["Idempotency-Replayed"] == "true"
    assert running.call("DELETE", "?delete_files=true").status == 200
    running.create()
    assert_problem(running.call("POST", "/exec", body, headers=key), 409, "conflict")
    assert running.call("GET", "/files/count").status == 404


def test_a_retry_with_a_key_changes_nothing(running):
    key = {"Idempotency-Key": uuid.uuid4().hex}
    first = running.call("DELETE", "?delete_files=true", headers=key)
    assert running.call("DELETE", "?delete_files=true", headers=key).json == first.json
