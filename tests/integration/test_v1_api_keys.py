"""API keys: what they open, what they do not, and that revoking one ends it and its tokens."""

import base64
import datetime
import json

import pytest

from support import tokens
from support.client import Client, assert_problem
from support.stack import DEFAULT_TENANT
from support.wait import eventually

# The state of a key is looked at on every call, so that no test has to wait for a cache.
STACK_ENVIRONMENT = {"ATOLL_AUTH_CACHE": "0"}
REVOCATION_S = 30  # what is promised


@pytest.fixture
def admin(private_stack):
    return private_stack.client(private_stack.token(scope="admin"))


@pytest.fixture
def operator(private_stack):
    return private_stack.client(private_stack.token(scope="operator"))


def make_key(client, role="member", **fields):
    response = client.post("/v1/api-keys", {"name": "test", "role": role, **fields})
    assert response.status == 201, response
    return response.json


class KeyClient(Client):
    """Sends an API key in the header named."""

    def __init__(self, stack, key, header):
        super().__init__(stack.address, created=stack.created)
        prefix = "" if header == "X-API-Key" else "Bearer "
        self.credential = {header: prefix + key["key"]}

    def request(self, method, path, body=None, headers=None, **options):
        return super().request(
            method, path, body, {**self.credential, **(headers or {})}, **options)


def with_key(stack, key, header="X-API-Key"):
    return KeyClient(stack, key, header)


def make_project(stack, name, tenant=DEFAULT_TENANT):
    return stack.postgres.execute(
        f"INSERT INTO projects (tenant_id, name) VALUES ('{tenant}', '{name}') "
        "ON CONFLICT (tenant_id, name) DO UPDATE SET name = excluded.name "
        "RETURNING replace(id::text, '-', '')")


def events(stack, where):
    return stack.postgres.rows(
        f"SELECT tenant_id, kind, actor, request_id, detail FROM events WHERE {where} ORDER BY id")


def claims_of(token):
    body = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


def in_an_hour():
    later = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
    return later.strftime("%Y-%m-%dT%H:%M:%SZ")


# --- the resource


def test_the_key_is_shown_once(private_stack, admin):
    key = make_key(admin, role="viewer", expires_at=in_an_hour())
    assert key["key"].startswith(f"atoll_{key['prefix']}_") and len(key["key"]) == 62
    shown = admin.get(f"/v1/api-keys/{key['id']}").json
    assert shown == {name: value for name, value in key.items() if name != "key"}
    assert shown["role"] == "viewer" and shown["created_by"] == "tests"
    assert shown["last_used_at"] is None and shown["project_id"] is None
    secret = key["key"].rsplit("_", 1)[1]
    assert secret not in private_stack.postgres.execute("SELECT api_keys::text FROM api_keys")
    assert secret not in private_stack.server.log.read_text()


def test_list_newest_first_in_pages(admin):
    # Ids sort by time, to a millisecond.
    made = sorted((make_key(admin)["id"] for _ in range(3)), reverse=True)
    first = admin.get("/v1/api-keys?limit=2").json
    assert [item["id"] for item in first["items"]] == made[:2]
    second = admin.get(f"/v1/api-keys?limit=2&cursor={first['next_cursor']}").json
    assert second["items"][0]["id"] == made[2]
    assert all("key" not in item for item in first["items"])


@pytest.mark.parametrize("body, field", [
    ({}, "name"),
    ({"name": "x"}, "role"),
    ({"name": "", "role": "viewer"}, "name"),
    ({"name": "x" * 256, "role": "viewer"}, "name"),
    ({"name": "x", "role": "none"}, "role"),
    ({"name": "x", "role": "root"}, "role"),
    ({"name": "x", "role": "viewer", "project_id": "1"}, "project_id"),
    ({"name": "x", "role": "viewer", "expires_at": "tomorrow"}, "expires_at"),
    ({"name": "x", "role": "viewer", "scope": "x"}, "scope"),
])
def test_bad_fields(admin, body, field):
    problem = assert_problem(admin.post("/v1/api-keys", body), 400)
    assert problem["field"] == field


