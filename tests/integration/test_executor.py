"""The executor dialect: one sandbox by its own secret, as clients of such executors call it."""

import concurrent.futures
import http.client
import json
import os
import re
import subprocess
import textwrap
from pathlib import Path

import pytest

from support import tenancy
from support.client import Client, assert_problem
from support.executor import Events, Executor
from support.processes import make_sandbox
from support.stack import REPOSITORY
from support.wait import eventually

PYTHON = Path(os.environ.get("ATOLL_TEST_VENV", REPOSITORY / "build" / "venv")) / "bin" / "python"
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
OPERATIONS = {
    "run": "POST", "run_streaming": "POST", "write_file": "POST", "read_file": "POST",
    "delete_file": "POST", "delete_dir": "POST", "make_dir": "POST", "list_dir": "POST",
    "bind_port": "POST", "unbind_port": "POST", "start_process": "POST", "kill_process": "POST",
    "list_processes": "GET", "process_logs_streaming": "GET",
}
STRICT = {"start_process": "POST", "kill_process": "POST", "list_processes": "GET",
          "process_logs_streaming": "GET"}
BODIES = sorted(set(OPERATIONS) - {"list_processes", "process_logs_streaming", "bind_port",
                                   "unbind_port"})


@pytest.fixture(scope="module")
def made(stack):
    client = stack.client()
    sandbox = make_sandbox(client)
    yield sandbox
    assert client.request("DELETE", f"/v1/sandboxes/{sandbox['id']}").status == 204


@pytest.fixture
def executor(client, made):
    return Executor(client, made)


def of_the_test(client):
    sandbox = make_sandbox(client)
    yield Executor(client, sandbox)
    assert client.request("DELETE", f"/v1/sandboxes/{sandbox['id']}").status in (204, 404)


@pytest.fixture
def own(client):
    """A sandbox of the test's own."""
    yield from of_the_test(client)


@pytest.fixture
def other(client):
    """A second one."""
    yield from of_the_test(client)


def assert_text(response, status, text):
    assert (response.status, response.body.decode()) == (status, text + "\n"), response
    assert response.headers["Content-Type"].split(";")[0] == "text/plain"


# --- the examples, as their readers will paste them


def curl(script, **variables):
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", script], env={**os.environ, **variables},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=90,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("verb, body, answer", [
    ("run", '{\n  "cmd": "echo \'Hello World\'",\n  "cwd": "/tmp",\n'
            '  "env": {\n    "VAR_NAME": "value"\n  }\n}',
     {"stdout": "Hello World\n", "stderr": "", "code": 0}),
    ("write_file", '{\n  "path": "/tmp/myfile.txt",\n  "content": "file contents"\n}',
     {"success": True}),
    ("read_file", '{\n  "path": "/tmp/myfile.txt"\n}', {"content": "file contents"}),
    ("list_dir", '{\n  "path": "/tmp"\n}', {"entries": ["myfile.txt"]}),
    ("delete_file", '{\n  "path": "/tmp/myfile.txt"\n}', {"success": True}),
    ("make_dir", '{\n  "path": "/tmp/mydir"\n}', {"success": True}),
    ("delete_dir", '{\n  "path": "/tmp/mydir"\n}', {"success": True}),
])
def test_an_example_by_curl(executor, verb, body, answer):
    printed = curl(
        'curl -sS -X POST "$BASE/$VERB" -H "Authorization: Bearer $SECRET" '
        '-H "Content-Type: application/json" -d "$BODY"',
        BASE=executor.url, VERB=verb, SECRET=executor.secret, BODY=body,
    )
    assert json.loads(printed) == answer


def test_the_streaming_example_by_curl(executor):
    printed = curl(
        'curl -sS -N -X POST "$BASE/run_streaming" -H "Authorization: Bearer $SECRET" '
        '-H "Content-Type: application/json" -d "$BODY"',
        BASE=executor.url, SECRET=executor.secret,
        BODY='{"cmd": "echo line 1; sleep 0.3; echo warning message >&2"}',
    )
    assert printed == (
        'event: output\ndata: {"stream":"stdout","data":"line 1"}\n\n'
        'event: output\ndata: {"stream":"stderr","data":"warning message"}\n\n'
        'event: complete\ndata: {"code":0,"error":false}\n\n'
    )


def test_the_example_workflow_by_curl(executor):
    """Start, follow, look, kill: the script with its host and secret replaced."""
    printed = curl(r"""
PROCESS_ID=$(curl -sS -X POST $BASE/start_process \
  -H "Authorization: Bearer $SECRET" \
  -H "Content-Type: application/json" \
  -d '{"cmd": "echo started; exec sleep 300"}' \
  | /usr/bin/python3 -c 'import json,sys; print(json.load(sys.stdin)["id"])')

curl -sS -X GET "$BASE/process_logs_streaming?id=$PROCESS_ID" \
  -H "Authorization: Bearer $SECRET" \
  -N > $LOG &

until grep -q started $LOG; do sleep 0.05; done

curl -sS -X GET $BASE/list_processes \
  -H "Authorization: Bearer $SECRET" | grep -q "\"$PROCESS_ID\",\"pid\":[0-9]*,\"status\":\"running\""

curl -sS -X POST $BASE/kill_process \
  -H "Authorization: Bearer $SECRET" \
  -H "Content-Type: application/json" \
  -d "{\"id\": \"$PROCESS_ID\"}"
wait
cat $LOG
""", BASE=executor.url, SECRET=executor.secret, LOG=f"/tmp/at-{executor.id}.log")
    Path(f"/tmp/at-{executor.id}.log").unlink()
    answer, log = printed.split("event: log\n", 1)
    assert json.loads(answer) == {"success": True, "message": "Process killed successfully"}
    first, last = log.strip().split("\n\n")
    line = json.loads(first.removeprefix("data: "))
    assert (line["stream"], line["data"]) == ("stdout", "started")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", line["timestamp"])
    assert last == 'event: complete\ndata: {"message":"stream ended"}'


