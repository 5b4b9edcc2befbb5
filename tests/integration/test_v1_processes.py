"""/v1/sandboxes/{id}/processes: commands that live on, and every byte that they write."""

import concurrent.futures
import http.client
import json
import os
import signal

import pytest

from support.client import assert_problem
from support.processes import Processes, agent_of, new_sandbox, output_of
from support.sse import EventStream
from support.wait import eventually


NUMBERED = "i=0; while [ $i -lt {0} ]; do i=$((i+1)); echo line $i; done"


def numbered(count):
    return b"".join(b"line %d\n" % i for i in range(1, count + 1))


# --- start, list, get, wait


def test_a_process_from_start_to_end(processes, sandbox_id):
    response = processes.try_start("echo out; echo err >&2; exit 3", tag="build")
    assert response.status == 201
    made = response.json
    assert made["sandbox_id"] == sandbox_id and made["kind"] == "process"
    assert made["command"] == ["/bin/sh", "-c", "echo out; echo err >&2; exit 3"]
    assert made["tag"] == "build" and made["pty"] is False and made["stdin"] is False
    ended = processes.wait(made["id"])
    assert (ended["state"], ended["exit_code"], ended["signal"]) == ("failed", 3, None)
    assert ended["ended_at"] >= ended["started_at"] and ended["duration_ms"] >= 0
    assert ended["cpu_us"] > 0 and ended["max_rss_bytes"] > 0
    assert processes.logs(made["id"], "stream=stdout") == b"out\n"
    assert processes.logs(made["id"], "stream=stderr") == b"err\n"
    assert sorted(processes.logs(made["id"]).splitlines()) == [b"err", b"out"]


def test_the_row_is_there_before_the_id_is_told(processes, stack):
    process_id = processes.start("sleep 60")
    row = stack.postgres.rows(f"SELECT state, project_id FROM processes WHERE id = '{process_id}'")
    assert [(r["state"], r["project_id"]) for r in row] == [("running", None)]


@pytest.mark.parametrize("command, state, exit_code, signal_name", [
    ("exit 0", "completed", 0, None),
    ("exit 255", "failed", 255, None),
    ("kill -USR1 $$", "killed", None, "SIGUSR1"),
    (["/bin/false"], "failed", 1, None),
])
def test_ends(processes, command, state, exit_code, signal_name):
    ended = processes.wait(processes.start(command))
    assert (ended["state"], ended["exit_code"], ended["signal"]) == (state, exit_code, signal_name)


def test_a_list_has_all_newest_first(processes):
    running = processes.start("sleep 60", tag="a")
    ended = processes.start("true", tag="b")
    processes.wait(ended)
    items = processes.client.get(processes.path).json["items"]
    assert [(item["id"], item["state"]) for item in items] == [
        (ended, "completed"), (running, "running")
    ]
    assert items[1]["pid"] > 1
    page = processes.client.get(f"{processes.path}?limit=1").json
    rest = processes.client.get(f"{processes.path}?limit=1&cursor={page['next_cursor']}").json
    assert [page["items"][0]["id"], rest["items"][0]["id"]] == [ended, running]
    tagged = processes.client.get(f"{processes.path}?tag=a").json["items"]
    assert [item["id"] for item in tagged] == [running]


def test_what_it_runs_with(processes):
    process_id = processes.start(
        ["/bin/sh", "-c", 'pwd; id -un; echo "$A"'], cwd="/tmp", user="root",
        environment={"A": "b c"},
    )
    assert processes.wait(process_id)["state"] == "completed"
    assert processes.logs(process_id) == b"/tmp\nroot\nb c\n"


@pytest.mark.parametrize("fields, field", [
    ({"command": ""}, "command"), ({"command": []}, "command"), ({"command": 7}, "command"),
    ({"command": "true", "cwd": "tmp"}, "cwd"),
    ({"command": "true", "timeout": -1}, "timeout"), ({"command": "true", "timeout": 1e9}, "timeout"),
    ({"command": "true", "pty": {"rows": 0}}, "pty.rows"),
    ({"command": "true", "environment": {"1": "x"}}, "environment.1"),
    ({"command": "true", "env": {"1": "x"}}, "env.1"),
    ({"command": "true", "environment": {}, "env": {}}, "env"),
    ({"command": "true", "log_lines": 1}, "log_lines"),
    ({"command": "true", "user": "4294967296:0"}, "user"),
    ({"command": "true", "user": "-1:-1"}, "user"), ({"command": "true", "user": "-1"}, "user"),
    ({"command": "true", "user": "0:65536"}, "user"), ({"command": "true", "user": "1000"}, "user"),
    ({"command": "true", "user": "1:"}, "user"), ({"command": "true", "user": "a:b"}, "user"),
])
def test_bad_starts(processes, fields, field):
    problem = assert_problem(processes.client.post(processes.path, fields), 400)
    assert problem["field"] == field


