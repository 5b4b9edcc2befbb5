"""Nodes and images: what the operator sees of the machines, and everybody of what runs on them."""

import concurrent.futures

import pytest

from support.client import assert_problem
from support.tenancy import as_role, walk
from support.wait import eventually


def the_node(stack, operator):
    """The stack's own; other tests' servers may have left theirs."""
    ending = str(stack.run_dir).replace("/", ":")
    (node,) = (n for n in operator.get("/v1/nodes").json["items"] if n["id"].endswith(ending))
    return node


def test_the_server_reports_itself(stack, operator):
    node = eventually(lambda: (n := the_node(stack, operator))["version"] and n)
    assert node["state"] == "ready"
    assert node["cpu_milli"] >= 1000 and node["memory_mb"] > 0
    assert node["started_at"] <= node["seen_at"]
    shown = operator.get(f"/v1/nodes/{node['id']}").json
    assert shown["id"] == node["id"]
    assert "/" not in node["id"]


def test_it_reports_again_and_counts_what_lives(stack, operator):
    client = stack.client()
    before = the_node(stack, operator)
    sandbox = client.create("shell", "sleep 60", timeout_ms=60000)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        run = pool.submit(client.try_execute, sandbox)
        eventually(lambda: the_node(stack, operator)["sandboxes"] == 1, 30)
        assert the_node(stack, operator)["seen_at"] > before["seen_at"]
        assert client.delete(sandbox).status == 200
        run.result(timeout=30)


def test_a_silent_node_is_away(stack, operator):
    stack.postgres.execute(
        "INSERT INTO nodes (id, boot_id, seen_at) "
        "VALUES ('gone', gen_random_uuid(), now() - interval '1 minute')"
    )
    try:
        assert operator.get("/v1/nodes/gone").json["state"] == "away"
        names = [node["id"] for node in walk(operator, "/v1/nodes", limit=1)]
        assert names == sorted(names) and "gone" in names and len(names) >= 2
    finally:
        stack.postgres.execute("DELETE FROM nodes WHERE id = 'gone'")


def test_a_node_that_is_not_there(operator):
    assert_problem(operator.get("/v1/nodes/nowhere"), 404, "not_found")


@pytest.mark.parametrize("path", ["/v1/nodes", "/v1/nodes/any"])
def test_only_operators_see_nodes(stack, path):
    assert_problem(as_role(stack, "admin").get(path), 403, "forbidden")


def test_images_are_those_installed(stack):
    viewer = as_role(stack, "viewer")
    answer = viewer.get("/v1/images")
    assert answer.status == 200
    names = [image["name"] for image in answer.json["items"]]
    installed = [path.name for path in stack.images.iterdir() if not path.name.startswith(".")]
    assert names == sorted(installed)
    assert "base" in names
    page = viewer.get("/v1/images?limit=1").json
    assert [image["name"] for image in page["items"]] == names[:1]


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "name=x"])
def test_bad_lists_are_refused(stack, query):
    assert_problem(as_role(stack, "viewer").get(f"/v1/images?{query}"), 400)