@pytest.mark.parametrize("change, field", [
    ({"role": "operator"}, "role"),
    ({"project_id": "0" * 32}, "project_id"),
    ({"expires_at": "2001-01-01T00:00:00Z"}, "expires_at"),
])
def test_well_formed_but_not_possible(admin, change, field):
    response = admin.post("/v1/api-keys", {"name": "x", "role": "viewer", **change})
    assert assert_problem(response, 422, "not_possible")["field"] == field


def test_a_foreign_key_is_a_missing_one(private_stack, admin):
    tenant = private_stack.tenant_client("other") and private_stack.extra_tenants["other"]
    theirs = private_stack.client(private_stack.token(tenant, scope="admin"))
    key = make_key(theirs)
    assert_problem(admin.get(f"/v1/api-keys/{key['id']}"), 404)
    assert_problem(admin.request("DELETE", f"/v1/api-keys/{key['id']}"), 404)
    listed = admin.get("/v1/api-keys?limit=200").json["items"]
    assert key["id"] not in {item["id"] for item in listed}
    assert with_key(private_stack, key).get("/sandboxes").status == 200


@pytest.mark.parametrize("scope", ["", "viewer", "member", "other"])
def test_keys_are_an_admins(private_stack, scope):
    caller = private_stack.client(private_stack.token(scope=scope))
    assert_problem(caller.get("/v1/api-keys"), 403, "forbidden")


# --- what a key opens


@pytest.mark.parametrize("header", ["X-API-Key", "Authorization"])
def test_a_key_is_a_credential(private_stack, admin, header):
    key = make_key(admin)
    mine = with_key(private_stack, key, header)
    sandbox = mine.create()
    assert mine.delete(sandbox).status == 200
    assert eventually(lambda: admin.get(f"/v1/api-keys/{key['id']}").json["last_used_at"])
    actors = {event["actor"] for event in events(private_stack, f"sandbox_id = '{sandbox}'")}
    assert actors == {f"key:{key['prefix']}"}


def test_a_key_has_its_role(private_stack, admin):
    viewer = with_key(private_stack, make_key(admin, role="viewer"))
    assert viewer.get("/sandboxes").status == 200
    assert viewer.post("/sandbox", {"runtime": "shell", "code": "true"}).status == 403
    assert viewer.get("/v1/api-keys").status == 403
    assert with_key(private_stack, make_key(admin, role="admin")).get("/v1/api-keys").status == 200


def test_a_key_makes_no_higher_key(private_stack, admin, operator):
    mine = with_key(private_stack, make_key(admin, role="admin"))
    assert mine.post("/v1/api-keys", {"name": "x", "role": "operator"}).status == 422
    assert make_key(operator, role="operator")["role"] == "operator"


def test_refused_keys_all_look_alike(private_stack, admin):
    revoked = make_key(admin)
    admin.request("DELETE", f"/v1/api-keys/{revoked['id']}")
    expired = make_key(admin, expires_at=in_an_hour())
    private_stack.postgres.execute(
        f"UPDATE api_keys SET expires_at = now() - interval '1 s' WHERE id = '{expired['id']}'")
    live = make_key(admin)
    keys = [revoked["key"], expired["key"], f"atoll_{'0' * 12}_{live['key'][-43:]}",
            live["key"][:-43] + revoked["key"][-43:], "atoll_", live["key"] + "A"]
    answers = set()
    for key in keys:
        response = with_key(private_stack, {"key": key}).get("/sandboxes")
        assert response.headers["WWW-Authenticate"] == "Bearer"
        problem = assert_problem(response, 401, "unauthenticated")
        del problem["request_id"]
        answers.add(json.dumps(problem))
    assert len(answers) == 1


def test_one_credential_a_request(private_stack, admin):
    key = make_key(admin)
    assert private_stack.client(private_stack.token()).get(
        "/sandboxes", headers={"X-API-Key": key["key"]}).status == 401
    assert private_stack.client(None).get(
        "/sandboxes", headers={"X-API-Key": private_stack.token()}).status == 401


# --- projects