# --- who may


def test_the_creation_tells_address_and_secret_once(client, own, stack):
    assert own.url == f"http://{stack.address}/s/{own.id}"
    assert re.fullmatch(r"[0-9a-f]{64}", own.secret)
    for path in (f"/v1/sandboxes/{own.id}", "/v1/sandboxes?limit=200",
                 f"/v1/sandboxes/{own.id}/environment"):
        assert own.secret.encode() not in client.get(path).body


def test_the_address_is_https_where_the_client_used_that(client):
    response = client.post("/v1/sandboxes", {}, headers={"X-Forwarded-Proto": "https"})
    made = response.json
    assert made["executor"]["url"].startswith("https://")
    assert client.request("DELETE", f"/v1/sandboxes/{made['id']}").status == 204


def test_no_secret_is_stored(own, stack):
    rows = stack.postgres.rows(f"SELECT s::text AS row FROM sandboxes s WHERE id = '{own.id}'")
    assert own.secret not in rows[0]["row"]


def test_two_sandboxes_have_two_secrets(own, executor):
    assert own.secret != executor.secret
    assert_text(own.try_post("run", {"cmd": "true"},
                             headers={"Authorization": f"Bearer {executor.secret}"}),
                401, "Unauthorized")


@pytest.mark.parametrize("form", ["/s/{id}/run", "/s/{id}/koyeb-sandbox/run", "/koyeb-sandbox/run"])
def test_three_forms_of_address(executor, form):
    headers = {"X-Routing-Key": executor.id} if form.startswith("/k") else {}
    response = executor.caller.post(form.format(id=executor.id), {"cmd": "echo it"}, headers=headers)
    assert (response.status, response.json["stdout"]) == (200, "it\n"), response


@pytest.mark.parametrize("prefix", ["/koyeb-sandbox", "/s/whatever", "/s/" + "0" * 32])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_health_needs_no_secret(anonymous, prefix, method):
    response = anonymous.request(method, f"{prefix}/health")
    assert (response.status, response.json) == (200, {"status": "ok"})
    assert response.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_wants_the_secret(executor, anonymous, operation):
    """The same refusal, to the byte, for every reason."""
    method = OPERATIONS[operation]
    inside, outside = f"{executor.path}/{operation}", f"/s/{'0' * 32}/{operation}"
    tries = [
        (inside, {}),
        (inside, {"Authorization": "Bearer wrong"}),
        (inside, {"Authorization": f"Bearer {executor.secret}x"}),
        (inside, {"Authorization": f"Bearer {executor.secret[:-1]}"}),
        (inside, {"Authorization": f"Basic {executor.secret}"}),
        (inside, {"Authorization": executor.secret}),
        (inside, {"Authorization": "Bearer "}),
        (inside, {"X-API-Key": executor.secret}),
        (outside, {"Authorization": f"Bearer {executor.secret}"}),
        (f"/s/nothing/{operation}", {"Authorization": f"Bearer {executor.secret}"}),
        (f"/koyeb-sandbox/{operation}", {"Authorization": f"Bearer {executor.secret}"}),
        (f"/koyeb-sandbox/{operation}",
         {"Authorization": f"Bearer {executor.secret}", "X-Routing-Key": "nothing"}),
        (f"/koyeb-sandbox/{operation}",
         {"Authorization": f"Bearer {executor.secret}", "X-Routing-Key": "0" * 32}),
    ]
    answers = set()
    for path, headers in tries:
        response = anonymous.request(method, path, headers=headers)
        assert_text(response, 401, "Unauthorized")
        answers.add(tuple(sorted(k for k in response.headers if k.lower() != "date")))
    assert len(answers) == 1


def test_a_tenants_credential_is_no_secret(executor, client):
    """Not even its owner's, and a secret is no token."""
    assert_text(client.post(f"{executor.path}/run", {"cmd": "true"}), 401, "Unauthorized")
    assert_problem(executor.caller.get(f"/v1/sandboxes/{executor.id}"), 401)
    assert_problem(executor.caller.get("/v1/sandboxes"), 401)


def test_tenants_do_not_reach_each_other(stack, executor):
    other = tenancy.as_role(stack, "member", tenancy.new_tenant(stack)["id"])
    theirs = Executor(other, make_sandbox(other))
    try:
        assert theirs.run("echo theirs > /tmp/canary; hostname")["code"] == 0
        for path in (f"{theirs.path}/read_file", "/koyeb-sandbox/read_file"):
            response = executor.caller.post(path, {"path": "/tmp/canary"},
                                            headers={"X-Routing-Key": theirs.id})
            assert_text(response, 401, "Unauthorized")
        # The path wins over the header: one's own secret opens one's own sandbox alone.
        response = executor.caller.post(f"{executor.path}/read_file", {"path": "/tmp/canary"},
                                        headers={"X-Routing-Key": theirs.id})
        assert response.json == {"error": "open /tmp/canary: no such file or directory"}
        started = theirs.start("sleep 60")["id"]
        response = executor.try_post("kill_process", {"id": started})
        assert response.status == 400
        assert response.json == {"success": False, "error": f"process not found: {started}"}
        assert list(executor.logs(started)) == [
            ("error", {"error": f"process not found: {started}"})]
        assert theirs.status(started) == "running"
    finally:
        assert other.request("DELETE", f"/v1/sandboxes/{theirs.id}").status == 204


