"""GET /v1/sandboxes/{id}/why: what keeps a sandbox, what stopped it, what will end it."""

import concurrent.futures
from datetime import datetime, timedelta

from support.client import assert_problem
from support.processes import new_sandbox
from support.wait import eventually


def why(client, sandbox_id):
    response = client.get(f"/v1/sandboxes/{sandbox_id}/why")
    assert response.status == 200, response
    return response.json


def moment(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def test_a_definition(client):
    sandbox_id = client.create("shell", "true")
    answer = why(client, sandbox_id)
    assert (answer["kind"], answer["state"], answer["kept_by"]) == ("definition", "stopped", "use")
    assert (answer["ends_by"], answer["ends_how"]) == ("idle_timeout", "delete")
    assert answer["ends_at"] == answer["idle_ends_at"] < answer["lifetime_ends_at"]
    info = client.info(sandbox_id)
    assert answer["lifetime_ends_at"] == info["expires_at"]
    assert moment(answer["idle_ends_at"]) - moment(info["last_active_at"]) == timedelta(hours=1)
    assert (answer["changed_from"], answer["changed_to"]) == (None, "stopped")
    client.execute(sandbox_id)
    later = why(client, sandbox_id)
    assert (later["changed_from"], later["changed_to"]) == ("running", "stopped")
    assert later["changed_by"] == "tests" and later["change_request_id"]
    assert later["idle_ends_at"] > answer["idle_ends_at"]


def test_a_run_keeps_it(client):
    sandbox_id = client.create("shell", "sleep 30")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        run = pool.submit(client.try_execute, sandbox_id)
        answer = eventually(lambda: why(client, sandbox_id)["active_runs"]
                            and why(client, sandbox_id))
        assert (answer["kept_by"], answer["idle_ends_at"]) == ("run", None)
        assert answer["ends_by"] == "max_lifetime"
        client.delete(sandbox_id)
        run.result()


def test_a_container(client):
    sandbox_id = new_sandbox(client, image="base", idle_timeout=600)
    answer = why(client, sandbox_id)
    assert (answer["kind"], answer["state"], answer["kept_by"]) == ("container", "running", "use")
    assert (answer["ends_by"], answer["ends_how"]) == ("idle_timeout", "stop")
    assert (answer["changed_from"], answer["changed_to"]) == ("creating", "running")
    assert client.post(f"/v1/sandboxes/{sandbox_id}/stop").status == 200
    answer = why(client, sandbox_id)
    assert (answer["state"], answer["kept_by"]) == ("stopped", "lifetime")
    assert (answer["ends_by"], answer["ends_how"]) == ("max_lifetime", "delete")
    assert answer["change_reason"] == "requested" and answer["changed_by"] == "tests"
    assert client.request("DELETE", f"/v1/sandboxes/{sandbox_id}").status == 204
    assert_problem(client.get(f"/v1/sandboxes/{sandbox_id}/why"), 404, "not_found")


def test_a_foreign_one_is_missing(client, other):
    sandbox_id = other.create("shell", "true")
    assert_problem(client.get(f"/v1/sandboxes/{sandbox_id}/why"), 404, "not_found")
