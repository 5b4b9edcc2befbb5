"""/v1/sandboxes: containers from their creation to their end."""

import concurrent.futures
import re
import signal

import pytest

from support import inventory
from support.client import assert_problem
from support.wait import eventually

MISSING = "0" * 31 + "1"


class Sandboxes:
    """What a test does with the sandboxes of one client; all are deleted at its end."""

    def __init__(self, client):
        self.client = client
        self.ids = []

    def try_create(self, **fields):
        response = self.client.post("/v1/sandboxes", fields)
        if response.status == 201:
            self.ids.append(response.json["id"])
            self.client.created.add(response.json["id"])
        return response

    def create(self, **fields):
        response = self.try_create(**fields)
        assert response.status == 201, response
        return response.json

    def get(self, sandbox_id):
        response = self.client.get(f"/v1/sandboxes/{sandbox_id}")
        assert response.status == 200, response
        return response.json

    def act(self, sandbox_id, verb, body=None):
        return self.client.post(f"/v1/sandboxes/{sandbox_id}/{verb}", body)

    def change(self, sandbox_id, verb, body=None):
        response = self.act(sandbox_id, verb, body)
        assert response.status == 200, response
        return response.json

    def delete(self, sandbox_id):
        return self.client.request("DELETE", f"/v1/sandboxes/{sandbox_id}")

    def patch(self, path, body, **options):
        return self.client.request("PATCH", f"/v1/sandboxes/{path}", body=body, **options)

    def put(self, path, body, **options):
        return self.client.request("PUT", f"/v1/sandboxes/{path}", body=body, **options)

    def list(self, **query):
        text = "&".join(f"{name}={value}" for name, value in query.items())
        response = self.client.get(f"/v1/sandboxes?{text}")
        assert response.status == 200, response
        return response.json


@pytest.fixture
def sandboxes(client):
    made = Sandboxes(client)
    yield made
    for sandbox_id in made.ids:
        made.delete(sandbox_id)


def run_folders(stack, sandbox_id):
    """The sandbox's run folders: it has one while it lives."""
    return [name for name in inventory.sandbox_folders(stack.run_dir) if name.startswith(sandbox_id)]


def test_a_new_sandbox_runs(sandboxes, stack):
    made = sandboxes.create()
    assert made["state"] == "running" and made["state_reason"] == "requested"
    assert made["image"] == "base" and made["runtime"] is None
    assert made["command"] is None and made["entrypoint"] is None and made["ports"] == []
    assert made["resources"]["gpu"] is None and made["network"] == "none"
    assert made["started_at"] >= made["created_at"] and made["exit_code"] is None
    assert "environment" not in made
    del made["executor"]  # shown this once
    assert sandboxes.get(made["id"]) == made
    assert run_folders(stack, made["id"]) == [f"{made['id']}.1"]


def test_what_is_asked_for_is_shown(sandboxes):
    made = sandboxes.create(
        runtime="python",
        name="web",
        command="python3 -m http.server 8080",
        entrypoint=["/usr/bin/env"],
        env={"A": "b"},
        ports=[{"internal": 8080, "protocol": "http"}, {"port": 5432, "protocol": "tcp"}],
        resources={"cpu": 0.5, "memory": "256m", "timeout": 600, "max_retries": 2, "gpu": None},
        idle_timeout=60,
        max_lifetime=600,
        command_timeout=5,
        disk_limit="1g",
        network="none",
        volumes={},
        metadata={"team": "a"},
    )
    assert made["runtime"] == "python" and made["image"] == "base" and made["name"] == "web"
    assert made["command"] == ["/bin/sh", "-c", "python3 -m http.server 8080"]
    assert made["entrypoint"] == ["/usr/bin/env"]
    assert made["ports"] == [
        {"port": 8080, "protocol": "http"},
        {"port": 5432, "protocol": "tcp"},
    ]
    assert made["resources"] == {
        "cpu": 0.5, "memory": 256, "gpu": None, "timeout": 600, "max_retries": 2
    }
    assert (made["idle_timeout"], made["max_lifetime"], made["command_timeout"]) == (60, 600, 5)
    assert made["disk_limit"] == 1024 and made["labels"] == {"team": "a"}