def test_a_project_key_sees_its_project(private_stack, admin):
    one, two = make_project(private_stack, "one"), make_project(private_stack, "two")
    first = make_key(admin, role="admin", project_id=one)
    second = make_key(admin, role="admin", project_id=two)
    assert first["project_id"] == one
    mine = with_key(private_stack, first)
    assert {item["id"] for item in mine.get("/v1/api-keys").json["items"]} == {first["id"]}
    assert_problem(mine.get(f"/v1/api-keys/{second['id']}"), 404)
    assert make_key(mine, role="viewer")["project_id"] == one
    refused = mine.post("/v1/api-keys", {"name": "x", "role": "viewer", "project_id": two})
    missing = mine.post("/v1/api-keys", {"name": "x", "role": "viewer", "project_id": "f" * 32})
    assert refused.status == missing.status == 422
    assert refused.json["detail"] == missing.json["detail"]


def test_a_project_of_another_tenant_is_none(private_stack, admin):
    private_stack.tenant_client("other")
    theirs = make_project(private_stack, "theirs", private_stack.extra_tenants["other"])
    response = admin.post("/v1/api-keys", {"name": "x", "role": "viewer", "project_id": theirs})
    assert assert_problem(response, 422)["field"] == "project_id"


def test_the_dialect_without_projects_shows_the_one_a_caller_is_bound_to(private_stack, admin):
    project = make_project(private_stack, "bound")
    foreign = admin.create()
    for bound in (with_key(private_stack, make_key(admin, role="member", project_id=project)),
                  private_stack.client(private_stack.token(project=project))):
        own = bound.create("shell", "echo mine")
        ids = {item["id"] for item in bound.list_all()}
        assert own in ids and foreign not in ids
        assert bound.execute(own)["stdout"] == "mine\n"
        assert_problem(bound.get(f"/sandbox/{foreign}"), 404)
        assert_problem(bound.try_execute(foreign), 404)
        assert_problem(bound.delete(foreign), 404)
        assert bound.delete(own).status == 200
    assert admin.info(foreign)["status"] == "Created"


# --- tokens for keys


def exchange(client, **body):
    return client.post("/v1/auth/token", body)


def test_exchange(private_stack, admin):
    key = make_key(admin, role="admin")
    answer = exchange(with_key(private_stack, key)).json
    assert answer["token_type"] == "Bearer" and answer["expires_in"] == 900
    assert answer["scope"] == "admin" and answer["project_id"] is None
    claims = claims_of(answer["access_token"])
    assert claims["key"] == key["id"] and claims["exp"] - claims["iat"] == 900
    assert claims["sub"] == f"key:{key['prefix']}"
    assert private_stack.client(answer["access_token"]).get("/v1/api-keys").status == 200


def test_exchange_needs_no_body(private_stack, admin):
    key = make_key(admin, role="viewer")
    answer = with_key(private_stack, key).post("/v1/auth/token")
    assert answer.status == 200 and answer.json["scope"] == "viewer", answer


def test_exchange_narrows(private_stack, admin):
    project = make_project(private_stack, "narrow")
    mine = with_key(private_stack, make_key(admin, role="admin"))
    answer = exchange(mine, scope="viewer", project_id=project, expires_in=60).json
    assert (answer["scope"], answer["project_id"], answer["expires_in"]) == ("viewer", project, 60)
    claims = claims_of(answer["access_token"])
    assert claims["project"] == project and claims["exp"] - claims["iat"] == 60
    assert private_stack.client(answer["access_token"]).get("/v1/api-keys").status == 403


@pytest.mark.parametrize("body, field", [
    ({"scope": "admin"}, "scope"),
    ({"scope": "nothing of ours"}, "scope"),
    ({"project_id": "0" * 32}, "project_id"),
])
def test_exchange_never_widens(private_stack, admin, body, field):
    key = make_key(admin, role="member", project_id=make_project(private_stack, "one"))
    response = exchange(with_key(private_stack, key), **body)
    assert assert_problem(response, 422, "not_possible")["field"] == field


@pytest.mark.parametrize("body, field", [
    ({"scope": ""}, "scope"),
    ({"expires_in": 59}, "expires_in"),
    ({"expires_in": 3601}, "expires_in"),
    ({"tenant": "x"}, "tenant"),
])
def test_exchange_refuses_bad_fields(private_stack, admin, body, field):
    key = make_key(admin, role="member", project_id=make_project(private_stack, "one"))
    assert assert_problem(exchange(with_key(private_stack, key), **body), 400)["field"] == field