def test_a_suspended_tenant_is_let_in_nowhere(stack):
    tenant = tenancy.new_tenant(stack)["id"]
    member = tenancy.as_role(stack, "member", tenant)
    theirs = Executor(member, make_sandbox(member))
    operator = tenancy.as_role(stack, "operator")

    def set_state(state):
        path = f"/v1/tenants/{tenant}"
        assert operator.request("PATCH", path, {"state": state}).status == 200

    assert theirs.run("true")["code"] == 0
    set_state("suspended")
    assert_text(theirs.try_post("run", {"cmd": "true"}), 403, "the tenant is suspended")
    assert_text(theirs.try_post("run", {"cmd": "true"}, headers={"Authorization": "Bearer x"}),
                401, "Unauthorized")
    set_state("active")
    assert theirs.run("true")["code"] == 0
    eventually(lambda: member.request("DELETE", f"/v1/sandboxes/{theirs.id}").status == 204, 30,
               "the tenant's own calls work again")


def test_a_refusal_is_seen_by_operators(stack, own):
    assert own.try_post("run", {"cmd": "true"},
                        headers={"Authorization": "Bearer wrong"}).status == 401
    eventually(
        lambda: stack.postgres.value(
            "SELECT count(*) FROM events WHERE kind = 'auth.failed' "
            "AND detail->>'reason' = 'wrong_secret'") > 0,
        30, "the refusal is an event",
    )


def test_the_environment_chooses_the_secret(client):
    made = make_sandbox(client, environment={"SANDBOX_SECRET": "chosen"})
    try:
        assert "secret" not in made["executor"]
        executor = Executor(client, made, "chosen")
        assert executor.run("true")["code"] == 0
        environment = f"/v1/sandboxes/{made['id']}/environment"
        changed = {"environment": {"SANDBOX_SECRET": "another"}}
        assert client.request("PUT", environment, changed).status == 200
        assert_text(executor.try_post("run", {"cmd": "true"}), 401, "Unauthorized")
        assert Executor(client, made, "another").run("true")["code"] == 0
        changed = {"environment": {"SANDBOX_SECRET": None}}
        assert client.request("PATCH", environment, changed).status == 200
        for secret in ("chosen", "another", "None", "null"):
            response = Executor(client, made, secret).try_post("run", {"cmd": "true"})
            assert_text(response, 401, "Unauthorized")
    finally:
        assert client.request("DELETE", f"/v1/sandboxes/{made['id']}").status == 204


def test_a_chosen_secret_replaces_the_made_one(client, own):
    environment = f"/v1/sandboxes/{own.id}/environment"
    assert client.request("PATCH", environment,
                          {"environment": {"SANDBOX_SECRET": "mine"}}).status == 200
    assert_text(own.try_post("run", {"cmd": "true"}), 401, "Unauthorized")
    assert client.request("PATCH", environment,
                          {"environment": {"SANDBOX_SECRET": None}}).status == 200
    assert own.run("true")["code"] == 0


def test_a_changed_secret_ends_the_streams_of_the_former(client, own, other):
    process_id = own.start("echo logged; sleep 1236")["id"]
    streams = [own.logs(process_id), own.run_streaming("echo begun; sleep 1237")]
    kept = other.run_streaming(f"echo begun; {AWAIT_GO}; cat /tmp/go")
    readers = [iter(stream) for stream in [*streams, kept]]
    assert [next(reader)[0] for reader in readers] == ["log", "output", "output"]
    environment = {"environment": {"SANDBOX_SECRET": "mine"}}
    assert client.request("PATCH", f"/v1/sandboxes/{own.id}/environment", environment).status == 200
    for stream in streams:
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            stream.reply.read()
    again = Executor(client, {"id": own.id, "executor": {"url": own.url}}, "mine")
    runs = "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep 'sleep 123[7]'"
    eventually(lambda: again.run(runs)["code"] == 1, 30, "its command is killed")
    assert again.status(process_id) == "running"
    other.run("echo went > /tmp/go")
    assert next(readers[-1]) == ("output", {"stream": "stdout", "data": "went"})


def test_a_retried_creation_tells_the_same_secret(client):
    headers = {"Idempotency-Key": os.urandom(8).hex()}
    first = client.post("/v1/sandboxes", {}, headers=headers)
    second = client.post("/v1/sandboxes", {}, headers=headers)
    assert first.status == second.status == 201
    assert first.json["executor"] == second.json["executor"]
    assert first.json["id"] == second.json["id"]
    assert client.request("DELETE", f"/v1/sandboxes/{first.json['id']}").status == 204


def test_the_secret_lasts_beyond_the_server(private_stack):
    client = private_stack.client()
    executor = Executor(client, make_sandbox(client))
    private_stack.server.kill()
    private_stack.server.start()
    client = private_stack.client()
    executor.caller = Client(private_stack.address, executor.secret)
    assert executor.run("echo still")["stdout"] == "still\n"
    assert client.request("DELETE", f"/v1/sandboxes/{executor.id}").status == 204


def test_a_deleted_sandbox_is_a_missing_one(client):
    executor = Executor(client, make_sandbox(client))
    assert client.request("DELETE", f"/v1/sandboxes/{executor.id}").status == 204
    assert_text(executor.try_post("run", {"cmd": "true"}), 401, "Unauthorized")


@pytest.mark.parametrize("operation, body", [
    ("run", {"cmd": "true"}), ("run", {"cmd": "true", "cwd": "/tmp"}),
    ("run_streaming", {"cmd": "true"}), ("start_process", {"cmd": "true"}),
    ("read_file", {"path": "/tmp/x"}), ("write_file", {"path": "/tmp/x", "content": ""}),
    ("list_dir", {"path": "/tmp"}),
])
def test_a_sandbox_that_does_not_run_is_tried_again(client, own, operation, body):
    assert client.post(f"/v1/sandboxes/{own.id}/stop", {"timeout": 0}).status == 200
    response = own.try_post(operation, body)
    assert response.status == 503 and "stopped" in response.body.decode(), response
    assert response.headers["Retry-After"]
    assert client.post(f"/v1/sandboxes/{own.id}/start").status == 200
    assert own.run("echo back")["stdout"] == "back\n"


# --- methods and bodies


