"""Each runtime runs its language, and the result says what happened."""

import json

import pytest

HELLO = {
    "node": 'console.log("hello")',
    "typescript": 'const word: string = "hello"; console.log(word);',
    "python": 'print("hello")',
    "shell": "echo hello",
}
STREAMS = {
    "node": 'process.stdout.write("out"); process.stderr.write("err"); process.exitCode = 3;',
    "typescript": (
        'const n: number = 3; process.stdout.write("out"); process.stderr.write("err"); '
        "process.exitCode = n;"
    ),
    "python": 'import sys; sys.stdout.write("out"); sys.stderr.write("err"); sys.exit(3)',
    "shell": "printf out; printf err >&2; exit 3",
}
RESULT_FIELDS = {
    "sandbox_id", "success", "stdout", "stderr", "exit_code", "execution_time_ms", "timed_out",
    "oom_killed", "truncated", "signal", "stages",
}


@pytest.mark.parametrize("runtime", HELLO)
def test_hello(client, runtime):
    result = client.run(runtime, HELLO[runtime])
    assert result["stdout"] == "hello\n"
    assert result["stderr"] == ""
    assert result["success"] is True
    assert result["exit_code"] == 0
    assert result["signal"] is None


@pytest.mark.parametrize("runtime", STREAMS)
def test_streams_and_exit_code_stay_apart(client, runtime):
    result = client.run(runtime, STREAMS[runtime])
    assert (result["stdout"], result["stderr"], result["exit_code"]) == ("out", "err", 3)
    assert result["success"] is False


def test_bun_runs_or_says_that_its_image_is_missing(client, stack):
    """The bun image needs npm at build time, so a host may be without it; execute says so then."""
    code = 'console.log("Hello from Bun!"); console.log(Bun.version);'
    if (stack.images / "bun").exists():
        result = client.run("bun", code)
        assert result["stdout"].startswith("Hello from Bun!\n1.")
        return
    response = client.try_execute(client.create("bun", code))
    assert response.status == 422, response
    assert response.json["code"] == "runtime_missing"


def test_result_has_all_fields_of_the_dialect(client):
    sandbox_id = client.create("shell", "true")
    result = client.execute(sandbox_id)
    assert RESULT_FIELDS <= set(result)
    assert result["sandbox_id"] == sandbox_id
    assert isinstance(result["execution_time_ms"], int) and result["execution_time_ms"] >= 0
    assert isinstance(result["stages"], dict) and result["stages"]
    for flag in ("timed_out", "oom_killed", "truncated"):
        assert result[flag] is False


def test_execute_takes_an_empty_object_as_no_body(client):
    sandbox_id = client.create("shell", "echo again")
    assert client.execute(sandbox_id, body={})["stdout"] == "again\n"
    assert client.execute(sandbox_id)["stdout"] == "again\n"


def test_code_runs_as_the_user_in_the_sandbox_folder(client):
    code = 'id -u; id -g; id -un; pwd; echo "$HOME"; test -w . && echo writable'
    assert client.run("shell", code)["stdout"].split() == [
        "1000", "1000", "user", "/sandbox", "/home/user", "writable",
    ]


def test_env_vars_arrive_as_given(client):
    odd = "a b'c\"d$(e)`f`\\n\n=%"
    env = {"NODE_ENV": "sandbox", "_ODD1": odd, "EMPTY": "", "UNICODE": "ünï"}
    code = "import os, json; print(json.dumps(dict(os.environ)))"
    seen = client.run("python", code, env_vars=env)["stdout"]
    environment = json.loads(seen)
    assert {name: environment.get(name) for name in env} == env


def test_the_environment_holds_nothing_of_the_host(client):
    lines = client.run("shell", "env")["stdout"].splitlines()
    names = {line.split("=", 1)[0] for line in lines}
    assert "PATH" in names and "HOME" in names
    assert not [name for name in names if name.startswith(("ATOLL", "SANDBOX_", "PG", "LISTEN"))]


def test_python_has_two_names(client):
    code = "python -c 'print(1)'; python3 -c 'print(2)'"
    assert client.run("shell", code)["stdout"] == "1\n2\n"


@pytest.mark.parametrize("tool", ["bash", "git", "curl", "node", "esbuild", "python3"])
def test_the_base_image_holds(client, tool):
    assert client.run("shell", f"{tool} --version")["exit_code"] == 0


def test_shell_honours_its_first_line(client):
    code = "#!/usr/bin/python3\nimport sys\nprint(sys.version_info[0])\n"
    assert client.run("shell", code)["stdout"] == "3\n"


def test_loopback_works_and_nothing_else_is_there(client):
    code = """
import socket
listener = socket.create_server(("127.0.0.1", 0))
caller = socket.create_connection(listener.getsockname())
accepted, _ = listener.accept()
caller.sendall(b"over loopback")
print(accepted.recv(64).decode())
print([name for _, name in socket.if_nameindex()])
"""
    assert client.run("python", code)["stdout"].splitlines() == ["over loopback", "['lo']"]


def test_typescript_error_is_the_callers(client):
    result = client.run("typescript", "const = ;")
    assert result["success"] is False
    assert result["exit_code"] not in (0, None)
    assert result["stderr"] != ""


def test_node_modules_of_the_definition(client):
    files = [
        {"path": "lib/math.js", "content": "exports.twice = n => 2 * n;"},
        {"path": "package.json", "content": '{"name": "demo", "version": "1.0.0"}'},
    ]
    code = "console.log(require('./lib/math').twice(21), require('./package.json').name)"
    assert client.run("node", code, files=files)["stdout"] == "42 demo\n"
