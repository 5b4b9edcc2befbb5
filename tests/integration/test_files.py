"""Files of a definition: where they land, their bytes, their mode."""

import base64
import hashlib

import pytest

NASTY = {
    "single quotes": "it's 'quoted'",
    "double quotes": 'say "hi"',
    "command substitution": "$(touch /tmp/pwned) `touch /tmp/pwned` ${HOME}",
    "backslashes": "\\n \\0 \\\\ \\",
    "newlines": "\n\r\n\r\n\n",
    "no newline at the end": "last",
    "heredoc end": "EOF\nEOT\n'EOF'\n",
    "percent": "%s %n %00",
    "unicode": "äöü – 日本語 🙂 \u2028",
    "control characters": "".join(map(chr, range(1, 32))),
    "empty": "",
    "exclamation": "!! !$ *?[a-z] {a,b} ~ # ; & | < >",
}


def digest(client, path, **definition):
    code = f"sha256sum < '{path}' | cut -d' ' -f1"
    return client.run("shell", code, **definition)["stdout"].strip()


@pytest.mark.parametrize("name", NASTY)
def test_text_arrives_byte_identical(client, name):
    content = NASTY[name]
    seen = digest(client, "data", files=[{"path": "data", "content": content}])
    assert seen == hashlib.sha256(content.encode()).hexdigest()


def test_bytes_arrive_identical_by_base64(client):
    content = bytes(range(256)) * 257
    file = {
        "path": "data.bin", "content": base64.b64encode(content).decode(), "encoding": "base64",
    }
    assert digest(client, "data.bin", files=[file]) == hashlib.sha256(content).hexdigest()


def test_a_large_file_arrives_whole(client):
    content = hashlib.shake_256(b"seed").digest(4 << 20)
    file = {"path": "big", "content": base64.b64encode(content).decode(), "encoding": "base64"}
    assert digest(client, "big", files=[file]) == hashlib.sha256(content).hexdigest()


def test_code_arrives_byte_identical(client):
    code = "import sys\ntext = '''%s'''\nsys.stdout.write(text)\n" % NASTY["command substitution"]
    assert client.run("python", code)["stdout"] == NASTY["command substitution"]


def test_relative_nested_and_absolute_paths(client):
    files = [
        {"path": "plain", "content": "1"},
        {"path": "a/b/c/nested", "content": "2"},
        {"path": "./dotted", "content": "3"},
        {"path": "/tmp/absolute", "content": "4"},
        {"path": "/home/user/deep/er/file", "content": "5"},
        {"path": "/opt/made/for/this", "content": "6"},
    ]
    code = (
        "cat /sandbox/plain /sandbox/a/b/c/nested /sandbox/dotted /tmp/absolute "
        "/home/user/deep/er/file /opt/made/for/this"
    )
    result = client.run("shell", code, files=files)
    assert (result["stdout"], result["exit_code"]) == ("123456", 0)


def test_only_executables_are_executable(client):
    files = [
        {"path": "bin/yes", "content": "#!/bin/sh\necho ran\n", "is_executable": True},
        {"path": "bin/no", "content": "#!/bin/sh\necho ran\n", "is_executable": False},
        {"path": "bin/default", "content": "#!/bin/sh\necho ran\n"},
    ]
    code = "./bin/yes; ./bin/no || echo $?; ./bin/default || echo $?"
    assert client.run("shell", code, files=files)["stdout"] == "ran\n126\n126\n"


def test_the_user_owns_what_it_was_given(client):
    files = [{"path": "dir/mine", "content": "old"}]
    code = "stat -c %U:%G dir dir/mine; echo new > dir/mine; touch dir/other; cat dir/mine"
    result = client.run("shell", code, files=files)
    assert result["stdout"] == "user:user\nuser:user\nnew\n"


@pytest.mark.parametrize(
    "path", ["with space", "quote'd", '"', "$(id)", "-rf", "new\nline", "日本語", "a" * 255]
)
def test_odd_names(client, path):
    code = f"print(open({path!r}).read())"
    result = client.run("python", code, files=[{"path": path, "content": "here"}])
    assert result["stdout"] == "here\n"


def test_upload_adds_and_replaces(client):
    sandbox_id = client.create("shell", "cat a b", files=[{"path": "a", "content": "old"}])
    response = client.post(
        f"/sandbox/{sandbox_id}/files",
        [{"path": "/sandbox/a", "content": "new"}, {"path": "b", "content": "more"}],
    )
    assert (response.status, response.json) == (200, {"success": True, "files_written": 2})
    assert client.execute(sandbox_id)["stdout"] == "newmore"


def test_a_refused_upload_writes_nothing(client):
    sandbox_id = client.create("shell", "ls", files=[{"path": "first", "content": ""}])
    before = client.execute(sandbox_id)["stdout"]
    response = client.post(
        f"/sandbox/{sandbox_id}/files",
        [{"path": "good", "content": "x"}, {"path": "../bad", "content": "x"}],
    )
    assert response.status == 400
    assert client.execute(sandbox_id)["stdout"] == before


def test_a_thousand_files(client):
    files = [{"path": f"d{n % 10}/f{n}", "content": str(n)} for n in range(1000)]
    result = client.run("shell", "find . -name 'f*' | wc -l; cat d9/f999", files=files)
    assert result["stdout"] == "1000\n999"


def test_entry_point_names_the_code(client):
    code = "console.log(require('path').basename(__filename))"
    assert client.run("node", code, entry_point="src/main.js")["stdout"] == "main.js\n"


def test_a_command_line_runs_the_file_that_came(client):
    """Beside a command line, code is only what stands in for a file that was not sent."""
    sent = [{"path": "index.js", "content": "console.log('file')"}]
    code, line = "console.log('code')", "node index.js"
    assert client.run("node", code, entry_point=line, files=sent)["stdout"] == "file\n"
    assert client.run("node", code, entry_point=line)["stdout"] == "code\n"
    assert client.run("node", code, files=sent)["stdout"] == "code\n"
