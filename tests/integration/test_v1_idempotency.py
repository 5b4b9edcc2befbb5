"""Idempotency-Key: one effect a key, the same answer for every retry, also after crashes."""

import concurrent.futures
import uuid

import pytest

from support.client import assert_problem
from support.tenancy import as_role, new_project
from support.wait import eventually

DEFINITION = {"runtime": "shell", "code": "echo once"}


def key():
    return str(uuid.uuid4())


def keyed(value):
    return {"Idempotency-Key": value}


def post(client, body=None, value=None, path="/sandbox"):
    response = client.post(path, DEFINITION if body is None else body, headers=keyed(value))
    if path == "/sandbox" and response.status == 201:
        client.created.add(response.json["id"])
    return response


def without_id(response):
    """What all answers to one key share: everything but their own request's id."""
    return response.status, response.headers["Content-Type"], response.body


def made_by(stack, response):
    """Rows of sandboxes that the request of this answer made."""
    return stack.postgres.value(
        f"SELECT count(*) FROM events WHERE kind = 'sandbox.created' "
        f"AND request_id = '{response.headers['X-Request-Id']}'"
    )


def rows_of(stack, value):
    return stack.postgres.rows(
        "SELECT status, boot_id IS NULL AS left, resource_id FROM idempotency_keys "
        f"WHERE key = '{value}'"
    )


def test_a_retry_gets_the_first_answer(client, stack):
    value = key()
    first, second = post(client, value=value), post(client, value=value)
    assert first.status == 201
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"
    assert without_id(first) == without_id(second)
    assert first.headers["X-Request-Id"] != second.headers["X-Request-Id"]
    assert made_by(stack, first) == 1 and made_by(stack, second) == 0


def test_a_retry_gets_the_first_etag(stack):
    """Of the body that comes with it, whatever the resource's is by now."""
    client = as_role(stack, "admin")
    path = f"/v1/projects/{new_project(client)['id']}"
    value, body = key(), {"labels": {"a": "b"}}
    first = client.request("PATCH", path, body, headers=keyed(value))
    assert client.request("PATCH", path, {"labels": {}}).headers["ETag"] != first.headers["ETag"]
    second = client.request("PATCH", path, body, headers=keyed(value))
    assert second.headers["Idempotency-Replayed"] == "true"
    assert without_id(second) == without_id(first)
    assert second.headers["ETag"] == first.headers["ETag"] == '"2"'
    assert client.request("DELETE", path).status == 204


def test_100_parallel_retries_make_one_sandbox(client, stack):
    value, name = key(), key()
    body = {**DEFINITION, "env_vars": {"NAME": name}}
    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(lambda _: post(client, body, value), range(100)))
    assert {without_id(answer) for answer in answers} == {without_id(answers[0])}
    assert answers[0].status == 201
    assert stack.postgres.value(
        f"SELECT count(*) FROM sandboxes WHERE env->>'NAME' = '{name}'"
    ) == 1
    replayed = [answer.headers.get("Idempotency-Replayed") for answer in answers]
    assert replayed.count("true") == 99


def test_retries_at_two_servers_make_one_sandbox(stack):
    """Only PostgreSQL is between the two."""
    other = stack.another_server()
    clients = [stack.client(), stack.client(address=other)]
    for _ in range(10):
        value, name = key(), key()
        body = {**DEFINITION, "env_vars": {"NAME": name}}
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda i: post(clients[i % 2], body, value), range(8)))
        assert {without_id(answer) for answer in answers} == {without_id(answers[0])}
        assert stack.postgres.value(
            f"SELECT count(*) FROM sandboxes WHERE env->>'NAME' = '{name}'"
        ) == 1


@pytest.mark.parametrize("change", ["body", "path", "query", "method"])
def test_the_same_key_with_another_request_is_refused(client, change):
    value = key()
    first = post(client, value=value)
    sandbox_id = first.json["id"]
    if change == "body":
        second = post(client, {**DEFINITION, "code": "echo twice"}, value)
    elif change == "path":
        second = client.post(f"/sandbox/{sandbox_id}/execute", headers=keyed(value))
    elif change == "query":
        second = post(client, value=value, path="/sandbox?&")
    else:
        second = client.request("DELETE", f"/sandbox/{sandbox_id}", headers=keyed(value))
    assert_problem(second, 422, "idempotency_mismatch")
    assert client.info(sandbox_id)["status"] == "Created"