@pytest.mark.parametrize("operation", OPERATIONS)
def test_methods(executor, operation):
    """Four operations mind the method, the others do not."""
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
        response = executor.caller.request(method, f"{executor.path}/{operation}")
        if operation in STRICT and method != STRICT[operation]:
            assert_text(response, 405, "Method not allowed")
        else:
            assert response.status != 405


def test_put_runs_too(executor):
    response = executor.caller.request("PUT", f"{executor.path}/run", {"cmd": "echo put"})
    assert response.json["stdout"] == "put\n"


@pytest.mark.parametrize("operation", BODIES)
@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b"nothing", b'"text"', b"\xff", b'{"cmd":1,"path":2,"id":3}',
    b'{"cmd":["ls"],"path":["x"],"id":["y"]}', b'{"cmd":{},"path":{},"id":{}}',
])
def test_bad_bodies(executor, operation, body):
    assert_text(executor.try_post(operation, body), 400, "Invalid request")


@pytest.mark.parametrize("operation", ["run", "run_streaming", "start_process"])
@pytest.mark.parametrize("fields", [
    {"cwd": 1}, {"cwd": ["/"]}, {"env": []}, {"env": "A=1"}, {"env": 7},
])
def test_bad_members(executor, operation, fields):
    assert_text(executor.try_post(operation, {"cmd": "true", **fields}), 400, "Invalid request")


@pytest.mark.parametrize("env", [
    {"A": 1}, {"A B": "x"}, {"": "x"}, {"A=B": "x"}, {"A": None}, {"A": "x" * 40000},
    {f"V{i}": "x" for i in range(257)},
])
def test_bad_environments(executor, env):
    response = executor.try_post("run", {"cmd": "true", "env": env})
    assert response.status == 400 and response.body.startswith(b"'env"), response


@pytest.mark.parametrize("operation", ["run", "run_streaming", "start_process"])
@pytest.mark.parametrize("cwd", ["/nowhere", "nowhere", "/etc/passwd", "/proc/1/root/x", "/" + "x" * 300])
def test_bad_folders(executor, operation, cwd):
    response = executor.try_post(operation, {"cmd": "true", "cwd": cwd})
    assert_text(response, 400, f"Invalid working directory: {cwd}")


def test_no_content_type_is_needed(executor):
    response = executor.try_post("run", b'{"cmd": "echo x", "unknown": [1]}',
                                 headers={"Content-Type": "text/plain"})
    assert response.json == {"stdout": "x\n", "stderr": "", "code": 0}


def test_a_large_body_is_refused(executor):
    response = executor.try_post("write_file", b" " * (17 << 20))
    assert response.status == 413


@pytest.mark.parametrize("operation", ["bind_port", "unbind_port"])
def test_ports_are_not_there_yet(executor, operation):
    response = executor.try_post(operation, {"port": "8080"})
    assert response.status == 501
    assert response.json["success"] is False and "not supported" in response.json["error"]


# --- run


@pytest.mark.parametrize("cmd, answer", [
    ("true", {"stdout": "", "stderr": "", "code": 0}),
    ("", {"stdout": "", "stderr": "", "code": 0}),
    ("echo out; echo err >&2; exit 3",
     {"stdout": "out\n", "stderr": "err\n", "code": 3, "error": "Non-zero exit code"}),
    ("kill -9 $$", {"stdout": "", "stderr": "", "code": -1, "error": "Non-zero exit code"}),
    ("printf 'a\\0\\377\\\\\"\\n'",
     {"stdout": "a\x00\ufffd\\\"\n", "stderr": "", "code": 0}),
    ("printf '\\342\\202\\254 \\342\\202'", {"stdout": "€ \ufffd\ufffd", "stderr": "", "code": 0}),
])
def test_run(executor, cmd, answer):
    assert executor.run(cmd) == answer


def test_run_takes_folder_and_variables(own):
    assert own.run("pwd; echo $A-$HOME", cwd="/tmp", env={"A": "b"})["stdout"] == "/tmp\nb-/home/user\n"
    assert own.run("mkdir -p inner; pwd")["stdout"] == "/sandbox\n"
    assert own.run("pwd", cwd="inner")["stdout"] == "/sandbox/inner\n"
    assert own.run("echo $PATH", env={"PATH": "/nothing"})["stdout"] == "/nothing\n"


def test_run_overlays_the_sandboxs_variables(client):
    executor = Executor(client, make_sandbox(client, environment={"A": "sandbox", "B": "kept"}))
    assert executor.run("echo $A $B", env={"A": "call"})["stdout"] == "call kept\n"
    assert client.request("DELETE", f"/v1/sandboxes/{executor.id}").status == 204


@pytest.mark.parametrize("size", [1 << 20, 10 << 20, 100 << 20])
def test_large_output_fits(executor, size):
    line = 'x"\\y\t' + "é" * 10
    count = size // (len(line.encode()) + 1)
    result = executor.run(f"yes 'x\"\\y\t{'é' * 10}' | head -n {count}")
    assert result["code"] == 0 and "error" not in result
    assert result["stdout"] == (line + "\n") * count


def test_large_output_of_both_streams(executor):
    result = executor.run("head -c 3000000 /dev/zero; head -c 2000000 /dev/zero >&2; exit 1")
    assert result["stdout"] == "\0" * 3000000 and result["stderr"] == "\0" * 2000000
    assert (result["code"], result["error"]) == (1, "Non-zero exit code")


def test_a_timed_out_command_says_so(client):
    for timeout in (1, 8, 60):  # which a busy machine may need for the first line
        executor = Executor(client, make_sandbox(client, command_timeout=timeout))
        result = executor.run("echo before; sleep 1000")
        assert client.request("DELETE", f"/v1/sandboxes/{executor.id}").status == 204
        if result["stdout"]:
            break
    assert (result["stdout"], result["code"], result["error"]) == ("before\n", -1, "Command timed out")