@pytest.mark.parametrize("fields, field", [
    ({"command": ["/no/such/program"]}, "command"),
    ({"command": "true", "cwd": "/no/such"}, "cwd"),
    ({"command": "true", "user": "nobody-here"}, "user"),
])
def test_starts_that_this_sandbox_cannot_do(processes, fields, field):
    problem = assert_problem(processes.client.post(processes.path, fields), 422, "not_possible")
    assert problem["field"] == field


def test_a_stopped_sandbox_takes_no_process(processes, client, sandbox_id):
    done = processes.start("echo kept")
    processes.wait(done)
    live = processes.start("echo before; sleep 60")
    eventually(lambda: processes.logs(live) == b"before\n")
    assert client.post(f"{processes.sandbox}/stop", {"timeout": 0}).status == 200
    assert_problem(processes.try_start("true"), 409)
    assert_problem(processes.try_exec("true"), 409)
    # Its logs are still there, and who was seen by nobody is not said to be done.
    assert processes.logs(done) == b"kept\n"
    eventually(lambda: processes.get(live)["state"] != "running")
    assert processes.get(live)["state"] in ("lost", "killed")
    assert processes.logs(live) == b"before\n"


# --- signals, input, terminals


def test_signals(processes):
    process_id = processes.start("trap 'echo term; exit 7' TERM; echo ready; while :; do sleep 0.01; done")
    eventually(lambda: processes.logs(process_id) == b"ready\n")
    assert processes.signal(process_id, "SIGTERM", target="process").status == 204
    assert processes.wait(process_id)["exit_code"] == 7
    assert processes.logs(process_id) == b"ready\nterm\n"
    assert_problem(processes.signal(process_id, 9), 409)
    for bad in (0, 65, "NO", 1.5, None):
        problem = assert_problem(processes.signal(process_id, bad), 400, "invalid_field")
        assert problem["field"] == "signal"


def test_kill_by_number(processes):
    process_id = processes.start("sleep 60")
    assert processes.signal(process_id, 9).status == 204
    assert processes.wait(process_id)["signal"] == "SIGKILL"


def test_stdin(processes):
    process_id = processes.start(["/bin/cat"], stdin=True)
    data = os.urandom(300_000)
    assert processes.write(process_id, data[:100_000]).status == 204
    assert processes.write(process_id, data[100_000:], close=True).status == 204
    assert processes.wait(process_id)["state"] == "completed"
    assert processes.logs(process_id) == data


def test_input_that_cannot_be_taken_says_why(processes):
    terminal = processes.start("cat", pty={})
    problem = assert_problem(processes.write(terminal, b"x", close=True), 409, "conflict")
    assert "a terminal is not closed" in problem["detail"]
    deaf = processes.start("sleep 60")
    problem = assert_problem(processes.write(deaf, b"x"), 409, "conflict")
    assert "never open" in problem["detail"]
    problem = assert_problem(processes.resize(deaf, 9, 9), 409, "conflict")
    assert "it has no terminal" in problem["detail"]
    processes.signal(deaf, 9)
    processes.wait(deaf)
    problem = assert_problem(processes.signal(deaf, 9), 409, "conflict")
    assert problem["detail"].endswith("it is killed")


def test_a_terminal_and_its_size(processes):
    process_id = processes.start("stty size; read line; stty size", pty={"rows": 33, "cols": 101})
    eventually(lambda: b"33 101" in processes.logs(process_id))
    assert processes.resize(process_id, 50, 120).status == 204
    assert processes.write(process_id, b"\n").status == 204
    assert processes.wait(process_id)["exit_code"] == 0
    assert b"50 120" in processes.logs(process_id)


@pytest.mark.parametrize("fields, kind", [
    ({"pty": {}}, b"xterm-256color"),
    ({"pty": {}, "environment": {"TERM": "vt100", "A": "b"}}, b"vt100"),
    ({"pty": {}, "environment": {"term": "x"}}, b"xterm-256color"),
    ({}, b"none"),
])
def test_a_terminal_has_a_kind(processes, fields, kind):
    """Without one no editor starts."""
    process_id = processes.start("echo ${TERM-none}", **fields)
    processes.wait(process_id)
    assert processes.logs(process_id).strip() == kind