def test_a_key_belongs_to_its_tenant(client, other):
    value = key()
    first, second = post(client, value=value), post(other, value=value)
    assert first.status == second.status == 201
    assert first.json["id"] != second.json["id"]


@pytest.mark.parametrize("bad", ["", "a b", "\u00e9", "x" * 256, "a\tb"])
def test_bad_keys(client, bad):
    response = client.post("/sandbox", DEFINITION, headers={"Idempotency-Key": bad.encode("latin1")})
    assert_problem(response, 400)


@pytest.mark.parametrize("good", ["x", "x" * 255, "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"])
def test_good_keys(client, good):
    response = post(client, value=f"{good[:200]}{key()}" if len(good) == 1 else good)
    assert response.status == 201


def test_a_refused_request_leaves_its_key_free(client, stack):
    value = key()
    assert_problem(post(client, {"runtime": "cobol", "code": "x"}, value), 400)
    assert rows_of(stack, value) == []
    assert post(client, value=value).status == 201


def test_a_key_on_a_read_means_nothing(client, stack):
    value = key()
    sandbox_id = client.create()
    assert client.get(f"/sandbox/{sandbox_id}", headers=keyed(value)).status == 200
    assert rows_of(stack, value) == []


def test_an_execution_runs_once(client, stack):
    sandbox_id = client.create("shell", "echo $$-$(cat /proc/sys/kernel/random/uuid)")
    value = key()

    def execute(_):
        return client.post(f"/sandbox/{sandbox_id}/execute", headers=keyed(value))

    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(execute, range(10)))
    assert {without_id(answer) for answer in answers} == {without_id(answers[0])}
    assert answers[0].json["success"]
    assert stack.postgres.value(
        f"SELECT count(*) FROM processes WHERE sandbox_id = '{sandbox_id}'"
    ) == 1


def test_a_run_runs_once(client, stack):
    value = key()
    body = {"runtime": "shell", "code": "cat /proc/sys/kernel/random/uuid"}
    answers = [client.post("/v1/runs", body, headers=keyed(value)) for _ in range(2)]
    assert answers[0].status == 200, answers[0]
    assert without_id(answers[0]) == without_id(answers[1])
    lose_answer(stack, value)
    again = client.post("/v1/runs", body, headers=keyed(value))
    assert again.status == 200 and again.json["stdout"] != answers[0].json["stdout"]


def test_a_delete_is_answered_alike(client):
    sandbox_id, value = client.create(), key()
    first, second = (
        client.request("DELETE", f"/sandbox/{sandbox_id}", headers=keyed(value)) for _ in range(2)
    )
    assert first.status == 200
    assert without_id(first) == without_id(second)
    third = client.request("DELETE", f"/sandbox/{sandbox_id}", headers=keyed(key()))
    assert_problem(third, 404)


def lose_answer(stack, value, server="00000000-0000-7000-8000-0000000000ff"):
    """As a server leaves the row when it dies between effect and answer."""
    eventually(lambda: rows_of(stack, value) and rows_of(stack, value)[0]["status"])
    boot = f"'{server}'" if server else "NULL"
    stack.postgres.execute(
        "UPDATE idempotency_keys SET status = NULL, answer = NULL, media_type = NULL, "
        f"boot_id = {boot} WHERE key = '{value}'"
    )


@pytest.mark.parametrize("server", ["00000000-0000-7000-8000-0000000000ff", None])
def test_a_lost_answer_is_made_again_from_what_was_made(client, stack, server):
    value = key()
    first = post(client, value=value)
    lose_answer(stack, value, server)
    second = post(client, value=value)
    assert second.headers["Idempotency-Replayed"] == "true"
    assert without_id(first) == without_id(second)
    assert without_id(first) == without_id(post(client, value=value))


