"""The examples of the dialect's own description, as their readers will paste them."""

import json
import subprocess

import pytest


def test_health_needs_no_token(anonymous):
    response = anonymous.get("/health")
    assert response.status == 200
    assert response.json["status"] == "ok"


def test_quick_start_with_curl(stack):
    """The create and execute lines of the quick start, run by curl itself."""
    base = f"http://{stack.address}"
    token = ["-H", f"Authorization: Bearer {stack.token()}"]
    body = """{
    "runtime": "node",
    "code": "console.log(\\"Hello from Node.js!\\")",
    "timeout_ms": 5000,
    "memory_limit_mb": 128
  }"""
    created = curl(
        *token, "-X", "POST", f"{base}/sandbox", "-H", "Content-Type: application/json", "-d", body
    )
    sandbox_id = created["id"]
    stack.created.add(sandbox_id)
    result = curl(*token, "-X", "POST", f"{base}/sandbox/{sandbox_id}/execute")
    assert result["stdout"] == "Hello from Node.js!\n"
    assert curl(*token, "-X", "DELETE", f"{base}/sandbox/{sandbox_id}")["deleted"] is True


def curl(*arguments):
    done = subprocess.run(
        ["curl", "-sS", "--fail-with-body", *arguments], stdout=subprocess.PIPE, text=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_typescript_example(client):
    result = client.run(
        "typescript",
        'const greeting: string = "Hello TypeScript!"; console.log(greeting);',
        timeout_ms=10000,
        memory_limit_mb=256,
    )
    assert result["stdout"] == "Hello TypeScript!\n"


def test_create_request_of_the_reference(client):
    sandbox_id = client.create(
        "node",
        "console.log('Hello World');",
        entry_point="index.js",
        timeout_ms=5000,
        memory_limit_mb=128,
        env_vars={"NODE_ENV": "sandbox"},
    )
    result = client.execute(sandbox_id)
    assert result["sandbox_id"] == sandbox_id
    assert result["success"] is True
    assert result["stdout"] == "Hello World\n"
    assert result["stderr"] == ""
    assert result["exit_code"] == 0
    assert isinstance(result["execution_time_ms"], int)


def test_create_with_files_example(client):
    result = client.run(
        "node",
        "const fs = require('fs'); console.log(fs.readFileSync('data.txt', 'utf8'));",
        files=[
            {"path": "data.txt", "content": "Hello from transferred file!", "is_executable": False},
            {
                "path": "utils.js",
                "content": "exports.greet = name => `Hello, ${name}!`;",
                "is_executable": False,
            },
            {
                "path": "scripts/runner.sh",
                "content": "#!/bin/bash\necho 'Script execution'",
                "is_executable": True,
            },
        ],
    )
    assert result["stdout"] == "Hello from transferred file!\n"


def test_upload_to_existing_sandbox_example(client):
    sandbox_id = client.create("shell", "cat config.json")
    response = client.post(
        f"/sandbox/{sandbox_id}/files",
        [{"path": "config.json", "content": '{"setting": "value"}', "is_executable": False}],
    )
    assert response.status == 200, response
    assert response.json == {"success": True, "files_written": 1}
    assert client.execute(sandbox_id)["stdout"] == '{"setting": "value"}'


USE_CASES = {
    "configuration file": (
        "const config = require('./config.json'); console.log(config.database.host);",
        [{"path": "config.json", "content": '{"database": {"host": "localhost"}}'}],
        "localhost\n",
    ),
    "executable script": (
        "const { exec } = require('child_process'); "
        "exec('./script.sh', (err, stdout) => console.log(stdout));",
        [
            {
                "path": "script.sh",
                "content": "#!/bin/bash\necho 'Hello from script!'",
                "is_executable": True,
            }
        ],
        "Hello from script!\n\n",
    ),
}


@pytest.mark.parametrize("name", USE_CASES)
def test_use_case(client, name):
    code, files, expected = USE_CASES[name]
    result = client.run("node", code, files=files)
    assert (result["stdout"], result["exit_code"]) == (expected, 0)