def test_a_time_limit_kills_all_of_it(processes, stack):
    mark = "sleep 7654"
    process_id = processes.start(
        f"trap '' TERM; setsid {mark} & (setsid sh -c '{mark} &' &) ; {mark}", timeout=0.3
    )
    ended = processes.wait(process_id)
    assert ended["timed_out"] is True and ended["state"] == "killed"
    assert processes.exec("ps -ef 2>/dev/null | grep -c '[7]654' || true")["stdout"].strip() == "0"


# --- output


def test_a_hundred_thousand_lines(processes):
    process_id = processes.start(NUMBERED.format(100_000), log_lines=1_000_000)
    out, err, exit_event = processes.follow_to_end(process_id)
    assert out == numbered(100_000) and err == b""
    assert exit_event["state"] == "completed" and exit_event["exit_code"] == 0
    assert processes.logs(process_id) == out
    assert processes.logs(process_id, "tail=3") == b"line 99998\nline 99999\nline 100000\n"


def test_binary_output_and_a_long_line(processes):
    process_id = processes.start("head -c 1000000 /dev/urandom | tee /tmp/copy; head -c 1000000 "
                                 "/dev/zero | tr '\\0' x")
    out, _, _ = processes.follow_to_end(process_id)
    assert len(out) == 2_000_000 and out[1_000_000:] == b"x" * 1_000_000
    assert processes.logs(process_id) == out


def test_lines_of_json(processes):
    process_id = processes.start("echo a; printf '\\377'>&2")
    processes.wait(process_id)
    lines = [json.loads(line) for line in
             processes.logs(process_id, accept="application/x-ndjson").splitlines()]
    assert {line["event"] for line in lines} == {"stdout", "stderr", "exit"}
    by_event = {line["event"]: line for line in lines}
    assert by_event["stdout"]["data"] == "a\n" and by_event["stdout"]["at"].endswith("Z")
    assert by_event["stderr"]["data_base64"] == "/w=="


def test_a_log_that_is_too_long_says_so(processes):
    process_id = processes.start(NUMBERED.format(1000), log_lines=100)
    assert processes.wait(process_id)["truncated"] is True
    lines = processes.logs(process_id).splitlines()
    assert 50 <= len(lines) <= 100 and lines[-1] == b"line 1000"
    with processes.follow(process_id) as stream:
        first = stream.take(1)[0]
        assert first[2]["gap"] == first[2]["offset"] > 0


def test_since_and_resume(processes):
    process_id = processes.start(NUMBERED.format(20_000), log_lines=1_000_000)
    whole = numbered(20_000)
    assert processes.wait(process_id)["state"] == "completed"
    assert processes.logs(process_id, "since=100") == whole[100:]
    seen, last = b"", None
    for _ in range(3):
        with processes.follow(process_id, last_id=last) as stream:
            seen += b"".join(output_of(event) for event in stream.take(2))
            last = stream.last_id
    rest, _, _ = processes.follow_to_end(process_id, last_id=last)
    assert seen + rest == whole


def test_many_readers(processes):
    process_id = processes.start(NUMBERED.format(5000), log_lines=1_000_000)
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        results = list(pool.map(lambda _: processes.follow_to_end(process_id), range(20)))
    assert {out for out, _, _ in results} == {numbered(5000)}


# --- the main command


def test_the_main_command_is_read_as_a_process_is(stack, client):
    made = new_sandbox(client, command="echo one; until rm go; do sleep 0.01; done 2>&-;"
                                       " echo two >&2; exit 7")
    logs = f"/v1/sandboxes/{made}/logs"
    with EventStream(client, f"{logs}?follow=true") as stream:
        assert output_of(stream.take(1)[0]) == b"one\n"
        assert client.get(f"{logs}?stream=stderr").body == b""
        assert client.post(f"/v1/sandboxes/{made}/exec", {"command": "touch go"}).status == 200
        assert [(event[1], output_of(event)) for event in stream.take(1)] == [("stderr", b"two\n")]
        last = stream.last_id
    eventually(lambda: client.get(f"/v1/sandboxes/{made}").json["state"] == "stopped")
    stack.server.restart()
    client = stack.client()
    assert client.get(logs).body == b"one\ntwo\n"
    with EventStream(client, f"{logs}?follow=true", last_id=last) as stream:
        _, name, data = stream.take(1)[0]
    assert name == "exit"
    assert (data["id"], data["state"], data["exit_code"]) == (made, "failed", 7)
    assert client.post(f"/v1/sandboxes/{made}/start", {}).status == 200
    eventually(lambda: client.get(logs).body == b"one\n")
    assert client.request("DELETE", f"/v1/sandboxes/{made}").status == 204


