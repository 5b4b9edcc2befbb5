"""The command line against a service that is away, broken or hostile, and in surroundings that are.

No daemon runs here: a server of the test's own answers what the test says.
"""

import base64
import contextlib
import hashlib
import http.server
import itertools
import json
import os
import re
import socket
import struct
import subprocess
import sys
import threading

import pytest

from support.stack import binary, sanitized

ID = "0" * 31 + "1"
#: What a terminal obeys, as a name may hold it: clear, C1, DEL, a turn of direction, a line's end.
EVIL = "a\x1b[2J\x1b]0;owned\x07\r\n\x7f\x9b31m\u202eb"
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e]")


class Service(http.server.ThreadingHTTPServer):
    """`answer(handler)` gives status and body: a value for JSON, bytes as they are, or pieces."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = lambda handler: (200, {})
        self.seen = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request, client_address):
        """Clients break off here."""


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append(f"{self.command} {self.path}")
        status, body = self.server.answer(self)
        if isinstance(body, (dict, list)):
            body = json.dumps(body, ensure_ascii=False).encode()
        self.send_response(status)
        self.end_headers()
        for piece in [body] if isinstance(body, bytes) else body:
            self.wfile.write(piece)

    do_POST = do_PUT = do_DELETE = do_PATCH = do_GET

    def log_message(self, *_):
        pass


@pytest.fixture
def service():
    with Service() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def environment(service, tmp_path):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ATOLL_")}
    return {**kept, "ATOLL_URL": service.url, "ATOLL_TOKEN": "token",
            "ATOLL_STATE_DIR": str(tmp_path), "ATOLL_STATE_RUN_DIR": str(tmp_path)}


@pytest.fixture
def run(environment, tmp_path):
    def call(*arguments, code=0, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, **more):
        done = subprocess.run(
            [str(binary("atoll")), *arguments], cwd=tmp_path, env={**environment, **more},
            stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, timeout=120,
        )
        assert done.returncode == code, (arguments, done.returncode, done.stderr[-500:])
        return done

    return call


def page(*items, cursor=None):
    return {"items": list(items), "next_cursor": cursor}


# --- what a terminal would obey


@pytest.mark.parametrize("words, answer", [
    (["ps"], page({"id": ID, "name": EVIL, "state": "running", "image": EVIL})),
    (["inspect", ID], {"name": EVIL, EVIL: {EVIL: "x"}, "labels": {"a": EVIL}, "list": [EVIL]}),
    (["create"], {"id": EVIL}),
    (["key", "create", "x"], {"key": EVIL}),
    (["project", "ls"], page({"id": ID, "name": EVIL})),
    (["processes", ID], page({"id": ID, "command": [EVIL]})),
    (["ls", ID], page({"path": EVIL, "type": "file", "link": EVIL})),
    (["events"], page({"kind": EVIL, "detail": {EVIL: EVIL}})),
    (["quota", "show"], {"limits": {"sandboxes": EVIL}, "used": {"sandboxes": [EVIL]}}),
    (["usage"], page({"day": EVIL})),
    (["tenant", "show", ID], {"name": EVIL}),
])
def test_what_is_shown_has_nothing_that_a_terminal_obeys(run, service, words, answer):
    service.answer = lambda _: (200, answer)
    shown = run(*words).stdout.decode()
    assert not OBEYED.search(shown) and "[2J" in shown
    told = run(*words, "--json").stdout.decode()
    assert not OBEYED.search(told.replace("\n", ""))
    assert json.loads(told) == answer, "escaped, it says the same"


def test_a_refusal_has_nothing_that_a_terminal_obeys(run, service):
    service.answer = lambda _: (409, {"detail": EVIL, "request_id": EVIL})
    for words in (["ps"], ["exec", ID, "--", "true"], ["exec", "-i", ID, "--", "true"],
                  ["logs", ID], ["cat", ID, "x"], ["cp", f"{ID}:x", "-"], ["rm", ID]):
        refused = run(*words, code=1)
        assert refused.stdout == b""
        assert not OBEYED.search(refused.stderr.decode()) and b"?[2J?" in refused.stderr


def test_words_of_the_command_line_are_shown_without_it_too(run):
    for words in ([EVIL], ["tenant", EVIL], ["ps", EVIL], ["ps", f"--{EVIL}"], ["inspect", EVIL],
                  ["cp", EVIL, f"{ID}:"], ["help", EVIL], ["run", f"{EVIL}.py"]):
        code = 1 if words[0] == "cp" else 2
        assert not OBEYED.search(run(*words, code=code).stderr.decode())


def test_bytes_that_are_no_text_are_not_shown(run, service):
    service.answer = lambda _: (200, b'{"name": "\x9b31m\xff"}')
    assert run("inspect", ID).stdout == b"name               ?31m?\n"


def test_events_are_shown_without_it(run, service):
    lines = f"id: 1\nevent: x\ndata: {json.dumps({'kind': EVIL}, ensure_ascii=False)}\n\n"
    answers = iter([(200, page()), (200, lines.encode()), (404, {})])
    service.answer = lambda _: next(answers)
    assert not OBEYED.search(run("events", "--follow", code=4).stdout.decode())
    assert service.seen[2] == "GET /v1/events?after=1", "it goes on behind what came"


# --- answers without end


#: A child's figure begins with what its parent has (getrusage(2): exec keeps it), so that a small
#: program must be the parent, not this one.
MEASURED = """if True:
    import resource, subprocess, sys
    code = subprocess.call(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10)
