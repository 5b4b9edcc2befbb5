"""Projects: their life, their versions, and who sees which."""

import concurrent.futures
import uuid

import pytest

from support.client import assert_problem
from support.tenancy import as_role, events, new_project, new_tenant, put_quota
from support.wait import eventually

MISSING = "0" * 31 + "1"


@pytest.fixture(scope="module")
def tenant(stack):
    return new_tenant(stack)["id"]


@pytest.fixture(scope="module")
def admin(stack, tenant):
    return as_role(stack, "admin", tenant)


def test_a_new_project_is_shown_as_made(admin, tenant):
    made = admin.post("/v1/projects", {"name": "Web \u00e4", "labels": {"team": "a"}})
    assert made.status == 201
    assert made.json["name"] == "Web \u00e4"
    assert made.json["labels"] == {"team": "a"}
    assert made.json["tenant_id"] == tenant
    assert made.json["is_default"] is False
    shown = admin.get(f"/v1/projects/{made.json['id']}")
    assert shown.json == made.json
    assert shown.headers["ETag"] == made.headers["ETag"] == '"1"'


def test_the_list_is_newest_first_and_pages(stack):
    admin = as_role(stack, "admin", new_tenant(stack)["id"])
    made = [new_project(admin)["id"] for _ in range(4)]
    seen, cursor = [], None
    while True:
        page = admin.get("/v1/projects?limit=2" + (f"&cursor={cursor}" if cursor else "")).json
        assert len(page["items"]) <= 2
        seen += page["items"]
        cursor = page["next_cursor"]
        if not cursor:
            break
    ids = [item["id"] for item in seen]
    assert ids == sorted(ids, reverse=True)
    assert {item["id"] for item in seen if not item["is_default"]} == set(made)
    assert len(ids) == len(made) + 1


def test_a_patch_changes_what_it_names(admin):
    project = admin.post(
        "/v1/projects", {"name": uuid.uuid4().hex, "labels": {"a": "b"}}
    ).json
    path = f"/v1/projects/{project['id']}"
    name = uuid.uuid4().hex
    changed = admin.request("PATCH", path, {"name": name})
    assert changed.json["name"] == name and changed.json["labels"] == {"a": "b"}
    assert changed.headers["ETag"] == '"2"'
    assert admin.request("PATCH", path, {"labels": {}}).json["labels"] == {}


def test_a_change_of_another_version_is_412_and_changes_nothing(admin):
    path = f"/v1/projects/{new_project(admin)['id']}"
    before = admin.get(path).json
    for tag in ('"7"', 'W/"1"', "1", '"x"'):
        response = admin.request("PATCH", path, {"name": "late"}, headers={"If-Match": tag})
        assert_problem(response, 412, "precondition_failed")
        assert_problem(admin.request("DELETE", path, headers={"If-Match": tag}), 412)
    assert admin.get(path).json == before
    for tag in ('"1"', "*"):
        response = admin.request(
            "PATCH", path, {"name": uuid.uuid4().hex}, headers={"If-Match": tag}
        )
        assert response.status == 200


def test_a_known_version_is_304(admin):
    path = f"/v1/projects/{new_project(admin)['id']}"
    tag = admin.get(path).headers["ETag"]
    response = admin.get(path, headers={"If-None-Match": f'"0", W/{tag}'})
    assert (response.status, response.body, response.headers["ETag"]) == (304, b"", tag)
    assert admin.get(path, headers={"If-None-Match": '"0"'}).status == 200


def test_a_name_is_there_once_in_a_tenant(stack, admin):
    name = new_project(admin)["name"]
    response = admin.post("/v1/projects", {"name": name})
    assert assert_problem(response, 409, "conflict")["field"] == "name"
    other = f"/v1/projects/{new_project(admin)['id']}"
    assert_problem(admin.request("PATCH", other, {"name": name}), 409, "conflict")
    stranger = as_role(stack, "admin", new_tenant(stack)["id"])
    assert stranger.post("/v1/projects", {"name": name}).status == 201


BAD = [
    ({}, "missing_field"),
    ({"name": ""}, "invalid_field"),
    ({"name": "x" * 256}, "invalid_field"),
    ({"name": 1}, "invalid_field"),
    ({"name": "x", "color": "red"}, "unknown_field"),
    ({"name": "x", "labels": []}, "invalid_field"),
    ({"name": "x", "labels": {"a": 1}}, "invalid_field"),
    ({"name": "x", "labels": {"": "a"}}, "invalid_field"),
    ({"name": "x", "labels": {"a": "b" * 256}}, "invalid_field"),
    ({"name": "x", "labels": {str(i): "" for i in range(65)}}, "invalid_field"),
]


@pytest.mark.parametrize("body,code", BAD)
def test_bad_projects_are_refused(admin, body, code):
    assert_problem(admin.post("/v1/projects", body), 400, code)


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "cursor=1", "page=2"])
def test_bad_lists_are_refused(admin, query):
    assert_problem(admin.get(f"/v1/projects?{query}"), 400)