INVALID = [
    ({"image": "base", "runtime": "node"}, "runtime"),
    ({"runtime": "cobol"}, "runtime"),
    ({"command": 7}, "command"),
    ({"command": [""]}, "command"),
    ({"command": ["a", 1]}, "command"),
    ({"entrypoint": {"a": "b"}}, "entrypoint"),
    ({"environment": {"1A": "x"}}, "environment.1A"),
    ({"environment": {"A": 1}}, "environment.A"),
    ({"environment": {"A": "x"}, "env": {"A": "x"}}, "env"),
    ({"ports": [{"port": 0}]}, "ports[0].port"),
    ({"ports": [{"protocol": "udp", "port": 1}]}, "ports[0].protocol"),
    ({"ports": [{"port": 1}, {"internal": 1}]}, "ports"),
    ({"resources": {"cpu": 0.05}}, "resources.cpu"),
    ({"resources": {"memory": "1"}}, "resources.memory"),
    ({"resources": {"memory": "8m"}}, "resources.memory"),
    ({"resources": {"memory": 1.5}}, "resources.memory"),
    ({"resources": {"memory": "99999999999999999999g"}}, "resources.memory"),
    ({"disk_limit": "1x"}, "disk_limit"),
    ({"idle_timeout": 0}, "idle_timeout"),
    ({"labels": {"a b": "x"}}, "labels.a b"),
    ({"labels": {"a": "x" * 256}}, "labels.a"),
    ({"project_id": "x"}, "project_id"),
    ({"cap_drop": ["all"]}, "cap_drop"),
    ({"cap_add": ["CHOWN"], "cap_drop": ["CHOWN"]}, "cap_drop"),
    ({"cap_drop": "ALL"}, "cap_drop"),
]


@pytest.mark.parametrize("body,field", INVALID)
def test_invalid_fields_are_refused_by_name(sandboxes, body, field):
    problem = assert_problem(sandboxes.try_create(**body), 400, "invalid_field")
    assert problem["field"] == field


def test_missing_and_unknown_fields_are_refused_by_name(sandboxes):
    assert_problem(sandboxes.try_create(ports=[{}]), 400, "missing_field")
    problem = assert_problem(sandboxes.try_create(colour="red"), 400, "unknown_field")
    assert problem["field"] == "colour"


NOT_SUPPORTED = [
    ({"resources": {"gpu": "a100"}}, "resources.gpu"),
    ({"volumes": {"data": {"path": "/data"}}}, "volumes"),
    ({"network": True}, "network"),
    ({"network": "egress"}, "network"),
    ({"privileged": True}, "privileged"),
    ({"cap_add": ["SYS_ADMIN"]}, "cap_add"),
    ({"force_build": True}, "force_build"),
    ({"image": "no-such-image"}, "image"),
    ({"image": "python:3.9"}, "image"),
    ({"ports": [{"internal": 80, "external": 8080}]}, "ports[0].external"),
    ({"ports": [{"internal": 80, "subdomain": "x"}]}, "ports[0].subdomain"),
]


@pytest.mark.parametrize("body,field", NOT_SUPPORTED)
def test_what_cannot_be_given_is_refused_and_leaves_nothing(sandboxes, stack, body, field):
    before = stack.sandbox_ids()
    problem = assert_problem(sandboxes.try_create(**body), 422, "not_supported")
    assert problem["field"] == field
    assert stack.sandbox_ids() <= before


def test_another_tenant_finds_nothing(sandboxes, other):
    made = sandboxes.create()
    path = f"/v1/sandboxes/{made['id']}"
    for method, suffix, body in (
        ("GET", "", None), ("PATCH", "", {"name": "x"}), ("DELETE", "", None),
        ("POST", "/start", None), ("POST", "/stop", None), ("POST", "/restart", None),
        ("POST", "/pause", None), ("POST", "/resume", None),
        ("GET", "/environment", None), ("PUT", "/environment", {"environment": {}}),
        ("GET", "/entrypoint", None), ("PUT", "/entrypoint", {}),
    ):
        foreign = other.request(method, path + suffix, body=body)
        missing = other.request(method, f"/v1/sandboxes/{MISSING}{suffix}", body=body)
        assert_problem(foreign, 404, "not_found")
        assert foreign.json["detail"] == missing.json["detail"]
    assert sandboxes.get(made["id"])["state"] == "running"
    assert other.get("/v1/sandboxes").json["items"] == []