def test_a_token_is_given_for_a_key_only(private_stack, admin):
    token = exchange(with_key(private_stack, make_key(admin))).json["access_token"]
    assert_problem(exchange(private_stack.client(token)), 403)
    assert_problem(exchange(admin), 403)
    assert_problem(exchange(private_stack.client(None)), 401)


def test_without_a_key_to_sign_with(private_stack, admin):
    key = make_key(admin)
    pair = tokens.KeyPair(private_stack.folder, "ec")
    address = private_stack.another_server(
        ATOLL_AUTH_HS256_KEY_FILE="", ATOLL_AUTH_ES256_PUBLIC_KEY_FILE=str(pair.public))
    response = Client(address).post("/v1/auth/token", {}, headers={"X-API-Key": key["key"]})
    assert_problem(response, 422, "not_supported")


def test_revoking_ends_the_key_and_its_tokens(private_stack, admin):
    """On a server with the cache that installations have."""
    key = make_key(admin)
    address = private_stack.another_server(ATOLL_AUTH_CACHE="2")
    token = Client(address).post(
        "/v1/auth/token", {}, headers={"X-API-Key": key["key"]}).json["access_token"]
    calls = [{"X-API-Key": key["key"]}, {"Authorization": f"Bearer {token}"}]
    for headers in calls:
        assert Client(address).get("/sandboxes", headers=headers).status == 200
    assert admin.request("DELETE", f"/v1/api-keys/{key['id']}").status == 204
    assert_problem(admin.get(f"/v1/api-keys/{key['id']}"), 404)
    for headers in calls:
        eventually(lambda h=headers: Client(address).get("/sandboxes", headers=h).status == 401,
                   REVOCATION_S, "a revoked key and its token are refused")


def test_a_suspended_tenant_is_shut_out(private_stack):
    private_stack.tenant_client("quiet")
    tenant = private_stack.extra_tenants["quiet"]
    member = private_stack.client(private_stack.token(tenant))
    assert member.get("/sandboxes").status == 200
    private_stack.postgres.execute(f"UPDATE tenants SET state = 'suspended' WHERE id = '{tenant}'")
    assert_problem(member.get("/sandboxes"), 403, "forbidden")
    operator = private_stack.client(private_stack.token(tenant, scope="operator"))
    assert operator.get("/sandboxes").status == 200
    private_stack.postgres.execute(f"UPDATE tenants SET state = 'active' WHERE id = '{tenant}'")
    assert member.get("/sandboxes").status == 200


# --- events


def test_acts_on_keys_are_events(private_stack, admin):
    key = make_key(admin)
    exchange(with_key(private_stack, key))
    admin.request("DELETE", f"/v1/api-keys/{key['id']}")
    acts = events(private_stack, f"detail ->> 'prefix' = '{key['prefix']}'")
    kinds = [event["kind"] for event in acts]
    assert kinds == ["admin.api_key_created", "admin.api_key_revoked"]
    made = eventually(lambda: events(
        private_stack, f"kind = 'auth.token_made' AND actor = 'key:{key['prefix']}'"))
    assert made[0]["detail"]["client"] == "127.0.0.1"


def test_a_revoked_key_that_still_calls_is_seen_by_its_tenant(private_stack, admin):
    key = make_key(admin)
    admin.request("DELETE", f"/v1/api-keys/{key['id']}")
    assert with_key(private_stack, key).get("/sandboxes").status == 401
    (event,) = eventually(lambda: events(
        private_stack, f"kind = 'auth.failed' AND actor = 'key:{key['prefix']}'"))
    assert event["detail"]["reason"] == "revoked_key"
    assert event["tenant_id"].replace("-", "") == DEFAULT_TENANT


def test_a_missing_role_is_an_event_of_the_tenant(private_stack):
    curious = private_stack.client(private_stack.token(sub="curious", scope="viewer"))
    response = curious.get("/v1/api-keys")
    assert response.status == 403
    (event,) = eventually(lambda: events(
        private_stack, "kind = 'auth.forbidden' AND actor = 'curious'"))
    assert event["detail"]["reason"] == "missing_role"
    assert event["request_id"] == response.headers["X-Request-Id"]
    assert event["tenant_id"].replace("-", "") == DEFAULT_TENANT
