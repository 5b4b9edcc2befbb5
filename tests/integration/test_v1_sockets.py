"""Exec and attach over WebSockets: bytes both ways, sizes and signals, and ends that are none."""

import concurrent.futures
import json
import os
import signal

import pytest

from support.processes import Processes, agent_of
from support.wait import eventually
from support.websocket import (
    BINARY, CLOSE, PING, PONG, TEXT, Refused, WebSocket, attach, exec_path, frame, run,
)


# --- exec


def test_a_command_from_start_to_end(processes):
    with run(processes, command="echo out; echo err >&2; exit 3") as ws:
        status = ws.read_message()
        assert status["type"] == "status"
        out, err, exit_message = ws.read_to_end()
        assert (out, err) == (b"out\n", b"err\n")
        assert (exit_message["state"], exit_message["exit_code"]) == ("failed", 3)
        assert exit_message["id"] == status["id"]
        assert ws.code == 1000
    assert processes.get(status["id"])["exit_code"] == 3


def test_what_it_runs_with(processes):
    with run(processes, arguments=json.dumps(["/bin/sh", "-c", 'pwd; id -un; echo "$A"']),
             environment=json.dumps({"A": "b c"}), cwd="/tmp", user="root") as ws:
        assert ws.read_to_end()[0] == b"/tmp\nroot\nb c\n"


def test_bytes_go_in_and_come_out_as_they_are(processes):
    data = os.urandom(3_000_000)
    with run(processes, command="cat") as ws, concurrent.futures.ThreadPoolExecutor(1) as pool:
        whole = pool.submit(ws.read_to_end)
        ws.send_bytes(data)
        ws.send_json(type="close_stdin")
        out, err, exit_message = whole.result()
    assert out == data and err == b"" and exit_message["state"] == "completed"


def test_a_terminal_and_its_size(processes):
    with run(processes, command="stty size; read x; stty size; read x; tty",
             pty="true", rows=33, cols=101) as ws:
        ws.read_until(b"33 101")
        ws.send_json(type="resize", rows=50, cols=120)
        ws.send_bytes(b"\n")
        ws.read_until(b"50 120")
        ws.send_bytes(b"\n")
        out, _, exit_message = ws.read_to_end()
        assert b"/dev/pts/" in out and exit_message["exit_code"] == 0


def test_signals(processes):
    with run(processes, command="trap 'echo term; exit 7' TERM; echo ready; "
                                "while :; do sleep 0.01; done") as ws:
        ws.read_until(b"ready")
        ws.send_json(type="signal", signal="TERM", target="process")
        out, _, exit_message = ws.read_to_end()
        assert b"term" in out and exit_message["exit_code"] == 7


def test_what_comes_behind_a_command_that_fails(processes):
    """It is done at once: not one a heartbeat of the server, which looks at the socket then."""
    with run(processes, command="exec sleep 3600") as ws:
        ws.read_message()
        resize = frame(TEXT, b'{"type":"resize","rows":1,"cols":1}')
        ws.socket.sendall(resize * 4 + frame(TEXT, b'{"type":"signal","signal":"KILL"}'))
        kinds = []
        for opcode, payload in iter(ws.read_frame, None):
            kinds.append("ping" if opcode == PING else json.loads(payload)["type"])
            if kinds[-1] == "exit":
                break
    assert [kind for kind in kinds if kind != "ping"] == ["error"] * 4 + ["exit"]
    assert kinds.count("ping") <= 1


@pytest.mark.parametrize("message, code, field", [
    (b"{", "bad_request", None),
    (b"[]", "invalid_field", "body"),
    (b"{}", "missing_field", "type"),
    (b'{"type":"fly"}', "invalid_field", "type"),
    (b'{"type":"resize","rows":1}', "missing_field", "cols"),
    (b'{"type":"resize","rows":0,"cols":1}', "invalid_field", "rows"),
    (b'{"type":"signal","signal":"NO"}', "invalid_field", "signal"),
    (b'{"type":"signal"}', "missing_field", "signal"),
    (b'{"type":"resize","rows":1,"cols":1}', None, None),
])
def test_a_message_that_is_refused_ends_nothing(processes, message, code, field):
    with run(processes, command="cat") as ws:
        ws.read_message()
        ws.send_frame(TEXT, message)
        refusal = ws.read_message()
        assert refusal["type"] == "error" and refusal["detail"]
        assert code is None or (refusal["code"], refusal.get("field")) == (code, field)
        ws.send_bytes(b"on")
        assert ws.read_until(b"on") == b"on"


