"""A sandbox from its creation to its end: fields, status words, ids, listing, freshness."""

import datetime
import re
import threading

from support.wait import eventually

ID = re.compile(r"^[0-9a-f]{32}$")


def dashed(sandbox_id):
    cuts = (0, 8, 12, 16, 20, 32)
    return "-".join(sandbox_id[first:last] for first, last in zip(cuts, cuts[1:]))


def parse_time(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def test_create_answers_the_definition(client):
    response = client.try_create(
        runtime="python", code="print(1)", timeout_ms=1234, memory_limit_mb=99
    )
    assert response.status == 201
    body = response.json
    assert ID.match(body["id"])
    assert body["runtime"] == "python"
    assert body["status"] == "Created"
    assert body["timeout_ms"] == 1234
    assert body["memory_limit_mb"] == 99
    assert parse_time(body["created_at"]) < parse_time(body["expires_at"])
    assert client.info(body["id"]) == body


def test_defaults_come_from_the_configuration(client):
    body = client.try_create(runtime="shell", code="true").json
    assert (body["timeout_ms"], body["memory_limit_mb"]) == (30000, 512)


def test_ids_sort_by_time(client):
    ids = [client.create() for _ in range(5)]
    stamps = [int(sandbox_id[:12], 16) for sandbox_id in ids]
    assert stamps == sorted(stamps)
    assert {sandbox_id[12] for sandbox_id in ids} == {"7"}


def test_id_with_dashes_and_in_upper_case(client):
    sandbox_id = client.create("shell", "echo same")
    for form in (dashed(sandbox_id), sandbox_id.upper(), dashed(sandbox_id).upper()):
        assert client.info(form)["id"] == sandbox_id
        assert client.execute(form)["sandbox_id"] == sandbox_id
    assert client.delete(dashed(sandbox_id)).json == {"id": sandbox_id, "deleted": True}


def test_status_follows_the_last_run(client):
    good, bad = client.create("shell", "exit 0"), client.create("shell", "exit 1")
    client.execute(good)
    client.execute(bad)
    assert client.info(good)["status"] == "Completed"
    assert client.info(bad)["status"] == "Failed"


def test_status_is_running_while_it_runs(client):
    sandbox_id = client.create("shell", "sleep 100", timeout_ms=60000)
    runner = threading.Thread(target=client.try_execute, args=(sandbox_id,))
    runner.start()
    eventually(lambda: client.info(sandbox_id)["status"] == "Running", what="status is Running")
    assert client.delete(sandbox_id).status == 200
    runner.join(timeout=30)
    assert not runner.is_alive()


def test_deleted_is_gone(client):
    sandbox_id = client.create()
    response = client.delete(sandbox_id)
    assert (response.status, response.json) == (200, {"id": sandbox_id, "deleted": True})
    for attempt in (
        client.delete(sandbox_id),
        client.get(f"/sandbox/{sandbox_id}"),
        client.try_execute(sandbox_id),
        client.post(f"/sandbox/{sandbox_id}/files", [{"path": "a", "content": "b"}]),
    ):
        assert attempt.status == 404, attempt
        assert attempt.json["code"] == "not_found"


def test_each_execute_is_fresh(client):
    code = "ls /sandbox /tmp; cat mark 2>/dev/null; echo here > mark; echo here > /tmp/mark"
    sandbox_id = client.create("shell", code)
    first, second = client.execute(sandbox_id), client.execute(sandbox_id)
    assert first["stdout"] == second["stdout"]
    assert "here" not in second["stdout"]


def test_background_processes_end_with_the_run(client, stack):
    result = client.run("shell", "setsid sleep 1000 >/dev/null 2>&1 & setsid sleep 1001 & exit 0")
    assert result["exit_code"] == 0
    stack.assert_clean()


def test_listing_pages_through_everything_once(client):
    made = [client.create() for _ in range(7)]
    pages = client.list_all(limit=3)
    ids = [item["id"] for item in pages]
    assert len(ids) == len(set(ids))
    assert set(made) <= set(ids)
    assert all(client.info(item["id"])["status"] == item["status"] for item in pages[:3])
    for sandbox_id in made:
        client.delete(sandbox_id)
    assert not set(made) & {item["id"] for item in client.list_all()}


def test_a_listing_without_a_limit_has_more_than_a_hundred(client):
    """Clients of the dialect know no pages: they ask for all."""
    made = {client.create() for _ in range(101)}
    listed = client.get("/sandboxes").json["sandboxes"]
    assert made <= {item["id"] for item in listed}
    for sandbox_id in made:
        client.delete(sandbox_id)


def test_two_executes_of_one_sandbox_at_once_do_not_meet(client):
    sandbox_id = client.create("shell", "test -e mark && echo met; touch mark; sleep 0.3; ls")
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(client.execute(sandbox_id)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 3
    assert not [result for result in results if "met" in result["stdout"]]
    assert client.info(sandbox_id)["status"] == "Completed"


def test_execution_is_recorded(client, stack):
    sandbox_id = client.create("shell", "exit 7")
    client.execute(sandbox_id)
    rows = stack.postgres.rows(
        f"SELECT state, exit_code FROM processes WHERE sandbox_id = '{sandbox_id}'"
    )
    assert rows == [{"state": "failed", "exit_code": 7}]


def test_every_change_has_its_event(client, stack):
    sandbox_id = client.create()
    client.execute(sandbox_id)
    client.delete(sandbox_id)
    count = stack.postgres.value(f"SELECT count(*) FROM events WHERE sandbox_id = '{sandbox_id}'")
    assert count >= 3


def test_request_id_is_echoed_or_made(client):
    assert client.get("/sandboxes", headers={"X-Request-Id": "abc-123"}).headers[
        "X-Request-Id"
    ] == "abc-123"
    first, second = (client.get("/sandboxes").headers["X-Request-Id"] for _ in range(2))
    assert first and second and first != second