def test_a_command_that_is_too_long_is_not_started(executor):
    assert_text(executor.try_post("run", {"cmd": "true " + "x" * 200000}), 500,
                "Failed to start command")
    assert list(executor.run_streaming("true " + "x" * 200000)) == [
        ("error", {"error": "Failed to start command"})]
    response = executor.try_post("start_process", {"cmd": "true " + "x" * 200000})
    assert response.status == 500 and response.json["error"]
    assert {k: response.json[k] for k in ("id", "pid", "status")} == {
        "id": "", "pid": 0, "status": ""}


def test_many_at_once(executor):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        outputs = list(pool.map(lambda i: executor.run(f"echo {i}")["stdout"], range(40)))
    assert outputs == [f"{i}\n" for i in range(40)]


@pytest.fixture
def ruled(stack):
    """A sandbox in a project of its own; returns its executor and a way to set the policy."""
    admin = tenancy.as_role(stack, "admin", tenancy.new_tenant(stack)["id"])
    project = tenancy.new_project(admin)["id"]
    executor = Executor(admin, make_sandbox(admin, project_id=project))

    def rule(mode):
        policy = {"mode": mode, "allow": [], "block": ["wget"]}
        response = admin.request("PATCH", f"/v1/projects/{project}", {"command_policy": policy})
        assert response.status == 200, response

    yield executor, rule
    assert admin.request("DELETE", f"/v1/sandboxes/{executor.id}").status == 204


@pytest.mark.parametrize("operation", ["run", "run_streaming", "start_process"])
def test_the_projects_command_policy_counts(ruled, operation):
    executor, rule = ruled
    command = {"cmd": "echo x; wget --version"}
    rule("enforce")
    response = executor.try_post(operation, command)
    assert response.status == 403 and "wget" in response.body.decode(), response
    assert response.headers["Content-Type"].split(";")[0] == "text/plain"
    assert executor.try_post(operation, {"cmd": "echo x"}).status in (200, 201)
    rule("warn")
    response = executor.try_post(operation, command)
    assert response.status in (200, 201) and "wget" in response.headers["X-Command-Policy"]


def test_who_does_not_read_his_answer_holds_nobody_up(client, own):
    """The worker that sends it is busy with it, and takes no other request."""
    connection = http.client.HTTPConnection(own.caller.host, own.caller.port, timeout=60)
    connection.request(
        "POST", f"{own.path}/run", body=json.dumps({"cmd": "head -c 30000000 /dev/zero | tr '\\0' x"}),
        headers={"Authorization": f"Bearer {own.secret}"},
    )
    reply = connection.getresponse()
    assert reply.read(10) == b'{"stdout":'
    for _ in range(4):
        assert client.request("GET", "/health", timeout=60).status == 200
    assert json.loads(b'{"stdout":' + reply.read())["code"] == 0
    connection.close()


# --- run_streaming


def lines_of(events, stream):
    return [data["data"] for kind, data in events if data.get("stream") == stream]


def test_streaming_has_one_event_a_line(executor):
    events = list(executor.run_streaming(
        "echo one; echo; printf 'two\\r\\n'; printf 'no end'; exit 4"))
    assert lines_of(events, "stdout") == ["one", "", "two", "no end"]
    assert events[-1] == ("complete", {"code": 4, "error": True})
    assert {kind for kind, _ in events[:-1]} == {"output"}


@pytest.mark.parametrize("cmd, code", [("true", 0), ("", 0), ("kill -9 $$", -1)])
def test_streaming_ends(executor, cmd, code):
    assert list(executor.run_streaming(cmd)) == [("complete", {"code": code, "error": code != 0})]


AWAIT_GO = "until [ -e /tmp/go ]; do sleep 0.02; done"


def test_streaming_comes_as_it_is_written(own):
    events = iter(own.run_streaming(f"echo first; {AWAIT_GO}; cat /tmp/go"))
    assert next(events) == ("output", {"stream": "stdout", "data": "first"})
    own.run("echo second > /tmp/new; mv /tmp/new /tmp/go")
    assert list(events) == [
        ("output", {"stream": "stdout", "data": "second"}),
        ("complete", {"code": 0, "error": False}),
    ]


def test_streaming_is_an_event_stream(executor):
    stream = executor.run_streaming("true")
    assert (stream.status, stream.media) == (200, "text/event-stream")
    assert stream.reply.headers["Cache-Control"] == "no-store"
    assert len(list(stream)) == 1


@pytest.mark.parametrize("size", [1, 65535, 65536, 65537, 1 << 20, 5 << 20])
def test_streaming_keeps_a_line_whole(executor, size):
    events = list(executor.run_streaming(f"head -c {size} /dev/zero | tr '\\0' x; echo; echo after"))
    assert [len(line) for line in lines_of(events, "stdout")] == [size, 5]
    assert events[-1][0] == "complete"


def test_streaming_does_not_cut_characters(executor):
    events = list(executor.run_streaming("yes '€' | head -n 100000 | tr -d '\\n'; printf '\\377'"))
    assert lines_of(events, "stdout") == ["€" * 100000 + "\ufffd"]


def test_streaming_escapes_every_break(executor):
    """Readers that end lines where Unicode does still see one line an event."""
    text = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg"
    executor.post("write_file", path="/tmp/breaks", content=text + "\n")
    caller = executor.caller
    raw = caller.post(f"{executor.path}/run_streaming", {"cmd": "cat /tmp/breaks"}).body.decode()
    assert raw.splitlines() == raw.split("\n")[:-1]
    assert json.loads(raw.split("\n")[1].removeprefix("data: "))["data"] == text


def test_streaming_loses_no_line(executor):
    events = list(executor.run_streaming("seq 1 100000; seq 1 1000 >&2"))
    assert lines_of(events, "stdout") == [str(i) for i in range(1, 100001)]
    assert lines_of(events, "stderr") == [str(i) for i in range(1, 1001)]