def test_the_two_kinds_do_not_see_each_other(sandboxes, client):
    container = sandboxes.create()["id"]
    definition = client.create()
    assert_problem(client.get(f"/v1/sandboxes/{definition}"), 404, "not_found")
    assert_problem(client.get(f"/sandbox/{container}"), 404, "not_found")
    assert_problem(client.try_execute(container), 404, "not_found")
    assert_problem(client.delete(container), 404, "not_found")
    assert container not in [item["id"] for item in client.list_all()]
    assert definition not in [item["id"] for item in sandboxes.list()["items"]]


def test_delete_leaves_nothing(sandboxes, stack):
    made = sandboxes.create(env={"SECRET": "x"}, command="sleep 1000")
    response = sandboxes.delete(made["id"])
    assert response.status == 204 and response.body == b""
    assert_problem(sandboxes.client.get(f"/v1/sandboxes/{made['id']}"), 404, "not_found")
    assert_problem(sandboxes.delete(made["id"]), 404, "not_found")
    assert run_folders(stack, made["id"]) == []
    row = stack.postgres.rows(
        f"SELECT env, command, labels FROM sandboxes WHERE id = '{made['id']}'"
    )
    assert row == [{"env": {}, "command": None, "labels": {}}]


def test_stop_and_start(sandboxes, stack):
    made = sandboxes.create()
    stopped = sandboxes.change(made["id"], "stop")
    assert stopped["state"] == "stopped" and stopped["state_reason"] == "requested"
    assert run_folders(stack, made["id"]) == []
    assert sandboxes.change(made["id"], "stop")["state"] == "stopped"
    for verb in ("pause", "resume"):
        assert "stopped" in assert_problem(sandboxes.act(made["id"], verb), 409, "conflict")["detail"]
    started = sandboxes.change(made["id"], "start")
    assert started["state"] == "running" and started["started_at"] > made["started_at"]
    assert sandboxes.change(made["id"], "start") == started
    assert run_folders(stack, made["id"]) == [f"{made['id']}.2"]
    assert sandboxes.change(made["id"], "restart")["state"] == "running"
    assert run_folders(stack, made["id"]) == [f"{made['id']}.3"]


def test_pause_and_resume(sandboxes):
    made = sandboxes.create()
    assert sandboxes.change(made["id"], "pause")["state"] == "paused"
    assert sandboxes.change(made["id"], "pause")["state"] == "paused"
    assert_problem(sandboxes.act(made["id"], "start"), 409, "conflict")
    assert sandboxes.change(made["id"], "resume")["state"] == "running"
    assert sandboxes.change(made["id"], "resume")["state"] == "running"
    sandboxes.change(made["id"], "pause")
    assert sandboxes.change(made["id"], "stop")["state"] == "stopped"


def test_each_change_of_state_has_its_event(sandboxes, stack):
    made = sandboxes.create()
    for verb in ("pause", "resume", "stop", "start"):
        sandboxes.change(made["id"], verb)
    sandboxes.delete(made["id"])
    rows = stack.postgres.rows(
        "SELECT kind, from_state, to_state, actor, request_id IS NOT NULL AS has_request,"
        " project_id IS NOT NULL AS has_project FROM events"
        f" WHERE to_state IS NOT NULL AND sandbox_id = '{made['id']}' ORDER BY id"
    )
    assert [(row["kind"], row["from_state"], row["to_state"]) for row in rows] == [
        ("sandbox.created", None, "creating"),
        ("sandbox.running", "creating", "running"),
        ("sandbox.paused", "running", "paused"),
        ("sandbox.running", "paused", "running"),
        ("sandbox.stopped", "running", "stopped"),
        ("sandbox.creating", "stopped", "creating"),
        ("sandbox.running", "creating", "running"),
        ("sandbox.deleting", "running", "deleting"),
        ("sandbox.deleted", "deleting", "deleted"),
    ]
    assert all(row["actor"] == "tests" and row["has_request"] and row["has_project"] for row in rows)


