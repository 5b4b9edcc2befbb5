"""What a tenant keeps in the database as definitions is bounded, in number and bytes."""

import pytest

from support.client import assert_problem
from support.wait import eventually

STACK_ENVIRONMENT = {"ATOLL_MAX_DEFINITIONS": 5, "ATOLL_MAX_DEFINITION_MB": 2}

MIB = 1024 * 1024


@pytest.fixture
def client(private_stack):
    yield private_stack.client()
    client = private_stack.client()
    for definition in client.list_all():
        client.delete(definition["id"])


def eventually_creates(client, **fields):
    """What was deleted is noticed a while later."""
    made = eventually(lambda: (lambda r: r if r.status == 201 else None)(
        client.try_create(runtime="shell", **fields)), 30, "there is room again")
    return made.json["id"]


def test_a_definition_too_many(client, private_stack):
    made = [eventually_creates(client, code="true") for _ in range(5)]
    refused = client.try_create(runtime="shell", code="true")
    assert "sandbox.max_definitions" in assert_problem(refused, 429, "too_many")["detail"]
    assert int(refused.headers["Retry-After"]) >= 1
    private_stack.tenant_client("kept-other").create("shell", "true")
    assert client.post(f"/sandbox/{made[0]}/files", [{"path": "x", "content": "y"}]).status == 200
    client.delete(made[0])
    eventually_creates(client, code="true")
    assert_problem(client.try_create(runtime="shell", code="true"), 429, "too_many")


def test_bytes_too_many(client, private_stack):
    big = {"path": "big", "content": "x" * MIB}
    kept = eventually_creates(client, code="true", files=[big])
    for response in (
        client.try_create(runtime="shell", code="true", files=[big]),
        client.try_create(runtime="shell", code="#" * MIB),
        client.post(f"/sandbox/{kept}/files", [{**big, "path": "bigger"}]),
    ):
        assert "sandbox.max_definition_mb" in assert_problem(response, 429, "too_many")["detail"]
    private_stack.server.kill()  # what it has added up goes with it
    private_stack.server.start()
    client = private_stack.client()
    refused = client.try_create(runtime="shell", code="#" * MIB)
    assert "sandbox.max_definition_mb" in assert_problem(refused, 429, "too_many")["detail"]
    client.delete(kept)
    eventually_creates(client, code="#" * MIB)