def test_lost_answers_of_other_routes(client, stack):
    sandbox_id = client.create("shell", "echo again")
    calls = [
        ("POST", f"/sandbox/{sandbox_id}/files", [{"path": "a", "content": "b"}]),
        ("POST", f"/sandbox/{sandbox_id}/execute", None),
        ("DELETE", f"/sandbox/{sandbox_id}", None),
    ]
    for method, path, body in calls:
        value = key()
        first = client.request(method, path, body, headers=keyed(value))
        lose_answer(stack, value)
        second = client.request(method, path, body, headers=keyed(value))
        assert first.status == second.status == 200, (path, second)
        assert first.json.get("stdout") == second.json.get("stdout")
        assert first.json.keys() == second.json.keys()


def test_what_was_undone_is_made_again(client, stack):
    value = key()
    first = post(client, value=value)
    client.delete(first.json["id"])
    lose_answer(stack, value)
    second = post(client, value=value)
    assert second.status == 201
    assert second.json["id"] != first.json["id"]
    assert client.info(second.json["id"])["status"] == "Created"


def test_answers_of_v1(stack, client):
    """Made by another route table, and shown by its GET when the answer was lost."""
    admin = stack.client(stack.token(scope="admin"))
    value, name = key(), key()
    first = admin.post("/v1/projects", {"name": name}, headers=keyed(value))
    assert first.status == 201, first
    assert without_id(first) == without_id(
        admin.post("/v1/projects", {"name": name}, headers=keyed(value))
    )
    lose_answer(stack, value)
    again = admin.post("/v1/projects", {"name": name}, headers=keyed(value))
    assert without_id(first) == without_id(again)
    value = key()
    gone = [
        admin.request("DELETE", f"/v1/projects/{first.json['id']}", headers=keyed(value))
        for _ in range(2)
    ]
    lose_answer(stack, value)
    gone.append(admin.request("DELETE", f"/v1/projects/{first.json['id']}", headers=keyed(value)))
    assert [(answer.status, answer.body) for answer in gone] == [(204, b"")] * 3


def test_a_killed_server_leaves_one_effect(private_stack):
    """kill -9 while creates are under way: each key has its sandbox once, whatever was heard."""
    client = private_stack.client()
    heard = {}

    def create(value):
        body = {**DEFINITION, "env_vars": {"NAME": value}}
        try:
            return client.post("/sandbox", body, headers=keyed(value))
        except OSError:
            return None

    def create_until_it_is_killed(_):
        value = key()
        while answer := heard.setdefault(value, create(value)):
            assert answer.status == 201, answer
            value = key()

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        calls = pool.map(create_until_it_is_killed, range(8))
        eventually(lambda: private_stack.sandbox_count() > 30)
        private_stack.server.kill()
        list(calls)
    private_stack.server.start()
    client = private_stack.client()
    for value, answer in heard.items():
        again = create(value)
        assert again.status == 201, again
        assert answer is None or without_id(answer) == without_id(again)
    assert private_stack.sandbox_count() == len(heard)


def test_old_keys_are_forgotten(stack, client):
    value = key()
    first = post(client, value=value)
    stack.postgres.execute(
        f"UPDATE idempotency_keys SET created_at = now() - interval '25 hours' WHERE key = '{value}'"
    )
    stack.worker.stop()
    stack.worker.start()  # it looks for what is old at once, and then each minute
    eventually(lambda: rows_of(stack, value) == [], 30, "the worker forgets the key")
    assert post(client, value=value).json["id"] != first.json["id"]


def test_no_more_answers_are_kept_than_may_be(private_stack):
    """A retry of what is not kept is answered from what is there: an execution runs again."""
    private_stack.server.stop()
    private_stack.server.environment["ATOLL_MAX_KEPT_ANSWERS_MB"] = "1"
    private_stack.server.start()
    try:
        client = private_stack.client()
        code = "cat /proc/sys/kernel/random/uuid; head -c 600000 /dev/zero | tr '\\0' x"
        where = f"/sandbox/{client.create('shell', code)}/execute"
        for is_kept in (True, False):
            value = key()
            first, again = post(client, {}, value, where), post(client, {}, value, where)
            assert (first.status, again.status) == (200, 200)
            assert first.json["success"] and again.json["success"]
            assert (first.json["stdout"] == again.json["stdout"]) == is_kept
    finally:
        private_stack.server.stop()
        del private_stack.server.environment["ATOLL_MAX_KEPT_ANSWERS_MB"]
        private_stack.server.start()