def test_racing_changes_leave_one_state(sandboxes, stack):
    """Whatever wins, nobody gets another answer than 200 or 409, and row and host agree."""
    made = sandboxes.create()
    verbs = ["start", "stop", "pause", "resume", "restart"] * 6
    with concurrent.futures.ThreadPoolExecutor(len(verbs)) as pool:
        answers = list(pool.map(lambda verb: sandboxes.act(made["id"], verb, {}), verbs))
    assert {answer.status for answer in answers} <= {200, 409}, answers
    assert 200 in {answer.status for answer in answers}
    last = sandboxes.get(made["id"])
    assert last["state"] in ("running", "paused", "stopped")
    assert len(run_folders(stack, made["id"])) == (last["state"] != "stopped")


def test_patch_changes_what_is_given(sandboxes):
    made = sandboxes.create(name="a", labels={"x": "1"}, command_timeout=7)
    response = sandboxes.patch(made["id"], {"labels": {"y": "2"}, "idle_timeout": 99})
    assert response.status == 200, response
    changed = response.json
    assert changed["labels"] == {"y": "2"} and changed["idle_timeout"] == 99
    assert changed["name"] == "a" and changed["command_timeout"] == 7
    assert changed["version"] == made["version"] + 1
    assert response.headers["ETag"] == f'"{changed["version"]}"'
    cleared = sandboxes.patch(made["id"], {"name": None, "command_timeout": None}).json
    assert cleared["name"] is None and cleared["command_timeout"] is None
    longer = sandboxes.patch(made["id"], {"max_lifetime": made["max_lifetime"] + 3600}).json
    assert longer["expires_at"] > made["expires_at"]


@pytest.mark.parametrize("field, value", [
    ("resources", {"memory": 128}), ("image", "base"), ("ports", []), ("environment", {}),
])
def test_what_was_admitted_stays(sandboxes, field, value):
    """Stopped or not: a start is admitted by what the sandbox was created with."""
    made = sandboxes.create()
    sandboxes.change(made["id"], "stop")
    problem = assert_problem(sandboxes.patch(made["id"], {field: value}), 400, "unknown_field")
    assert problem["field"] == field
    assert sandboxes.get(made["id"])["version"] == made["version"]


def test_if_match_protects_from_lost_updates(sandboxes):
    made = sandboxes.create()
    tag = sandboxes.client.get(f"/v1/sandboxes/{made['id']}").headers["ETag"]
    first = sandboxes.patch(made["id"], {"name": "first"}, headers={"If-Match": tag})
    assert first.status == 200
    second = sandboxes.patch(made["id"], {"name": "second"}, headers={"If-Match": tag})
    assert_problem(second, 412, "precondition_failed")
    for wrong in ('W/"1"', "1", '"x"', '"1", "2"'):
        assert_problem(
            sandboxes.patch(made["id"], {"name": "x"}, headers={"If-Match": wrong}), 412
        )
    assert sandboxes.patch(made["id"], {"name": "any"}, headers={"If-Match": "*"}).status == 200


def test_if_match_protects_what_changed_from_a_delete(sandboxes):
    made = sandboxes.create()
    path = f"/v1/sandboxes/{made['id']}"
    old = sandboxes.client.get(path).headers["ETag"]
    new = sandboxes.patch(made["id"], {"name": "kept"}).headers["ETag"]
    refused = sandboxes.client.request("DELETE", path, headers={"If-Match": old})
    assert_problem(refused, 412, "precondition_failed")
    assert sandboxes.get(made["id"])["state"] == "running"
    assert sandboxes.client.request("DELETE", path, headers={"If-Match": new}).status == 204
    assert sandboxes.client.get(path).status == 404