"""


def run_limited(environment, *words):
    """Exit code, standard error, and the most memory that it took, in MiB."""
    done = subprocess.run([sys.executable, "-c", MEASURED, str(binary("atoll")), *words],
                          env=environment, cwd="/", capture_output=True, check=True)
    code, memory = done.stdout.split()
    return int(code), done.stderr.decode(), int(memory)


def test_an_answer_without_end_is_broken_off(environment, service):
    service.answer = lambda _: (200, itertools.repeat(b"[" + b" " * (1 << 20)))
    code, said, memory = run_limited(environment, "ps")
    assert code == 1 and "answers with more than 268435456 bytes" in said
    assert memory < 1024 or sanitized()


def test_an_answer_of_very_many_values_is_refused(environment, service):
    service.answer = lambda _: (200, itertools.chain(
        [b'{"items":['], itertools.repeat(b"[]," * (1 << 20), 8), [b"[]]}"]))
    code, said, memory = run_limited(environment, "ps")
    assert code == 1 and "does not answer as the service does" in said
    assert memory < 512 or sanitized()


@pytest.mark.parametrize("words", [["logs", ID], ["events", "--follow"], ["exec", ID, "--", "x"]])
def test_an_event_without_end_is_broken_off(environment, service, words):
    def answer(handler):
        looks_for_the_end = handler.path == "/v1/events?limit=1"
        return 200, page() if looks_for_the_end else itertools.repeat(b"data: " + b"x" * 65536)

    service.answer = answer
    code, said, memory = run_limited(environment, *words)
    assert code == 1 and "answers with more than 1048576 bytes" in said
    assert memory < 256 or sanitized()


def test_a_list_whose_pages_never_end_is_broken_off(run, service):
    service.answer = lambda _: (200, page(cursor="again"))
    assert b"as the service does" in run("project", "ls", code=1).stderr
    assert len(service.seen) == 2


def test_a_cursor_is_no_path(run, service):
    def answer(_):
        return 200, page(cursor="a b&x=../\r\n" if len(service.seen) == 1 else None)

    service.answer = answer
    run("project", "ls", "--limit", "7")
    assert service.seen[1] == "GET /v1/projects?limit=7&cursor=a%20b%26x%3D..%2F%0D%0A"


# --- answers that are none


@pytest.mark.parametrize("words", [["ps"], ["project", "ls"], ["create"], ["key", "create", "x"]])
@pytest.mark.parametrize("body", [b"{}", b"[]", b'"x"', b"<html>", b'{"items":{"id":1}}', b'{"id":1}'])
def test_what_is_not_the_service_is_no_success(run, service, words, body):
    service.answer = lambda _: (200, body)
    done = run(*words, code=1)
    assert done.stdout == b"" and b"does not answer as the service does" in done.stderr


@pytest.mark.parametrize("status, body, code", [
    (502, b"<html>", 3), (503, b'{"code": "unavailable", "detail": "soon"}', 3), (504, b"", 3),
    (422, b'{"code": "runtime_missing", "detail": "no image"}', 1), (500, b"", 1), (301, b"", 1),
    (404, b"", 4), (401, b'{"detail": 1}', 1),
])
def test_what_a_status_exits_with(run, service, status, body, code):
    service.answer = lambda _: (status, body)
    assert run("ps", code=code).stderr.startswith(b"atoll: ")


@pytest.mark.parametrize("told, code", [
    ({"exit_code": 255}, 255), ({"exit_code": 256}, 125), ({"exit_code": -1}, 125),
    ({"exit_code": 1e300}, 125), ({"exit_code": "0"}, 125), ({"signal": "SIGNONE"}, 125),
    ({"signal": "SIGKILL"}, 137), ({}, 125), ({"timed_out": True, "exit_code": 0}, 124),
])
def test_no_end_is_taken_for_a_success(run, service, tmp_path, told, code):
    (tmp_path / "x.sh").write_text("true")
    service.answer = lambda _: (200, told)
    run("run", "x.sh", code=code)


# --- who asks whom


@pytest.mark.parametrize("words", [
    ["--token", ""], ["--url", ""], ["--token", "a\r\nX-Evil: 1"], ["--token", "a b"],
    ["--token", "a\u00e4"], ["--token-file", "empty"], ["--url", "file:///etc/passwd"],
    ["--url", "gopher://x"],
])
def test_a_token_or_url_that_is_none_asks_nobody(run, service, tmp_path, words):
    (tmp_path / "empty").write_text("\n")
    assert run("ps", *words, code=2).stdout == b""
    assert service.seen == []


@pytest.mark.parametrize("url", [
    "http://service.invalid", "http://127.0.0.1@service.invalid", "http://127.0.0.1.service.invalid",
    "http://192.0.2.1", "http://[2001:db8::1]:80",
])
def test_a_token_that_is_made_here_goes_to_no_other_host(run, tmp_path, url):
    (tmp_path / "key").write_text("k" * 64)
    key = {"ATOLL_TOKEN": "", "ATOLL_AUTH_HS256_KEY_FILE": str(tmp_path / "key")}
    (tmp_path / "key").chmod(0o600)
    done = run("ps", "--url", url, code=2, **key)
    assert b"goes to this host only" in done.stderr
    for here in ("http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1"):
        assert b"onnect" in run("ps", "--url", here, code=3, **key).stderr


def test_a_password_in_a_url_is_not_told(run):
    done = run("ps", "--url", "http://me:secret@127.0.0.1:1", code=3)
    assert b"secret" not in done.stderr and b"http://me:***@127.0.0.1:1" in done.stderr


def test_a_redirection_is_not_followed(run, service):
    def answer(handler):
        handler.send_response(302)
        handler.send_header("Location", f"{service.url}/elsewhere")
        handler.end_headers()
        return 200, b""

    service.answer = answer
    run("ps", code=1)
    assert service.seen == ["GET /v1/sandboxes?limit=200"]


# --- what is asked for


def test_a_label_is_written_as_create_takes_it(run, service):
    service.answer = lambda _: (200, page())
    for label in ("a=b:c", "a:b:c"):
        run("ps", "--label", label, "--project", ID)
        assert service.seen.pop() == f"GET /v1/sandboxes?project_id={ID}&label=a%3Ab%3Ac&limit=200"
    run("ps", "--label", "a:b=c")
    assert service.seen.pop() == "GET /v1/sandboxes?label=a%3Ab%3Dc&limit=200"
    for label in ("a", "=b", ""):
        assert b"NAME=VALUE" in run("ps", "--label", label, code=2).stderr


def test_a_limit_holds_over_pages(run, service):
    pages = [page(*[{"id": str(i)} for i in range(200)], cursor="2"), page({"id": "x"}, {"id": "y"})]
    service.answer = lambda handler: (200, pages["cursor" in handler.path])
    told = run("project", "ls", "--limit", "201", "--json").stdout.splitlines()
    assert service.seen == ["GET /v1/projects?limit=200", "GET /v1/projects?limit=1&cursor=2"]
    assert len(told) == 2


def test_ps_says_the_same_as_json(run, service):
    """Those that do not run are left out, however many of them come before one that does."""
    stopped = [{"id": f"stopped {i}", "state": "stopped"} for i in range(200)]
    pages = [page(*stopped, cursor="2"),
             page({"id": "up", "state": "running"}, {"id": "more", "state": "running"}, cursor="3")]
    service.answer = lambda handler: (200, pages["cursor" in handler.path])
    told = [json.loads(line) for line in run("ps", "--limit", "1", "--json").stdout.splitlines()]
    assert [[item["id"] for item in one["items"]] for one in told] == [[], ["up"]]
    assert len(service.seen) == 2


def test_a_time_to_stop_is_never_cut_to_none(run, service):
    bodies = []
    service.answer = lambda handler: (200, bodies.append(json.loads(handler.body)) or {})
    for text in ("500ms", "0", "1500ms", "10s"):
        run("stop", ID, "--timeout", text)
    assert [body["timeout"] for body in bodies] == [1, 0, 2, 10]


def test_one_that_fails_keeps_no_other_from_it(run, service):
    ids = [str(i) * 32 for i in range(4)]
    service.answer = lambda handler: (
        404 if handler.path.endswith((ids[0], ids[2])) else 200, {"detail": "gone"})
    done = run("rm", *ids, code=4)
    assert done.stdout.decode().split() == [ids[1], ids[3]]
    assert [line.split()[:2] for line in done.stderr.decode().splitlines()] == \
        [["atoll:", f"{ids[0]}:"], ["atoll:", f"{ids[2]}:"]]


# --- WebSockets


class Socket:
    """A server that starts any process, and answers the WebSocket to it with `pieces`."""

    def __init__(self, pieces):
        self.pieces = pieces
        self.attached = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self.talk, args=self.listener.accept()[:1], daemon=True).start()

    def talk(self, connection):
        with connection, contextlib.suppress(OSError):
            while head := connection.recv(65536):
                if head.startswith(b"POST"):
                    body = json.dumps({"id": ID}).encode()
                    connection.sendall(b"HTTP/1.1 201 x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                elif head.startswith(b"GET"):
                    self.attached += 1
                    key = re.search(rb"Sec-WebSocket-Key: (\S+)", head)[1]
                    digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
                    connection.sendall(
                        b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n")
                    for piece in self.pieces:
                        connection.sendall(piece)


def frame(opcode, data):
    length = bytes([len(data)]) if len(data) < 126 else struct.pack(">BH", 126, len(data))
    return bytes([0x80 | opcode]) + length + data


def exits(code):
    return frame(1, json.dumps({"type": "exit", "exit_code": code}).encode())


@pytest.mark.parametrize("pieces, code, out, said", [
    ([frame(2, b""), frame(2, b"\1"), frame(1, b"["), exits(7)], 7, b"", ""),
    ([frame(2, b"\1" + bytes(8) + b"hi"), exits(0)], 0, b"hi", ""),
    ([frame(1, b"[" * 60000), exits(256)], 125, b"", ""),
    ([frame(1, json.dumps({"type": "error", "code": "x", "detail": EVIL}).encode()), exits(0)], 0, b"",
     "?[2J?"),
])
def test_what_a_websocket_says(environment, pieces, code, out, said):
    service = Socket(pieces)
    with service.listener:
        done = subprocess.run(
            [str(binary("atoll")), "exec", "-i", ID, "--", "x"], stdin=subprocess.DEVNULL, timeout=60,
            env={**environment, "ATOLL_URL": service.url}, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert (done.returncode, service.attached) == (code, 1)
    assert done.stdout == out
    assert said in done.stderr.decode() and not OBEYED.search(done.stderr.decode())


@pytest.mark.parametrize("pieces", [
    itertools.repeat(frame(9, b"p" * 125) * 1000),
    [bytes([0x82, 127]) + struct.pack(">Q", 1 << 40), *[b"x" * 65536] * 64],
], ids=["pings without end", "a message of a tebibyte"])
def test_a_websocket_cannot_take_all_memory(environment, pieces):
    service = Socket(pieces)
    with service.listener:
        code, said, memory = run_limited(
            {**environment, "ATOLL_URL": service.url}, "exec", "-i", ID, "--", "x")
    assert code == 3 and "the command goes on" in said
    assert memory < 128 or sanitized()


# --- our own streams


def test_output_that_cannot_be_written_is_no_success(run, service):
    service.answer = lambda _: (200, page({"id": ID}))
    with open("/dev/full", "w") as full:
        for words in (["project", "ls"], ["help"], ["version"], ["completion", "bash"],
                      ["project", "ls", "--json"]):
            assert b"cannot write to standard output" in run(*words, stdout=full, code=1).stderr


def test_a_stream_that_cannot_be_written_is_not_read_to_its_end(run, service):
    """Nor is the command taken for ended."""
    line = json.dumps({"data": "x" * 1000})
    service.answer = lambda handler: (200, (
        f"id: {i}\nevent: stdout\ndata: {line}\n\n".encode() for i in itertools.count(1)))
    with open("/dev/full", "w") as full:
        for words in (["logs", ID, "--follow"], ["exec", ID, "--", "x"]):
            assert b"No space left" in run(*words, stdout=full, code=1).stderr
    assert len(service.seen) == 2


def test_a_closed_stream_is_not_mixed_up_with_the_service(environment, service):
    service.answer = lambda _: (200, page({"id": ID}))
    for closed, code in ((">&-", 1), ("<&-", 0), ("<&- >&- 2>&-", 1)):
        service.seen.clear()
        done = subprocess.run(["sh", "-c", f'"$0" project ls {closed}', str(binary("atoll"))],
                              env=environment, timeout=60)
        assert done.returncode == code and service.seen == ["GET /v1/projects?limit=200"]


def test_a_socket_can_be_standard_input(environment, service, tmp_path):
    bodies = []
    service.answer = lambda handler: (200, bodies.append(json.loads(handler.body)) or {"exit_code": 0})
    near, far = socket.socketpair()
    near.sendall(b"print(1)\n")
    near.shutdown(socket.SHUT_WR)
    with near, far:
        subprocess.run([str(binary("atoll")), "run", "--runtime", "python", "-"], stdin=far,
                       env=environment, cwd=tmp_path, timeout=60, check=True)
    assert bodies[0]["code"] == "print(1)\n"


def test_a_reader_that_goes_is_no_failure_that_is_told(environment, service):
    service.answer = lambda _: (200, page(*[{"id": ID, "name": "x" * 100}] * 2000))
    done = subprocess.run(["bash", "-c", '"$0" project ls --limit 2000 | head -n 1; exit ${PIPESTATUS[0]}',
                           str(binary("atoll"))], env=environment, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=60)
    assert done.stdout.split()[0] == b"ID" and done.stderr == b"" and done.returncode == 141


# --- what is asked of the command line itself


def test_help_can_be_asked_for_anywhere_before_a_command(run, service):
    for words in (["exec", ID, "--help"], ["exec", "-it", ID, "-h", "--", "ls"], ["tenant", "show", "-h"],
                  ["create", "--cpu", "1", "--help"]):
        assert run(*words).stdout.startswith(b"Usage: atoll ")
    assert service.seen == []
    service.answer = lambda _: (404, {})
    run("exec", ID, "--", "ls", "--help", code=4)
    assert service.seen == [f"POST /v1/sandboxes/{ID}/exec"]


def test_a_command_without_its_dashes_says_where_it_belongs(run):
    assert b"ls (a command stands behind --)" in run("exec", ID, "ls", "-l", code=2).stderr


def test_completion_of_a_name_with_blanks(run, tmp_path):
    """Names of files are the shell's to complete: it knows how to write them."""
    script = run("completion", "bash").stdout.decode()
    assert "complete -o default -F _atoll atoll" in script
    done = subprocess.run(
        ["bash", "-c", f"{script}\nCOMP_WORDS=(atoll run 'a'); COMP_CWORD=2; _atoll;"
         ' echo "${#COMPREPLY[@]}"'], stdout=subprocess.PIPE, cwd=tmp_path, check=True)
    assert done.stdout == b"0\n"