@pytest.fixture
def waiting_main(client):
    """A sandbox whose main command, having said so, waits for a file `go` to end as it is told."""
    def make(end):
        made = new_sandbox(
            client, command=f"echo ready; until rm go; do sleep 0.01; done 2>&-; {end}"
        )
        boxes.append(made)
        return made

    boxes = []
    yield make
    for made in boxes:
        client.request("DELETE", f"/v1/sandboxes/{made}")


def exit_of(stream):
    """The exit with which the stream ends."""
    events = list(stream)
    assert [name for _, name, _ in events] == ["exit"]
    return events[0][2]


@pytest.mark.parametrize("end, state, exit_code, number", [
    ("exit 7", "failed", 7, None), ("exit 0", "completed", 0, None),
    ("kill -9 $$", "killed", None, 9),
])
def test_who_follows_the_main_command_is_told_its_recorded_exit(
        client, waiting_main, end, state, exit_code, number):
    made = waiting_main(end)
    with EventStream(client, f"/v1/sandboxes/{made}/logs?follow=true") as stream:
        assert output_of(stream.take(1)[0]) == b"ready\n"
        assert client.post(f"/v1/sandboxes/{made}/exec", {"command": "touch go"}).status == 200
        told = exit_of(stream)
    shown = client.get(f"/v1/sandboxes/{made}").json
    assert (shown["state"], shown["exit_code"], shown["exit_signal"]) == (
        "stopped", exit_code, number)
    name = number and signal.Signals(number).name
    assert (told["id"], told["state"], told["exit_code"], told["signal"]) == (
        made, state, exit_code, name)


def test_an_exit_of_the_main_command_waits_for_its_record(stack, client, waiting_main):
    made = waiting_main("exit 7")
    stack.worker.stop()
    try:
        with EventStream(client, f"/v1/sandboxes/{made}/logs?follow=true") as stream:
            assert output_of(stream.take(1)[0]) == b"ready\n"
            processes = Processes(client, made)
            processes.exec("touch go")
            eventually(lambda: processes.exec("test ! -e go")["exit_code"] == 0, what="it ends")
            assert client.get(f"/v1/sandboxes/{made}").json["state"] == "running"
            stack.worker.start()
            assert exit_of(stream)["exit_code"] == 7
    finally:
        stack.worker.restart()
    assert client.get(f"/v1/sandboxes/{made}").json["exit_code"] == 7


def test_a_stop_ends_who_follows_the_main_command_with_the_truth(client, waiting_main):
    made = waiting_main("exit 7")
    with EventStream(client, f"/v1/sandboxes/{made}/logs?follow=true") as stream:
        assert output_of(stream.take(1)[0]) == b"ready\n"
        assert client.post(f"/v1/sandboxes/{made}/stop", {"timeout": 0}).status == 200
        told = exit_of(stream)
    assert (told["state"], told["signal"]) == ("killed", "SIGKILL")


def test_a_main_command_whose_agent_was_killed_is_lost(stack, client, waiting_main):
    made = waiting_main("exit 7")
    logs = f"/v1/sandboxes/{made}/logs?follow=true"
    with EventStream(client, logs) as stream:
        assert output_of(stream.take(1)[0]) == b"ready\n"
        os.kill(agent_of(stack, made), signal.SIGKILL)
        try:
            assert [name for _, name, _ in stream] == []  # what is cut has no end
        except (http.client.IncompleteRead, ConnectionError):
            pass
        last = stream.last_id
    eventually(lambda: client.get(f"/v1/sandboxes/{made}").json["state"] == "stopped", 60)
    with EventStream(client, logs, last_id=last) as stream:
        told = exit_of(stream)
    assert (told["state"], told["exit_code"], told["signal"]) == ("lost", None, None)


def test_logs_without_a_main_command(client, sandbox_id):
    for accept in "text/plain", "text/event-stream":
        response = client.get(f"/v1/sandboxes/{sandbox_id}/logs", headers={"Accept": accept})
        assert_problem(response, 404, "not_found")


# --- what ends, and what does not


SLOW = ("i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo line $i;"
        " [ $((i % 25)) -ne 0 ] || sleep 0.5; done")


