"""Tenants, as an operator manages them."""

import concurrent.futures
import uuid

import pytest

from support.client import assert_problem
from support.stack import DEFAULT_TENANT
from support.tenancy import as_role, events, new_project, new_tenant, put_quota, walk


def test_a_new_tenant_works_at_once(stack, operator):
    tenant = new_tenant(stack)
    assert tenant["state"] == "active"
    assert operator.get(f"/v1/tenants/{tenant['id']}").json == tenant
    member = as_role(stack, "member", tenant["id"])
    assert member.run("shell", "echo new")["stdout"] == "new\n"
    assert [p["is_default"] for p in member.get("/v1/projects").json["items"]] == [True]


def test_the_list_is_newest_first_and_pages(stack, operator):
    made = sorted((new_tenant(stack)["id"] for _ in range(3)), reverse=True)
    listed = [item["id"] for item in walk(operator, "/v1/tenants", limit=2)]
    assert listed == sorted(set(listed), reverse=True)
    assert [tenant for tenant in listed if tenant in made] == made


def test_only_operators_come_here(stack):
    tenant = new_tenant(stack)["id"]
    for scope in ("viewer", "member", "admin"):
        client = as_role(stack, scope)
        path = f"/v1/tenants/{tenant}"
        for method, target, body in (
            ("GET", "/v1/tenants", None), ("POST", "/v1/tenants", {"name": "x"}),
            ("GET", path, None), ("PATCH", path, {"name": "x"}), ("DELETE", path, None),
            ("GET", f"{path}/quota", None), ("PUT", f"{path}/quota", {}),
        ):
            assert_problem(client.request(method, target, body), 403, "forbidden")


def test_rename_suspend_and_resume(stack, operator):
    tenant = new_tenant(stack)
    path = f"/v1/tenants/{tenant['id']}"
    name = uuid.uuid4().hex
    suspended = operator.request("PATCH", path, {"name": name, "state": "suspended"},
                                 headers={"If-Match": '"1"'})
    assert (suspended.json["name"], suspended.json["state"]) == (name, "suspended")
    assert suspended.headers["ETag"] == '"2"'
    assert_problem(
        operator.request("PATCH", path, {"state": "active"}, headers={"If-Match": '"1"'}),
        412, "precondition_failed",
    )
    assert operator.request("PATCH", path, {"state": "active"}).json["state"] == "active"
    rows = events(stack, "tenant.changed", tenant["id"])
    assert [(row["from_state"], row["to_state"]) for row in rows] == [
        ("active", "suspended"), ("suspended", "active")]


def test_a_name_is_there_once(stack, operator):
    name = new_tenant(stack)["name"]
    response = operator.post("/v1/tenants", {"name": name})
    assert assert_problem(response, 409, "conflict")["field"] == "name"


@pytest.mark.parametrize("body", [{"state": "asleep"}, {"name": ""}, {"id": "0" * 32}])
def test_bad_changes_are_refused(stack, operator, body):
    tenant = new_tenant(stack)["id"]
    assert_problem(operator.request("PATCH", f"/v1/tenants/{tenant}", body), 400)


def test_a_tenant_with_sandboxes_stays_until_they_are_gone(stack, operator):
    tenant = new_tenant(stack)["id"]
    member = as_role(stack, "member", tenant)
    new_project(as_role(stack, "admin", tenant))
    put_quota(stack, tenant, sandboxes=3)
    sandbox = member.create()
    assert_problem(operator.request("DELETE", f"/v1/tenants/{tenant}"), 409, "conflict")
    assert member.info(sandbox)["status"] == "Created"
    assert member.delete(sandbox).status == 200
    assert operator.request("DELETE", f"/v1/tenants/{tenant}").status == 204
    assert_problem(operator.get(f"/v1/tenants/{tenant}"), 404, "not_found")
    assert_problem(member.try_create(runtime="shell", code="true"), 403, "forbidden")
    for table in ("projects", "quotas", "sandboxes"):
        assert stack.postgres.value(
            f"SELECT count(*) FROM {table} WHERE tenant_id = '{tenant}'") == 0
    assert len(events(stack, "tenant.deleted", tenant)) == 1


def test_no_sandbox_is_made_beside_a_delete(stack, operator):
    """Whatever the order: the tenant is gone with no sandbox, or stays with all that were made."""
    for _ in range(5):
        tenant = new_tenant(stack)["id"]
        member = as_role(stack, "member", tenant)
        with concurrent.futures.ThreadPoolExecutor(5) as pool:
            creates = [pool.submit(member.try_create, runtime="shell", code="true")
                       for _ in range(4)]
            deleted = pool.submit(operator.request, "DELETE", f"/v1/tenants/{tenant}").result()
        made = [c.result().json["id"] for c in creates if c.result().status == 201]
        rows = stack.postgres.value(
            f"SELECT count(*) FROM sandboxes WHERE tenant_id = '{tenant}'")
        assert deleted.status in (204, 409)
        assert rows == len(made)
        assert deleted.status == 409 or not made


def test_an_operator_does_not_lock_himself_out(operator):
    path = f"/v1/tenants/{DEFAULT_TENANT}"
    assert_problem(operator.request("PATCH", path, {"state": "suspended"}), 409, "conflict")
    assert_problem(operator.request("DELETE", path), 409, "conflict")