def test_environment(sandboxes):
    made = sandboxes.create(environment={"A": "1", "B": "2"})
    path = f"{made['id']}/environment"

    def shown():
        return sandboxes.client.get(f"/v1/sandboxes/{path}")

    assert shown().json == {"environment": {"A": "1", "B": "2"}}
    tag = shown().headers["ETag"]
    unmodified = sandboxes.client.get(f"/v1/sandboxes/{path}", headers={"If-None-Match": tag})
    assert unmodified.status == 304 and unmodified.body == b""
    merged = sandboxes.patch(path, {"environment": {"B": None, "C": "3"}}, headers={"If-Match": tag})
    assert merged.json == {"environment": {"A": "1", "C": "3"}}
    assert_problem(
        sandboxes.put(path, {"environment": {}}, headers={"If-Match": tag}), 412
    )
    assert sandboxes.put(path, {"environment": {"D": ""}}).json == {"environment": {"D": ""}}
    assert shown().json == {"environment": {"D": ""}}
    assert_problem(sandboxes.put(path, {"environment": {"D": None}}), 400, "invalid_field")
    assert_problem(sandboxes.put(path, {}), 400, "missing_field")
    many = {f"V{i}": "" for i in range(256)}
    assert_problem(sandboxes.patch(path, {"environment": many}), 400, "invalid_field")
    assert shown().json == {"environment": {"D": ""}}


def test_entrypoint(sandboxes):
    made = sandboxes.create()
    path = f"{made['id']}/entrypoint"
    assert sandboxes.client.get(f"/v1/sandboxes/{path}").json == {"entrypoint": None, "command": None}
    changed = sandboxes.put(path, {"entrypoint": ["/bin/echo"], "command": "x y"})
    assert changed.json == {"entrypoint": ["/bin/echo"], "command": ["/bin/sh", "-c", "x y"]}
    assert sandboxes.get(made["id"])["entrypoint"] == ["/bin/echo"]
    assert sandboxes.put(path, {}).json == {"entrypoint": None, "command": None}


def test_list_filters_and_pages(stack):
    calls = Sandboxes(stack.tenant_client("lister"))
    try:
        odd = {"all": "yes", "odd": "a=b:c"}
        made = [calls.create(labels={"n": str(i), **odd})["id"] for i in range(5)]
        calls.change(made[0], "stop")
        assert [item["id"] for item in calls.list()["items"]] == made[::-1]
        assert [item["id"] for item in calls.list(state="stopped")["items"]] == [made[0]]
        assert [item["id"] for item in calls.list(label="n:3")["items"]] == [made[3]]
        assert [item["id"] for item in calls.list(label="n=3")["items"]] == [made[3]]
        assert len(calls.list(label="all:yes", image="base")["items"]) == 5
        for label, count in (("odd=a=b:c", 5), ("odd:a=b:c", 5), ("odd=a", 0), ("n=", 0)):
            assert len(calls.list(label=label)["items"]) == count, label
        assert calls.list(image="bun")["items"] == []
        assert calls.list(project_id=MISSING)["items"] == []
        first = calls.list(limit=2)
        second = calls.list(limit=2, cursor=first["next_cursor"])
        third = calls.list(limit=2, cursor=second["next_cursor"])
        seen = [item["id"] for page in (first, second, third) for item in page["items"]]
        assert seen == made[::-1] and third["next_cursor"] is None
        problem = assert_problem(calls.client.get("/v1/sandboxes?label=x"), 400, "invalid_field")
        assert "name=value" in problem["detail"]
        for query in ("limit=0", "limit=201", "state=odd", "label=x", "label==x", "cursor=x",
                      "colour=red"):
            assert calls.client.get(f"/v1/sandboxes?{query}").status == 400, query
    finally:
        for sandbox_id in calls.ids:
            calls.delete(sandbox_id)


def test_a_project_must_be_the_tenants(sandboxes, stack):
    assert_problem(sandboxes.try_create(project_id=MISSING), 404, "not_found")
    project = stack.postgres.execute(
        "INSERT INTO projects (tenant_id, name) SELECT id, 'extra' FROM tenants"
        " WHERE name = 'default' RETURNING replace(id::text, '-', '')"
    )
    made = sandboxes.create(project_id=project)
    assert made["project_id"] == project
    assert [item["id"] for item in sandboxes.list(project_id=project)["items"]] == [made["id"]]


