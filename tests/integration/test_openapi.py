"""The API's description is true: schemathesis calls every operation by it, with all of its checks.

What the description allows is accepted, what it forbids is refused, every answer is as described.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

from support import tenancy
from support.stack import REPOSITORY, binary

PROGRAM = Path(os.environ.get("ATOLL_TEST_VENV", REPOSITORY / "build" / "venv")) / "bin" / "st"
SETTINGS = Path(__file__).with_name("schemathesis.toml")
EXAMPLES = int(os.environ.get("ATOLL_TEST_EXAMPLES", "20"))
# The largest limits that can be configured are those that the description names.
STACK_ENVIRONMENT = {
    "ATOLL_MAX_CONCURRENT": "4",
    "ATOLL_MAX_TIMEOUT_MS": "86400000",
    "ATOLL_MAX_MEMORY_LIMIT_MB": "1048576",
}


def delete_sandboxes(client):
    """All that the calls have left: stopped ones keep their disk."""
    while items := client.get("/v1/sandboxes?limit=200").json["items"]:
        for item in items:
            assert client.request("DELETE", f"/v1/sandboxes/{item['id']}").status in (204, 404)


def test_the_server_shows_what_it_prints(anonymous):
    printed = subprocess.run(
        [str(binary("atoll-server")), "--print-openapi"], check=True, stdout=subprocess.PIPE
    ).stdout
    response = anonymous.get("/openapi.json")
    assert response.status == 200
    assert response.headers["Content-Type"] == "application/json"
    assert json.loads(printed) == response.json


def test_304_is_described_where_it_is_given(anonymous):
    """Not of what shows more than its ETag counts."""
    paths = anonymous.get("/openapi.json").json["paths"]
    live = {path for path, operations in paths.items()
            if "ETag" in operations.get("get", {}).get("responses", {}).get("200", {}).get("headers", {})
            and "304" not in operations["get"]["responses"]}
    assert live == {"/v1/sandboxes/{id}", *(path for path in paths if path.endswith("/quota"))}


def test_every_answer_is_as_described(private_stack, capfd):
    if not PROGRAM.exists():
        pytest.fail(f"{PROGRAM} is missing: run `scripts/setup test` with access to PyPI")
    tenant = tenancy.new_tenant(private_stack)["id"]
    tenancy.put_quota(private_stack, tenant, sandboxes=2, memory_mb=2048, creates_per_minute=30)
    token = private_stack.token(tenant, scope="operator")
    done = subprocess.run(
        [
            str(PROGRAM), "--config-file", str(SETTINGS), "run",
            f"http://{private_stack.address}/openapi.json",
            "--header", f"Authorization: Bearer {token}", "--checks", "all",
            "--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES),
            # A stream without an end: each call would last until its time-out.
            "--exclude-operation-id", "watchFolder",
            "--workers", "1", "--continue-on-failure", "--no-color", "--request-timeout", "60",
        ],
        cwd=private_stack.folder, env={**os.environ, "COLUMNS": "120"}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )
    client = private_stack.client(token)
    delete_sandboxes(client)
    with capfd.disabled():
        print("\n" + done.stdout[done.stdout.rfind("API Operations:"):])
    assert done.returncode == 0, done.stdout
    let_in = client.get("/v1/projects")
    assert let_in.status == 200, "its tenant went on the way: the rest was judged by refusals alone"