def test_a_client_that_leaves_takes_its_command_along(executor):
    stream = executor.run_streaming(
        "echo begun; (setsid sleep 1234 &); sleep 1235", cwd="/tmp")
    assert next(iter(stream))[0] == "output"
    stream.close()

    def gone():
        return "123" not in executor.run("cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | "
                                         "grep -o 'sleep 123[45]'; true")["stdout"]

    eventually(gone, 30, "the command and what it left are gone")


def test_clients_that_leave_a_paused_sandbox_hold_nobody_up(client, own, other):
    """Its agent does not answer whoever wants to kill their commands."""
    streams = [own.run_streaming("echo begun; sleep 1238") for _ in range(30)]
    readers = [iter(stream) for stream in streams]
    assert {next(reader)[0] for reader in readers} == {"output"}
    assert client.post(f"/v1/sandboxes/{own.id}/pause").status == 200
    for stream in streams:
        stream.close()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        # The first ones may be over before the server knows who has left.
        ends = pool.submit(lambda: [list(other.run_streaming("true")) for _ in range(10)])
        assert ends.result(timeout=30) == [[("complete", {"code": 0, "error": False})]] * 10


def test_a_command_survives_its_client_in_run(executor):
    caller = executor.caller
    connection = http.client.HTTPConnection(caller.host, caller.port)
    connection.request("POST", f"{executor.path}/run",
                       json.dumps({"cmd": "touch /tmp/begun; sleep 1; touch /tmp/survived"}),
                       {"Authorization": f"Bearer {executor.secret}"})
    eventually(lambda: executor.run("ls /tmp/begun")["code"] == 0, 30, "the command runs")
    connection.close()
    eventually(lambda: executor.run("ls /tmp/survived")["code"] == 0, 30, "it ran to its end")
    executor.run("rm /tmp/begun /tmp/survived")


# --- processes


def test_a_process_from_start_to_end(own):
    started = own.start("echo out; echo err >&2; sleep 300")
    assert set(started) == {"id", "pid", "status"}
    assert UUID.fullmatch(started["id"]) and started["pid"] > 1
    assert started["status"] == "running"
    (listed,) = own.list()
    assert listed == {**started, "command": "echo out; echo err >&2; sleep 300"}
    assert own.post("kill_process", id=started["id"]) == {
        "success": True, "message": "Process killed successfully"}
    assert own.status(started["id"]) == "killed"
    response = own.try_post("kill_process", {"id": started["id"]})
    assert response.status == 400
    assert response.json == {
        "success": False, "error": "process is not running (status: killed)"}


@pytest.mark.parametrize("cmd, status", [
    ("exit 0", "completed"), ("exit 1", "failed"), ("kill -TERM $$", "killed")])
def test_statuses(own, cmd, status):
    process_id = own.start(cmd)["id"]
    eventually(lambda: own.status(process_id) == status, 30, "the end is seen")
    response = own.try_post("kill_process", {"id": process_id})
    assert response.json["error"] == f"process is not running (status: {status})"


def test_a_list_has_what_the_dialect_started(client, own):
    """Not what others did, nor commands that somebody waits for."""
    ids = [own.start(f"sleep {300 + i}")["id"] for i in range(3)]
    own.run("true")
    list(own.run_streaming("true"))
    assert client.post(f"/v1/sandboxes/{own.id}/processes", {"command": "sleep 60"}).status == 201
    assert [process["id"] for process in own.list()] == ids
    assert {process["status"] for process in own.list()} == {"running"}


def test_a_list_ends_with_its_sandboxs_start(client, own):
    own.start("sleep 300")
    assert client.post(f"/v1/sandboxes/{own.id}/restart", {"timeout": 0}).status == 200
    assert own.list() == []


def test_start_takes_folder_and_variables(own):
    process_id = own.start("pwd; echo $A", cwd="/tmp", env={"A": "b"})["id"]
    assert lines_of(list(own.logs(process_id)), "stdout") == ["/tmp", "b"]


@pytest.mark.parametrize("body", [{}, {"cmd": ""}, {"cmd": None}])
def test_start_needs_a_command(executor, body):
    assert_text(executor.try_post("start_process", body), 400, "Command is required")


@pytest.mark.parametrize("body", [{}, {"id": ""}, {"id": None}])
def test_kill_needs_an_id(executor, body):
    assert_text(executor.try_post("kill_process", body), 400, "Process ID is required")


@pytest.mark.parametrize("process_id", [
    "nothing", "0" * 32, "550e8400-e29b-41d4-a716-446655440000", "%s%n\"\n", "x" * 5000])
def test_kill_of_nothing(executor, process_id):
    response = executor.try_post("kill_process", {"id": process_id})
    assert response.status == 400
    assert response.json == {"success": False, "error": f"process not found: {process_id}"}


def test_logs_are_history_then_live_then_complete(own):
    process_id = own.start(f"echo a; echo b >&2; {AWAIT_GO}; cat /tmp/go; echo d")["id"]
    first = iter(own.logs(process_id))
    begun = [next(first), next(first)]
    assert sorted((d["stream"], d["data"]) for _, d in begun) == [("stderr", "b"), ("stdout", "a")]
    second = iter(own.logs(process_id))
    assert [next(second), next(second)] == begun
    own.run("echo c > /tmp/new; mv /tmp/new /tmp/go")
    for events in (first, second):
        rest = list(events)
        assert [data["data"] for _, data in rest[:-1]] == ["c", "d"]
        assert rest[-1] == ("complete", {"message": "stream ended"})
        assert {kind for kind, _ in rest[:-1]} == {"log"}


def test_logs_of_an_ended_process(own):
    process_id = own.start("seq 1 12000")["id"]
    eventually(lambda: own.status(process_id) == "completed", 30, "it ends")
    lines = lines_of(list(own.logs(process_id)), "stdout")
    assert lines == [str(i) for i in range(2001, 12001)]


