"""POST /v1/runs: code and files in, its result out, nothing left."""

import concurrent.futures

import pytest

from support.client import assert_problem
from support.wait import eventually

MISSING = "0" * 31 + "1"


def run(client, **body):
    response = client.post("/v1/runs", body)
    if response.status == 200:
        client.created.add(response.json["id"])
    return response


def result(client, **body):
    response = run(client, **body)
    assert response.status == 200, response
    return response.json


@pytest.mark.parametrize("runtime,code", [
    ("shell", "echo hello"),
    ("python", "print('hello')"),
    ("node", "console.log('hello')"),
    ("typescript", "const x: string = 'hello'; console.log(x)"),
])
def test_each_runtime(client, runtime, code):
    got = result(client, runtime=runtime, code=code)
    assert got["success"] and got["stdout"] == "hello\n" and got["stderr"] == ""
    assert got["exit_code"] == 0 and got["signal"] is None and got["recorded"]
    assert got["stdout_base64"] is None and not got["timed_out"] and not got["truncated"]


def test_files_environment_and_stdin(client):
    got = result(
        client, runtime="shell", code='cat data/a.txt; echo "$NAME"; cat',
        files=[{"path": "data/a.txt", "content": "a\n"}], env={"NAME": "n"}, stdin="from stdin",
    )
    assert got["stdout"] == "a\nn\nfrom stdin"
    assert result(client, runtime="shell", code="cat")["stdout"] == ""


def test_the_end_is_the_real_one(client):
    failed = result(client, runtime="shell", code="echo no >&2; exit 7")
    assert not failed["success"] and failed["exit_code"] == 7 and failed["stderr"] == "no\n"
    killed = result(client, runtime="shell", code="kill -9 $$")
    assert killed["exit_code"] is None and killed["signal"] == "SIGKILL"
    late = result(client, runtime="shell", code="sleep 100", timeout_ms=200)
    assert late["timed_out"] and not late["success"]
    raw = result(client, runtime="shell", code="printf '\\377'")
    assert raw["stdout"] == "\ufffd" and raw["stdout_base64"] == "/w=="


def test_nothing_is_left_but_the_record(client, stack):
    before = stack.sandbox_ids()
    got = result(client, runtime="shell", code="sleep 1000 & exit 3")
    assert stack.sandbox_ids() <= before
    assert_problem(client.get(f"/v1/sandboxes/{got['id']}"), 404)
    row = stack.postgres.rows(
        "SELECT state, exit_code, cpu_usec > 0 AS used, wall_usec IS NOT NULL AS timed,"
        f" project_id IS NOT NULL AS counted FROM processes WHERE id = '{got['id']}'"
    )
    assert row == [
        {"state": "failed", "exit_code": 3, "used": True, "timed": True, "counted": True}
    ]
    events = stack.postgres.rows(
        f"SELECT kind, to_state, actor FROM events WHERE sandbox_id = '{got['id']}' ORDER BY id"
    )
    assert events == [
        {"kind": "run.started", "to_state": "running", "actor": "tests"},
        {"kind": "run.ended", "to_state": "failed", "actor": "tests"},
    ]
    stack.assert_clean()


def test_many_at_once(client):
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        codes = [f"echo {i}" for i in range(32)]
        outputs = list(pool.map(lambda code: result(client, runtime="shell", code=code), codes))
    assert [output["stdout"] for output in outputs] == [f"{i}\n" for i in range(32)]
    assert len({output["id"] for output in outputs}) == 32


def test_a_long_run_is_nobodys_orphan(client, stack):
    """It lives longer than what the worker spares; a sandbox that has no owner ends meanwhile."""
    got = result(client, runtime="shell", code="sleep 25; echo whole", timeout_ms=60000)
    assert got["stdout"] == "whole\n"


def test_a_run_of_a_dead_server_is_lost_and_swept(stack):
    client = stack.client()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(run, client, runtime="shell", code="sleep 1000", timeout_ms=600000)
        eventually(lambda: running(stack) == 1, 60, "the run is under way")
        stack.server.restart()
        future.exception()
    eventually(lambda: running(stack) == 0, 60, "the run is marked lost")
    assert stack.postgres.value(
        "SELECT count(*) FROM events WHERE kind = 'run.lost' AND detail->>'rule' = "
        "'server_restarted'"
    ) >= 1
    stack.assert_clean()


def running(stack):
    return stack.postgres.value(
        "SELECT count(*) FROM processes WHERE id = sandbox_id AND ended_at IS NULL"
    )


@pytest.mark.parametrize("body,code,field", [
    ({"code": "x"}, "missing_field", "runtime"),
    ({"runtime": "shell"}, "missing_field", "code"),
    ({"runtime": "cobol", "code": "x"}, "invalid_field", "runtime"),
    ({"runtime": "shell", "code": ""}, "invalid_field", "code"),
    ({"runtime": "shell", "code": "x", "timeout_ms": 3600001}, "invalid_field", "timeout_ms"),
    ({"runtime": "shell", "code": "x", "memory_limit_mb": 8193}, "invalid_field",
     "memory_limit_mb"),
    ({"runtime": "shell", "code": "x", "env": {"1": "x"}}, "invalid_field", "env.1"),
    ({"runtime": "shell", "code": "x", "env": {}, "environment": {}}, "invalid_field", "env"),
    ({"runtime": "shell", "code": "x", "files": [{"path": "../x", "content": ""}]},
     "invalid_field", "files[0].path"),
    ({"runtime": "shell", "code": "x", "colour": "red"}, "unknown_field", "colour"),
])
def test_bad_bodies_are_refused_by_name(client, body, code, field):
    assert assert_problem(run(client, **body), 400, code)["field"] == field


def test_a_project_must_be_the_tenants(client, other, stack):
    response = run(client, runtime="shell", code="true", project_id=MISSING)
    assert_problem(response, 404, "not_found")
    project = stack.postgres.execute(
        "SELECT replace(id::text, '-', '') FROM projects WHERE is_default AND"
        f" tenant_id = '{stack.extra_tenants['other']}'"
    )
    foreign = run(client, runtime="shell", code="true", project_id=project)
    assert foreign.status == 404 and foreign.json["detail"] == response.json["detail"]
    assert run(other, runtime="shell", code="true", project_id=project).status == 200
