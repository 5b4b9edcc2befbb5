"""The examples of the documents: what their readers paste works as it stands there."""

import os
import re
import subprocess

import pytest

from support.stack import REPOSITORY

DOCUMENTS = ["README.md", *(f"docs/api/{name}.md" for name in (
    "sandboxes", "processes", "files", "executor"))]


def blocks(document):
    """Its shell examples, in their order."""
    text = (REPOSITORY / document).read_text()
    return re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def definition_of_call():
    """The function that the README defines and the others use."""
    (line,) = re.findall(r"^call\(\) .*$", "".join(blocks("README.md")), re.MULTILINE)
    return line


# A refusal ends the script.
BEFORE = """
set -eu -o pipefail
curl() { command curl --fail-with-body "$@"; }
"""
MAKE_SANDBOX = """
ID=$(call $URL/v1/sandboxes -d '{"runtime": "python"}' |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["id"])')
"""


@pytest.fixture
def tenant(stack):
    """A tenant of its own, whose sandboxes are removed at the end."""
    client = stack.tenant_client("documents")
    yield client
    for item in client.get("/v1/sandboxes").json["items"]:
        assert client.request("DELETE", f"/v1/sandboxes/{item['id']}").status == 204


@pytest.mark.parametrize("document", DOCUMENTS)
def test_examples_work(stack, tenant, tmp_path, document):
    """But for those that are about the installation, or a terminal."""
    examples = [
        re.sub(r"^(URL|TOKEN)=.*$", "", block, flags=re.MULTILINE)
        for block in blocks(document) if not block.startswith(("make ", "atoll "))
    ]
    assert examples, "there are none"
    script = "\n".join([BEFORE, definition_of_call(), MAKE_SANDBOX, *examples])
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, text=True, timeout=120, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={"PATH": os.environ["PATH"], "URL": f"http://{stack.address}", "TOKEN": tenant.token},
    )
    assert done.returncode == 0, done.stdout