def test_who_reads_nothing_is_told_so(processes):
    with run(processes, command="read x; sleep 60", stdin="false") as ws:
        ws.read_message()
        ws.send_bytes(b"lost")
        assert ws.read_message()["code"] == "conflict"


# --- attach


def test_readers_come_and_go(processes):
    process_id = processes.start("echo begin; cat", stdin=True)
    with attach(processes, process_id) as first:
        assert first.read_until(b"begin\n") == b"begin\n"
        with attach(processes, process_id, "since=3") as second:
            assert second.read_until(b"in\n") == b"in\n"
            first.send_bytes(b"from the first\n")
            assert second.read_until(b"first\n") == b"from the first\n"
            second.send_json(type="close_stdin")
            assert first.read_to_end()[2]["state"] == "completed"
            assert second.read_to_end()[2]["state"] == "completed"
    # The log says the same after the end.
    with attach(processes, process_id, "tail=1") as late:
        assert late.read_message()["state"] == "completed"
        out, _, exit_message = late.read_to_end()
        assert out == b"from the first\n" and exit_message["exit_code"] == 0 and late.code == 1000


def test_a_client_that_leaves_ends_nothing(processes):
    with run(processes, command="echo one; read x; echo $x", pty="true") as ws:
        process_id = ws.read_message()["id"]
        ws.read_until(b"one")
    assert processes.get(process_id)["state"] == "running"
    with attach(processes, process_id) as ws:
        ws.read_until(b"one")
        ws.send_bytes(b"two\n")
        assert ws.read_to_end()[2]["exit_code"] == 0


def test_many_readers_miss_nothing(processes):
    process_id = processes.start("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo line $i; done",
                                 log_lines=1_000_000)

    def read(_):
        with attach(processes, process_id) as ws:
            return ws.read_to_end()

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        results = list(pool.map(read, range(20)))
    whole = b"".join(b"line %d\n" % i for i in range(1, 20001))
    assert {out for out, _, _ in results} == {whole}
    assert {end["state"] for _, _, end in results} == {"completed"}


def test_a_killed_agent_is_no_end(stack, processes, sandbox_id):
    process_id = processes.start("echo before; sleep 60")
    with attach(processes, process_id) as ws:
        ws.read_until(b"before\n")
        os.kill(agent_of(stack, sandbox_id), signal.SIGKILL)
        assert ws.read_to_end()[2] is None
        assert ws.code == 1011
    assert eventually(
        lambda: (s := processes.get(process_id)["state"]) != "running" and s, 60) == "lost"


def test_a_killed_server_is_no_end(stack, processes, sandbox_id):
    process_id = processes.start("echo before; until [ -e /tmp/go ]; do sleep 0.05; done; echo after")
    with attach(processes, process_id) as ws:
        seen = ws.read_until(b"before\n")
        stack.server.kill()
        assert ws.read_message() is None and ws.code is None
    stack.server.start()
    again = Processes(stack.client(), sandbox_id)
    again.exec("touch /tmp/go")
    with attach(again, process_id, f"since={len(seen)}") as ws:
        out, _, exit_message = ws.read_to_end()
        assert out == b"after\n" and exit_message["exit_code"] == 0


# --- who may


@pytest.mark.parametrize("protocols, chosen", [
    (["atoll.v1", "bearer.{token}"], "atoll.v1"), (["bearer.{token}"], None),
])
def test_a_browser_sends_its_token_as_a_subprotocol(processes, client, protocols, chosen):
    offered = [word.format(token=client.token) for word in protocols]
    with WebSocket(client, exec_path(processes, command="true"), authorize=False,
                   protocols=offered) as ws:
        assert ws.headers.get("sec-websocket-protocol") == chosen
        assert ws.read_to_end()[2]["state"] == "completed"


@pytest.mark.parametrize("protocols", [None, ["atoll.v1"], ["bearer."], ["bearer.x"]])
def test_without_a_token(processes, client, protocols):
    with pytest.raises(Refused) as refused:
        WebSocket(client, exec_path(processes, command="true"), authorize=False,
                  protocols=protocols)
    assert refused.value.status == 401


def test_two_tokens_are_one_too_many(processes, client):
    with pytest.raises(Refused) as refused:
        WebSocket(client, exec_path(processes, command="true"),
                  protocols=[f"bearer.{client.token}"])
    assert refused.value.status == 401


def test_a_token_in_a_subprotocol_is_for_websockets_alone(client):
    headers = {"Authorization": "", "Sec-WebSocket-Protocol": f"bearer.{client.token}"}
    assert client.get("/v1/sandboxes", headers=headers).status == 401