def test_a_sandbox_outlives_every_daemon(sandboxes, stack):
    made = sandboxes.create()
    for daemon in (stack.server, stack.worker, stack.monitor, stack.launcher):
        daemon.restart()
    client = sandboxes.client = stack.client()
    assert client.get(f"/v1/sandboxes/{made['id']}").json["state"] == "running"
    assert run_folders(stack, made["id"]) == [f"{made['id']}.1"]
    eventually(lambda: sandboxes.act(made["id"], "pause").status == 200, 60, "it can be paused")
    assert sandboxes.get(made["id"])["state"] == "paused"


def stopped(sandboxes, sandbox_id):
    return lambda: sandboxes.get(sandbox_id)["state"] == "stopped"


@pytest.mark.parametrize("command,exit_code,exit_signal", [
    ("exit 7", 7, None), (["/bin/true"], 0, None), ("kill -9 $$", None, 9),
])
def test_the_end_of_the_main_command_stops_it(sandboxes, stack, command, exit_code, exit_signal):
    made = sandboxes.create(command=command)
    eventually(stopped(sandboxes, made["id"]), 60, "the sandbox is stopped")
    shown = sandboxes.get(made["id"])
    assert shown["state_reason"] == "command_exited"
    assert (shown["exit_code"], shown["exit_signal"]) == (exit_code, exit_signal)
    eventually(lambda: run_folders(stack, made["id"]) == [], 60, "nothing of it runs")
    again = sandboxes.change(made["id"], "start")
    assert again["exit_code"] is None and again["exit_signal"] is None


def test_entrypoint_command_and_environment_make_the_main_command(sandboxes):
    made = sandboxes.create(
        entrypoint=["/bin/sh", "-c", 'test "$1$NAME" = ab && test "$PWD" = /sandbox && exit 42', "-"],
        command=["a"], env={"NAME": "b"},
    )
    eventually(stopped(sandboxes, made["id"]), 60, "the sandbox is stopped")
    assert sandboxes.get(made["id"])["exit_code"] == 42


def test_a_new_environment_counts_from_the_next_start_on(sandboxes):
    made = sandboxes.create(command="exit $CODE", env={"CODE": "3"})
    eventually(stopped(sandboxes, made["id"]), 60, "the sandbox is stopped")
    assert sandboxes.get(made["id"])["exit_code"] == 3
    sandboxes.patch(f"{made['id']}/environment", {"environment": {"CODE": "4"}})
    sandboxes.change(made["id"], "start")
    eventually(stopped(sandboxes, made["id"]), 60, "the sandbox is stopped again")
    assert sandboxes.get(made["id"])["exit_code"] == 4


def handles_term(stack, sandbox_id, field="SigCgt"):
    """Whether a process of the sandbox has said what TERM does to it (proc(5))."""
    for pid in stack.sandbox_processes():
        status = inventory.of_process(pid, "status")
        mask = re.search(rf"^{field}:\s+(\w+)", status, re.M)
        if (sandbox_id in inventory.of_process(pid, "cgroup") and "Name:\tsh\n" in status
                and int(mask.group(1), 16) & 1 << signal.SIGTERM - 1):
            return True
    return False


def test_a_stop_lets_the_main_command_end(sandboxes, stack):
    made = sandboxes.create(command="trap 'exit 5' TERM; while :; do sleep 0.05; done")
    eventually(lambda: handles_term(stack, made["id"]), 60, "its command is ready for TERM")
    shown = sandboxes.change(made["id"], "stop", {"timeout": 20})
    assert shown["state"] == "stopped" and shown["state_reason"] == "requested"
    assert shown["exit_code"] == 5


def test_a_stop_does_not_wait_longer_than_it_is_told(sandboxes, stack):
    made = sandboxes.create(command=["/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"])
    eventually(lambda: handles_term(stack, made["id"], "SigIgn"), 60, "its command ignores TERM")
    shown = sandboxes.change(made["id"], "stop", {"timeout": 1})
    assert shown["state"] == "stopped" and shown["exit_code"] is None


