"""Tenants, projects and roles for the tests of /v1."""

import uuid


def as_role(stack, scope, tenant=None, **claims):
    """A client of the default tenant, or of another, whose token has the scope."""
    arguments = [tenant] if tenant else []
    return stack.client(stack.token(*arguments, scope=scope, **claims))


def new_tenant(stack):
    """Makes a tenant; returns its object."""
    response = as_role(stack, "operator").post("/v1/tenants", {"name": uuid.uuid4().hex})
    assert response.status == 201, response
    return response.json


def new_project(client):
    response = client.post("/v1/projects", {"name": uuid.uuid4().hex})
    assert response.status == 201, response
    return response.json


def put_quota(stack, tenant, project=None, **limits):
    """Sets the limits of a tenant or of a project, and no others."""
    path = f"/v1/tenants/{tenant}" + (f"/projects/{project}" if project else "") + "/quota"
    response = as_role(stack, "operator").request("PUT", path, limits)
    assert response.status == 200, response
    return response


def events(stack, kind, tenant):
    return stack.postgres.rows(
        f"SELECT * FROM events WHERE kind = '{kind}' AND tenant_id = '{tenant}' ORDER BY id"
    )


def walk(client, path, limit):
    """Every item of a list, page by page."""
    items, cursor = [], ""
    while cursor is not None:
        page = client.get(f"{path}?limit={limit}{cursor}")
        assert page.status == 200, page
        assert len(page.json["items"]) <= limit
        items += page.json["items"]
        following = page.json["next_cursor"]
        cursor = f"&cursor={following}" if following else None
    return items