def test_a_reader_of_logs_may_leave(own):
    process_id = own.start("echo x; sleep 300")["id"]
    logs = own.logs(process_id)
    assert next(iter(logs))[1]["data"] == "x"
    logs.close()
    own.run("sleep 0.2")
    assert own.status(process_id) == "running"


@pytest.mark.parametrize("query", ["", "?id=", "?other=1"])
def test_logs_need_an_id(executor, query):
    assert_text(executor.caller.get(f"{executor.path}/process_logs_streaming{query}"), 400,
                "Process ID is required")


@pytest.mark.parametrize("process_id", ["nothing", "0" * 32, "%22%5C"])
def test_logs_of_nothing(executor, process_id):
    events = Events(executor, "GET", f"process_logs_streaming?id={process_id}")
    assert (events.status, events.media) == (200, "text/event-stream")
    shown = process_id.replace("%22%5C", '"\\')
    assert list(events) == [("error", {"error": f"process not found: {shown}"})]


# --- files


def test_files_from_write_to_delete(own):
    assert own.post("make_dir", path="/tmp/a/b/c") == {"success": True}
    assert own.post("make_dir", path="/tmp/a/b/c") == {"success": True}
    assert own.post("write_file", path="/tmp/a/b/c/f", content="über\n") == {"success": True}
    assert own.post("read_file", path="/tmp/a/b/c/f") == {"content": "über\n"}
    assert own.run("stat -c %a:%U /tmp/a/b/c/f /tmp/a")["stdout"] == "644:user\n755:user\n"
    assert own.post("list_dir", path="/tmp/a/b/c") == {"entries": ["f"]}
    assert own.post("delete_file", path="/tmp/a/b/c/f") == {"success": True}
    assert own.post("list_dir", path="/tmp/a/b/c") == {"entries": []}
    assert own.post("delete_file", path="/tmp/a/b/c") == {"success": True}
    assert own.post("delete_dir", path="/tmp/a") == {"success": True}
    assert own.post("delete_dir", path="/tmp/a") == {"success": True}


def test_a_relative_path_is_the_commands_too(own):
    assert own.post("write_file", path="here.txt", content="x") == {"success": True}
    assert own.run("cat here.txt")["stdout"] == "x"


def test_a_rewritten_file_keeps_its_mode(own):
    own.run("touch /tmp/tool; chmod 750 /tmp/tool")
    own.post("write_file", path="/tmp/tool", content="#!/bin/sh\necho tool\n")
    assert own.run("stat -c %a /tmp/tool; /tmp/tool")["stdout"] == "750\ntool\n"


def test_content_is_written_as_it_comes(own):
    content = "".join(map(chr, range(1, 0x250))) + "$(id) `id` '\"\\ \u2028 aGVsbG8="
    own.post("write_file", path="/tmp/odd", content=content)
    assert own.post("read_file", path="/tmp/odd") == {"content": content}
    own.post("write_file", path="/tmp/odd")
    assert own.post("read_file", path="/tmp/odd") == {"content": ""}


def test_a_large_file(own):
    content = "0123456789abcde\n" * (10 << 16)
    own.post("write_file", path="/tmp/large", content=content)
    assert own.post("read_file", path="/tmp/large")["content"] == content


def test_entries_are_sorted(own):
    own.run("mkdir /tmp/d; cd /tmp/d; touch b a .c 'x y' \"$(printf '\\377')\"; mkdir e")
    assert own.post("list_dir", path="/tmp/d") == {
        "entries": [".c", "a", "b", "e", "x y", "\ufffd"]}


@pytest.mark.parametrize("operation, path, error", [
    ("write_file", "/tmp/none/f", "open {}: no such file or directory"),
    ("write_file", "/tmp", "open {}: is a directory"),
    ("write_file", "/etc/passwd/f", "open {}: not a directory"),
    ("write_file", "/etc/f", "open {}: permission denied"),
    ("write_file", "", "open {}: no such file or directory"),
    ("read_file", "/tmp/none", "open {}: no such file or directory"),
    ("read_file", "/tmp", "open {}: is a directory"),
    ("read_file", "/" + "x" * 300, "open {}: file name too long"),
    ("read_file", "/" + "x/" * 3000, "open {}: file name too long"),
    ("delete_file", "/tmp/none", "remove {}: no such file or directory"),
    ("delete_file", "/etc", "remove {}: "),
    ("delete_dir", "/etc/apt", "unlinkat {}: permission denied"),
    ("make_dir", "/etc/passwd/x", "mkdir {}: not a directory"),
    ("make_dir", "/etc/x", "mkdir {}: permission denied"),
    ("make_dir", "", "mkdir {}: no such file or directory"),
    ("list_dir", "/tmp/none", "open {}: no such file or directory"),
    ("list_dir", "/etc/passwd", "open {}: not a directory"),
])
def test_what_is_wrong_with_a_file(executor, operation, path, error):
    answer = executor.post(operation, path=path, content="x")
    assert answer["error"].startswith(error.format(path)), answer
    if operation not in ("read_file", "list_dir"):
        assert answer["success"] is False


def test_a_folder_with_content_is_not_deleted_as_a_file(own):
    own.run("mkdir /tmp/full; touch /tmp/full/x")
    assert own.post("delete_file", path="/tmp/full") == {
        "success": False, "error": "remove /tmp/full: directory not empty"}


def test_a_path_leads_nowhere_else(own):
    own.run("ln -s /proc/1/root/etc/passwd /tmp/link; touch /tmp/closed; chmod 0 /tmp/closed")
    assert own.post("read_file", path="/tmp/closed") == {
        "error": "open /tmp/closed: permission denied"}
    assert own.post("read_file", path="/tmp/link") == {
        "error": "open /tmp/link: too many levels of symbolic links"}
    assert "error" in own.post("read_file", path="/dev/zero")
    own.post("write_file", path="/tmp/../../../../tmp/up", content="x")
    assert own.run("cat /tmp/up")["stdout"] == "x"
    assert not Path("/tmp/up").exists()


# --- use