def test_a_server_that_is_killed_loses_no_line(stack, processes, sandbox_id):
    ids = [processes.start(SLOW) for _ in range(100)]
    streams = [processes.follow(process_id) for process_id in ids]
    heads = [[stream.take(5), stream.last_id] for stream in streams]
    stack.server.kill()
    for stream in streams:
        stream.close()
    stack.server.start()
    again = Processes(stack.client(), sandbox_id)
    for process_id, (events, last) in zip(ids, heads):
        rest, _, exit_event = again.follow_to_end(process_id, last_id=last)
        assert b"".join(output_of(event) for event in events) + rest == numbered(300)
        assert exit_event["exit_code"] == 0
        assert again.get(process_id)["state"] == "completed"


def test_a_killed_agent_is_lost_never_completed(stack, processes, sandbox_id):
    process_id = processes.start("echo before; sleep 60")
    eventually(lambda: processes.logs(process_id) == b"before\n")
    os.kill(agent_of(stack, sandbox_id), signal.SIGKILL)
    state = eventually(
        lambda: (s := processes.get(process_id)["state"]) != "running" and s, 60
    )
    assert state == "lost"
    assert processes.logs(process_id) == b"before\n"


def test_an_end_is_recorded_without_anybody_who_looks(processes, stack):
    process_id = processes.start("exit 5")
    eventually(lambda: stack.postgres.rows(
        f"SELECT exit_code FROM processes WHERE id = '{process_id}' AND state = 'failed'"
    ) == [{"exit_code": 5}])


def test_more_processes_than_the_table_holds(processes):
    for _ in range(300):
        last = processes.start("true")
    assert processes.wait(last)["state"] == "completed"


def test_starts_and_ends_are_events(processes, client, sandbox_id):
    good = processes.start("exit 4", tag="build")
    processes.wait(good)
    killed = processes.start("sleep 60")
    processes.signal(killed, "KILL")
    processes.wait(killed)
    processes.exec("true")
    items = client.get(f"/v1/events?kind=process.&sandbox_id={sandbox_id}").json["items"]
    told = [(e["kind"], e["detail"]["process_id"], e["from_state"], e["to_state"]) for e in items]
    assert sorted(told) == sorted([
        ("process.started", good, None, "running"), ("process.ended", good, "running", "failed"),
        ("process.started", killed, None, "running"), ("process.ended", killed, "running", "killed"),
    ])
    by_key = {(e["kind"], e["detail"]["process_id"]): e for e in items}
    assert by_key["process.ended", good]["detail"] == {
        "process_id": good, "tag": "build", "exit_code": 4, "signal": None, "timed_out": False}
    assert by_key["process.ended", killed]["detail"]["signal"] == signal.SIGKILL
    assert by_key["process.started", good]["actor"] and by_key["process.started", good]["request_id"]


def test_who_waits_leaves_others_their_threads(processes, other):
    process_id = processes.start("until [ -e go ]; do sleep 0.05; done")

    def wait(_):
        return processes.client.get(f"{processes.path}/{process_id}/wait?timeout=30")

    with concurrent.futures.ThreadPoolExecutor(200) as pool:
        waits = [pool.submit(wait, i) for i in range(200)]
        eventually(lambda: any(w.done() for w in waits), what="no more may wait")
        assert other.get("/v1/sandboxes").status == 200
        go = f"{processes.sandbox}/files/content?path=go"  # an exec would wait for a place, too
        octets = {"Content-Type": "application/octet-stream"}
        assert processes.client.request("PUT", go, b"", headers=octets).status == 200
        while not all(w.done() for w in waits):
            assert other.get("/v1/sandboxes").status == 200
        answers = [w.result() for w in waits]
    assert {a.status for a in answers} == {200, 429}
    assert {a.json["state"] for a in answers if a.status == 200} == {"completed"}
    assert all(a.headers["Retry-After"] for a in answers if a.status == 429)


def test_other_tenants_see_nothing(processes, other, sandbox_id):
    process_id = processes.start("sleep 60")
    foreign = Processes(other, sandbox_id)
    for response in (
        foreign.try_start("true"), foreign.try_exec("true"), other.get(foreign.path),
        other.get(f"{foreign.path}/{process_id}"), other.get(f"{foreign.path}/{process_id}/logs"),
        foreign.signal(process_id, 9), foreign.write(process_id, b"x"),
        foreign.resize(process_id, 1, 1), other.get(f"{foreign.path}/{process_id}/wait"),
    ):
        assert_problem(response, 404)
    assert processes.get(process_id)["state"] == "running"