def test_a_foreign_page_may_not(processes):
    with pytest.raises(Refused) as refused:
        WebSocket(processes.client, exec_path(processes, command="true"),
                  headers={"Origin": "https://evil.example"})
    assert refused.value.status == 403


def test_other_tenants_see_nothing(processes, other, sandbox_id):
    process_id = processes.start("sleep 60")
    foreign = Processes(other, sandbox_id)
    for path in (exec_path(foreign, command="true"), f"{foreign.path}/{process_id}/attach"):
        with pytest.raises(Refused) as refused:
            WebSocket(other, path)
        assert refused.value.status == 404


@pytest.mark.parametrize("headers, status", [
    ({"Upgrade": None}, 426), ({"Connection": "keep-alive"}, 426),
    ({"Sec-WebSocket-Version": "12"}, 426), ({"Sec-WebSocket-Version": None}, 426),
    ({"Sec-WebSocket-Key": "short"}, 400), ({"Sec-WebSocket-Key": None}, 400),
    ({"Content-Length": "3"}, 400), ({"Upgrade": "other"}, 501),
])
def test_bad_handshakes(processes, headers, status):
    with pytest.raises(Refused) as refused:
        WebSocket(processes.client, exec_path(processes, command="true"), headers=headers)
    assert refused.value.status == status
    if status == 426:
        assert refused.value.headers["upgrade"] == "websocket"
        assert refused.value.json["code"] == "upgrade_required"


@pytest.mark.parametrize("query, status, field", [
    ({}, 400, "command"), ({"command": "true", "arguments": "[]"}, 400, "arguments"),
    ({"arguments": "{"}, 400, "arguments"), ({"command": "true", "cwd": "x"}, 400, "cwd"),
    ({"command": "true", "environment": "[]"}, 400, "environment"),
    ({"command": "true", "rows": "0"}, 400, "rows"), ({"command": "true", "x": "0"}, 400, "query"),
    ({"arguments": '["/no/such"]'}, 422, "command"),
])
def test_bad_commands(processes, query, status, field):
    with pytest.raises(Refused) as refused:
        run(processes, **query)
    assert refused.value.status == status and refused.value.json["field"] == field


# --- the protocol


@pytest.mark.parametrize("send, code", [
    (lambda ws: ws.send_frame(BINARY, b"x", mask=False), 1002),
    (lambda ws: ws.send_frame(BINARY, b"x", rsv=4), 1002),
    (lambda ws: ws.send_frame(3, b"x"), 1002),
    (lambda ws: ws.send_frame(PING, b"x" * 126), 1002),
    (lambda ws: ws.send_frame(0, b"x"), 1002),
    (lambda ws: ws.send_frame(TEXT, b"\xff\xfe"), 1007),
    (lambda ws: ws.send_frame(TEXT, b"x" * 4097), 1009),
    (lambda ws: ws.send_frame(CLOSE, (1000).to_bytes(2, "big")), 1000),
])
def test_closes(processes, send, code):
    with run(processes, command="cat") as ws:
        process_id = ws.read_message()["id"]
        send(ws)
        assert ws.read_to_end()[2] is None
        assert ws.code == code or (code == 1002 and ws.code == 0)  # an empty close
    assert processes.get(process_id)["state"] == "running"


def test_messages_in_pieces_and_pings_between(processes):
    with run(processes, command="cat") as ws:
        ws.read_message()
        ws.send_frame(BINARY, b"one ", fin=False)
        ws.send_frame(PING, b"there?")
        ws.send_frame(0, b"two", fin=True)
        ws.send_json(type="close_stdin")
        frames = []
        while (read := ws.read_frame()) and read[0] != CLOSE:
            frames.append(read)
        assert (PONG, b"there?") in frames
    with run(processes, command="cat") as ws:
        ws.read_message()
        text = json.dumps({"type": "close_stdin"}).encode()
        ws.send_frame(TEXT, text[:5], fin=False)
        ws.send_frame(0, text[5:])
        assert ws.read_to_end()[2]["state"] == "completed"


def test_input_that_nobody_reads_waits_with_the_client(processes):
    """More than fits on the way stays with the client, and none of it is lost."""
    size = 8_000_000
    with run(processes, command="sleep 0.5; wc -c") as ws:
        ws.send_bytes(b"x" * size)
        ws.send_json(type="close_stdin")
        assert ws.read_to_end()[0].strip() == str(size).encode()


def test_a_ping_asks_whether_the_client_is_there(processes):
    with run(processes, command="sleep 60") as ws:
        ws.read_message()
        assert ws.read_frame() == (PING, b"")