def test_use_counts_as_activity(client, own, other, stack):
    running = other.start("sleep 300")["id"]

    def age(executor):
        stack.postgres.execute(
            "UPDATE sandboxes SET last_active_at = now() - interval '10 minutes'"
            f" WHERE id = '{executor.id}'")

    def is_fresh(executor):
        return stack.postgres.value(
            f"SELECT (last_active_at > now() - interval '1 minute')::integer FROM sandboxes "
            f"WHERE id = '{executor.id}'") == 1

    def kill(executor):
        executor.post("kill_process", id=executor.start("sleep 300")["id"])

    def uses_are_written():
        """A signal is noted, not written at once, and what is noted is written in its order."""
        age(other)
        path = f"/v1/sandboxes/{other.id}/processes/{running}/signal"
        assert client.post(path, {"signal": "SIGCONT"}).status in (200, 204)
        eventually(lambda: is_fresh(other), 30, "the other's use is written")

    for use in (lambda: own.run("true"), lambda: own.post("list_dir", path="/tmp"),
                lambda: kill(own)):
        age(own)
        use()
        eventually(lambda: is_fresh(own), 30, "the use is written")
    uses_are_written()
    age(own)
    own.list()
    uses_are_written()
    assert not is_fresh(own)


def test_the_record_names_the_executor(own, stack):
    own.run("true")
    rows = stack.postgres.rows(
        f"SELECT state, kind, project_id FROM processes WHERE sandbox_id = '{own.id}'")
    assert [(row["state"], row["kind"]) for row in rows] == [("completed", "exec")]


# --- the unmodified client from PyPI


def run_sdk(executor, script):
    if not PYTHON.exists():
        pytest.fail(f"{PYTHON} is missing: run `scripts/setup test` with access to PyPI")
    done = subprocess.run(
        [str(PYTHON), "-c", textwrap.dedent(script)], text=True, timeout=120,
        env={"BASE": executor.url, "SECRET": executor.secret, "ID": executor.id,
             "PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


CONNECT = """
import os
from koyeb.sandbox.executor_client import AsyncSandboxClient, ConnectionInfo, SandboxClient
base, secret, sandbox = (os.environ[name] for name in ("BASE", "SECRET", "ID"))
client = SandboxClient(ConnectionInfo(public_url=base, routing_key=None, secret=secret))
"""


def test_sdk_by_header_and_by_path(executor):
    run_sdk(executor, CONNECT + """
root = base.rsplit("/s/", 1)[0]
for url, key in ((base, None), (base + "/koyeb-sandbox", None), (root + "/koyeb-sandbox", sandbox)):
    client = SandboxClient(ConnectionInfo(public_url=url, routing_key=key, secret=secret))
    assert client.health() == {"status": "ok"}
    assert client.run("echo hello")["stdout"] == "hello\\n"
""")


def test_sdk_commands(executor):
    run_sdk(executor, CONNECT + """
assert client.run("echo $A; pwd", cwd="/tmp", env={"A": "1"}) == {
    "stdout": "1\\n/tmp\\n", "stderr": "", "code": 0}
assert client.run("exit 7") == {
    "stdout": "", "stderr": "", "code": 7, "error": "Non-zero exit code"}
assert len(client.run("head -c 10000000 /dev/zero | tr '\\\\0' x", timeout=60)["stdout"]) == 10000000
events = list(client.run_streaming("for i in 1 2 3; do echo $i; done; echo e >&2; exit 2"))
assert [e["data"] for e in events if e.get("stream") == "stdout"] == ["1", "2", "3"]
assert [e["data"] for e in events if e.get("stream") == "stderr"] == ["e"]
assert events[-1] == {"code": 2, "error": True}
""")


def test_sdk_files(executor):
    run_sdk(executor, CONNECT + """
assert client.make_dir("/tmp/sdk/in")["success"]
assert client.write_file("/tmp/sdk/in/f", "text")["success"]
assert client.read_file("/tmp/sdk/in/f")["content"] == "text"
assert client.list_dir("/tmp/sdk")["entries"] == ["in"]
assert "no such file" in client.read_file("/tmp/sdk/none")["error"]
assert client.delete_file("/tmp/sdk/in/f")["success"]
assert client.delete_dir("/tmp/sdk")["success"]
""")


def test_sdk_processes(own):
    run_sdk(own, CONNECT + """
from koyeb.sandbox.sandbox import ProcessInfo
started = client.start_process("sleep 300", cwd="/tmp", env={"A": "1"})
infos = [ProcessInfo(**process) for process in client.list_processes()["processes"]]
assert [(i.id, i.status, i.command) for i in infos] == [(started["id"], "running", "sleep 300")]
assert client.kill_process(started["id"])["success"]
assert client.list_processes()["processes"][0]["status"] == "killed"
""")


def test_sdk_async(executor):
    run_sdk(executor, CONNECT + """
import asyncio
async def main():
    info = ConnectionInfo(public_url=base, routing_key=None, secret=secret)
    async with AsyncSandboxClient(info) as client:
        assert (await client.run("echo a"))["stdout"] == "a\\n"
        events = [event async for event in client.run_streaming("echo b")]
        assert events == [{"stream": "stdout", "data": "b"}, {"code": 0, "error": False}]
asyncio.run(main())
""")


def test_sdk_refusals(executor):
    run_sdk(executor, CONNECT + """
import httpx
wrong = SandboxClient(ConnectionInfo(public_url=base, routing_key=None, secret="wrong"))
for call in (lambda: wrong.run("true"), lambda: list(wrong.run_streaming("true")),
             lambda: wrong.list_processes()):
    try:
        call()
    except httpx.HTTPStatusError as error:
        assert error.response.status_code == 401
    else:
        raise AssertionError("it was let in")
try:
    client.run("true", cwd="/nowhere")
except httpx.HTTPStatusError as error:
    assert error.response.text == "Invalid working directory: /nowhere\\n"
""")