def test_a_stop_of_a_paused_sandbox_lets_its_command_end(sandboxes, stack):
    made = sandboxes.create(command="trap 'exit 6' TERM; while :; do sleep 0.05; done")
    eventually(lambda: handles_term(stack, made["id"]), 60, "its command is ready for TERM")
    sandboxes.change(made["id"], "pause")
    assert sandboxes.change(made["id"], "stop", {"timeout": 20})["exit_code"] == 6


def test_a_command_that_cannot_be_executed_leaves_nothing(sandboxes, stack):
    before = stack.sandbox_ids()
    response = sandboxes.try_create(command=["/no/such/program"])
    assert assert_problem(response, 422, "not_possible")["field"] == "command"
    assert stack.sandbox_ids() <= before


def test_the_time_limit_of_the_main_command(sandboxes):
    made = sandboxes.create(command="sleep 1000", resources={"timeout": 1})
    eventually(stopped(sandboxes, made["id"]), 60, "the time limit ends it")
    shown = sandboxes.get(made["id"])
    assert shown["state_reason"] == "command_exited" and shown["exit_signal"] == 15


def test_a_failing_main_command_is_tried_again(sandboxes):
    made = sandboxes.create(
        command="test -e /tmp/second && exit 0; touch /tmp/second; exit 1",
        resources={"max_retries": 1},
    )
    eventually(stopped(sandboxes, made["id"]), 60, "the second attempt ends")
    assert sandboxes.get(made["id"])["exit_code"] == 0


COUNT_STARTS = "echo x >> /sandbox/starts; exit $(wc -l < /sandbox/starts)"


def exit_code(sandboxes, sandbox_id):
    eventually(stopped(sandboxes, sandbox_id), 60, "the main command ends")
    return sandboxes.get(sandbox_id)["exit_code"]


def test_the_disk_outlives_the_stop(sandboxes):
    made = sandboxes.create(command=COUNT_STARTS)
    assert exit_code(sandboxes, made["id"]) == 1
    sandboxes.change(made["id"], "start")
    assert exit_code(sandboxes, made["id"]) == 2
    sandboxes.change(made["id"], "restart")
    assert exit_code(sandboxes, made["id"]) == 3
    other = sandboxes.create(command=COUNT_STARTS)
    assert exit_code(sandboxes, other["id"]) == 1


def disks(stack, sandbox_id):
    return [path.name for path in (stack.state_dir / "sandboxes").glob(f"{sandbox_id}*")]


def test_the_disk_goes_with_the_sandbox(sandboxes, stack):
    running, halted = sandboxes.create()["id"], sandboxes.create()["id"]
    sandboxes.change(halted, "stop")
    for sandbox_id in (running, halted):
        assert disks(stack, sandbox_id) != []
        assert sandboxes.delete(sandbox_id).status == 204
        assert disks(stack, sandbox_id) == []


def test_a_read_only_root(sandboxes):
    made = sandboxes.create(
        command="touch /sandbox/x && exit 1; touch /etc/x && exit 2; touch /tmp/x && exit 7",
        read_only_root=True,
    )
    assert made["read_only_root"] and exit_code(sandboxes, made["id"]) == 7


def test_capabilities_are_those_that_were_asked_for(sandboxes):
    """The bounding set of its commands, as the kernel has it (proc(5))."""
    bounding = "test $((0x$(sed -n 's/CapBnd:\\s*//p' /proc/self/status))) = {} && exit 7"
    none = sandboxes.create(command=bounding.format(0), cap_drop=["ALL"])
    some = sandboxes.create(
        command=bounding.format(1 << 10 | 1 << 5), cap_add=["NET_BIND_SERVICE", "KILL"],
        cap_drop=["ALL"],
    )
    assert some["cap_add"] == ["NET_BIND_SERVICE", "KILL"] and some["cap_drop"] == ["ALL"]
    assert exit_code(sandboxes, none["id"]) == 7
    assert exit_code(sandboxes, some["id"]) == 7