def test_roles(stack, tenant, admin):
    path = f"/v1/projects/{new_project(admin)['id']}"
    for scope in ("viewer", "member"):
        client = as_role(stack, scope, tenant)
        assert client.get(path).status == client.get("/v1/projects").status == 200
        assert_problem(client.post("/v1/projects", {"name": "x"}), 403, "forbidden")
        assert_problem(client.request("PATCH", path, {"name": "x"}), 403, "forbidden")
        assert_problem(client.request("DELETE", path), 403, "forbidden")


def test_a_foreign_project_is_a_missing_one(stack, admin):
    foreign = new_project(as_role(stack, "admin", new_tenant(stack)["id"]))["id"]
    for method, body in (("GET", None), ("PATCH", {"name": "x"}), ("DELETE", None)):
        answers = []
        for project in (foreign, MISSING):
            response = admin.request(method, f"/v1/projects/{project}", body)
            problem = assert_problem(response, 404, "not_found")
            problem.pop("request_id")
            answers.append(problem)
        assert answers[0] == answers[1]


def test_a_deleted_project_is_gone(admin):
    path = f"/v1/projects/{new_project(admin)['id']}"
    response = admin.request("DELETE", path)
    assert (response.status, response.body) == (204, b"")
    assert_problem(admin.get(path), 404, "not_found")
    assert_problem(admin.request("DELETE", path), 404, "not_found")


def test_the_default_project_stays(admin):
    default = next(p for p in admin.get("/v1/projects").json["items"] if p["is_default"])
    response = admin.request("DELETE", f"/v1/projects/{default['id']}")
    assert_problem(response, 409, "conflict")


def test_a_project_with_sandboxes_stays_until_they_are_gone(stack, tenant, admin):
    project = new_project(admin)["id"]
    sandbox = admin.create()
    stack.postgres.execute(
        f"UPDATE sandboxes SET project_id = '{project}' WHERE id = '{sandbox}'", role="postgres"
    )
    assert_problem(admin.request("DELETE", f"/v1/projects/{project}"), 409, "conflict")
    assert admin.delete(sandbox).status == 200
    assert admin.request("DELETE", f"/v1/projects/{project}").status == 204
    assert stack.postgres.value(
        f"SELECT count(*) FROM sandboxes WHERE id = '{sandbox}'") == 0


def test_every_change_is_an_event(stack, tenant, admin):
    project = new_project(admin)
    path = f"/v1/projects/{project['id']}"
    admin.request("PATCH", path, {"labels": {}}, headers={"X-Request-Id": "change-it"})
    admin.request("DELETE", path)
    for kind in ("created", "changed", "deleted"):
        rows = [
            row for row in events(stack, f"project.{kind}", tenant)
            if row["project_id"].replace("-", "") == project["id"]
        ]
        assert [row["actor"] for row in rows] == ["tests"], kind
        assert rows[0]["detail"]["name"] == project["name"]
        if kind == "changed":
            assert rows[0]["request_id"] == "change-it"


@pytest.mark.parametrize("what", ["project", "tenant"])
def test_a_delete_waits_for_a_create_that_is_counted(stack, what):
    """Both lock the project and its quota: one of them would be refused with 503."""
    tenant = new_tenant(stack)["id"]
    project = new_project(as_role(stack, "admin", tenant))["id"]
    put_quota(stack, tenant, project, sandboxes=5)
    path = f"/v1/projects/{project}" if what == "project" else f"/v1/tenants/{tenant}"
    client = as_role(stack, "admin", tenant) if what == "project" else as_role(stack, "operator")
    waiting = ("SELECT count(*) FROM pg_stat_activity"
               " WHERE usename = 'atoll_app' AND wait_event_type = 'Lock'")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        with stack.postgres.session("atoll_app") as create:
            create.run(f"BEGIN; SELECT set_config('atoll.tenant', '{tenant}', true);"
                       f" SELECT atoll_admit('{tenant}', '{project}', 1, 0, 0, 0, 0, 1)")
            deleted = pool.submit(client.request, "DELETE", path)
            eventually(lambda: stack.postgres.value(waiting) == 1, 30, "the delete waits")
            create.run("INSERT INTO sandboxes (id, tenant_id, project_id, kind, state, env, image,"
                       " memory_limit_mb, idle_timeout_s, expires_at) VALUES (gen_random_uuid(),"
                       f" '{tenant}', '{project}', 'container', 'stopped', '{{}}', 'base', 64,"
                       " 3600, now() + interval '1 day'); COMMIT")
        assert_problem(deleted.result(), 409, "conflict")
    stack.postgres.execute(f"DELETE FROM sandboxes WHERE tenant_id = '{uuid.UUID(tenant)}'")
    assert client.request("DELETE", path).status == 204
