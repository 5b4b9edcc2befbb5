"""POST /v1/sandboxes/{id}/exec: a command whose answer is its end."""

import base64
import http.client
import json
import threading

import pytest

from support.client import assert_problem
from support.processes import Processes, a_sandbox, new_sandbox, output_of
from support.wait import eventually


@pytest.fixture(scope="module")
def box(stack):
    client = stack.client()
    sandbox_id = new_sandbox(client, environment={"GREETING": "hello"})
    yield Processes(client, sandbox_id)
    client.request("DELETE", f"/v1/sandboxes/{sandbox_id}")


def test_output_and_exit_code(box):
    result = box.exec('echo "$GREETING"; echo oops >&2; exit 4')
    assert (result["stdout"], result["stderr"], result["exit_code"]) == ("hello\n", "oops\n", 4)
    assert result["state"] == "failed" and result["signal"] is None
    assert result["timed_out"] is False and result["truncated"] is False
    assert result["stdout_base64"] is None


@pytest.mark.parametrize("name", ["environment", "env"])
def test_variables_by_either_name(box, name):
    assert box.exec('echo "$GREETING $A"', **{name: {"A": "b"}})["stdout"] == "hello b\n"


def test_argv_stays_argv(box):
    hostile = ["/bin/echo", "-n", "$(id)", "; rm -rf /", "`x`", "a\nb", "é"]
    assert box.exec(hostile)["stdout"] == " ".join(hostile[2:])


def test_a_signal_is_not_an_exit_code(box):
    result = box.exec("kill -KILL $$")
    assert (result["state"], result["exit_code"], result["signal"]) == ("killed", None, "SIGKILL")


def test_stdin_in_both_forms(box):
    assert box.exec(["/bin/cat"], stdin="text é")["stdout"] == "text é"
    data = bytes(range(256)) * 100
    result = box.exec(["/bin/cat"], stdin_base64=base64.b64encode(data).decode())
    assert base64.b64decode(result["stdout_base64"]) == data
    problem = assert_problem(box.try_exec("cat", stdin="a", stdin_base64="YQ=="), 400)
    assert problem["field"] == "stdin_base64"


def test_a_time_limit(box):
    for timeout in (0.2, 2, 10, 60):  # which a busy machine may need for the first line
        result = box.exec("echo before; trap '' TERM; sleep 7655", timeout=timeout)
        if result["stdout"]:
            break
    assert result["timed_out"] is True and result["state"] == "killed"
    assert result["stdout"] == "before\n"


def test_a_quick_command_is_recorded(box):
    box.exec("true")  # the sandbox is in use
    result = box.exec(["/bin/sh", "-c", "exit 3"], tag="quick")
    row = box.get(result["id"])
    assert (row["state"], row["exit_code"], row["tag"]) == ("failed", 3, "quick")
    assert row["started_at"] <= row["ended_at"]
    missing = box.try_exec(["/no/such"], tag="missing")
    assert_problem(missing, 422)
    rows = box.client.get(f"{box.path}?tag=missing").json["items"]
    assert [(row["state"], row["exit_code"]) for row in rows] == [("failed", None)]


def test_a_command_that_runs_is_listed(box):
    box.exec("true")  # the sandbox is in use
    done = {}
    thread = threading.Thread(
        target=lambda: done.update(box.exec("until [ -e /tmp/go ]; do sleep 0.1; done; exit 5",
                                            tag="under way")))
    thread.start()
    (row,) = eventually(lambda: box.client.get(f"{box.path}?tag=under%20way").json["items"])
    assert (row["state"], row["exit_code"], row["ended_at"]) == ("running", None, None)
    box.exec("touch /tmp/go")
    thread.join()
    assert (done["id"], done["exit_code"]) == (row["id"], 5)
    after = box.get(row["id"])
    assert (after["state"], after["exit_code"]) == ("failed", 5)
    assert after["started_at"] == row["started_at"]


def test_too_much_output_is_flagged(box):
    result = box.exec("head -c 3000000 /dev/zero | tr '\\0' x")
    assert result["truncated"] is True and len(result["stdout"]) == 1 << 20


def test_it_is_recorded_before_the_answer(box, stack):
    result = box.exec("exit 9", tag="recorded")
    row = stack.postgres.rows(
        f"SELECT state, exit_code, kind FROM processes WHERE id = '{result['id']}'"
    )
    assert row == [{"state": "failed", "exit_code": 9, "kind": "exec"}]
    shown = box.get(result["id"])
    assert shown["kind"] == "exec" and shown["tag"] == "recorded" and shown["exit_code"] == 9
    assert_problem(box.client.get(f"{box.path}/{result['id']}/logs"), 409)


@pytest.mark.parametrize("command", [["/no/such/program"], ["/etc/passwd"]])
def test_what_cannot_be_executed(box, command):
    assert assert_problem(box.try_exec(command), 422, "not_possible")["field"] == "command"


def test_what_cannot_be_executed_is_named(box):
    for body, detail in (
        ({"command": ["no-such-program"]}, "(no-such-program)"),
        ({"command": "true", "cwd": "/no/such"}, "(/no/such)"),
        ({"command": "true", "user": "nobody-here"}, "(nobody-here)"),
    ):
        problem = assert_problem(box.client.post(f"{box.sandbox}/exec", body), 422, "not_possible")
        assert problem["detail"].endswith(detail), problem


FILL = """
import os, time
while True:
    try:
        if os.fork() == 0:
            time.sleep(1000)
    except OSError:
        time.sleep(0.01)
"""


def test_a_sandbox_without_room_for_processes_says_so(stack):
    client = stack.client()
    with a_sandbox(client) as sandbox_id:
        full = Processes(client, sandbox_id)
        full.start(["python3", "-c", FILL])
        refused = eventually(
            lambda: (answer := full.try_exec("true")).status != 200 and answer, 30, "it is full"
        )
        assert "sandbox.max_processes" in assert_problem(refused, 503, "unavailable")["detail"]


def exec_events(box, key=None, **body):
    """The events of an exec as a stream."""
    connection = http.client.HTTPConnection(box.client.host, box.client.port, timeout=40)
    connection.request("POST", f"{box.sandbox}/exec", json.dumps(body).encode(), {
        "Accept": "text/event-stream", "Content-Type": "application/json",
        "Authorization": f"Bearer {box.client.token}",
        **({"Idempotency-Key": key} if key else {}),
    })
    reply = connection.getresponse()
    assert reply.status == 200 and reply.headers["Content-Type"] == "text/event-stream"
    events = []
    for block in reply.read().decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line[0] != ":")
        if fields:
            events.append((fields.get("id"), fields["event"], json.loads(fields["data"])))
    connection.close()
    return events


def test_a_stream_from_status_to_exit(box):
    events = exec_events(box, command="cat; echo err >&2; exit 6", stdin="typed\n")
    assert events[0][1] == "status" and events[0][2]["state"] in ("running", "failed")
    assert events[-1][1] == "exit" and events[-1][2]["exit_code"] == 6
    by_stream = {name: b"".join(output_of(e) for e in events if e[1] == name)
                 for name in ("stdout", "stderr")}
    assert by_stream == {"stdout": b"typed\n", "stderr": b"err\n"}
    assert box.get(events[0][2]["id"])["state"] == "failed"


@pytest.mark.parametrize("accept, media", [
    ("application/json, text/event-stream;q=0", "application/json"),
    ("Text/Event-Stream", "text/event-stream"),
    ("text/*", "text/event-stream"),
    ("*/*", "application/json"),
])
def test_the_form_is_one_that_is_accepted(box, accept, media):
    answer = box.client.post(f"{box.sandbox}/exec", {"command": "true"}, headers={"Accept": accept})
    assert (answer.status, answer.headers["Content-Type"]) == (200, media)


def test_a_cut_stream_can_be_taken_up(box):
    """The reader leaves; the command does not notice, and nothing is missed."""
    made = box.start("i=0; while [ $i -lt 200 ]; do i=$((i+1)); echo $i; sleep 0.005; done")
    with box.follow(made) as stream:
        head = stream.take(3)
        last = stream.last_id
    rest, _, exit_event = box.follow_to_end(made, last_id=last)
    whole = b"".join(output_of(event) for event in head) + rest
    assert whole == b"".join(b"%d\n" % i for i in range(1, 201))
    assert exit_event["state"] == "completed"


def stream_of(box, **fields):
    return box.client.post(f"{box.sandbox}/exec", fields.pop("body"),
                           headers={"Accept": "text/event-stream", **fields})


def test_a_stream_that_is_asked_for_again_runs_nothing_twice(box):
    """Clients that send the whole request again when they were cut off, as they would a GET."""
    again = stream_of(box, body={"command": "touch /tmp/twice", "tag": "twice"},
                      **{"Last-Event-ID": "17"})
    assert assert_problem(again, 400, "invalid_field")["field"] == "Last-Event-ID"
    assert box.client.get(f"{box.path}?tag=twice").json["items"] == []


def test_a_stream_is_the_same_to_a_retry_with_its_key(box):
    """A client that was cut off before it heard the id of what it started."""
    body = {"command": "echo a; sleep 0.3; echo b >&2; exit 3", "stdin": "x", "tag": "retried"}
    first, again = (exec_events(box, key="stream", **body) for _ in range(2))
    assert again[1:] == first[1:] and again[0][2]["id"] == first[0][2]["id"]
    assert [event[1] for event in first] == ["status", "stdout", "stderr", "exit"]
    (row,) = box.client.get(f"{box.path}?tag=retried").json["items"]
    assert row["id"] == first[0][2]["id"]


def test_a_retry_whose_output_is_gone_runs_nothing_twice(box):
    """Its log has made room for those of others."""
    body = {"command": "echo a", "tag": "gone"}
    made = exec_events(box, key="gone", **body)[0][2]["id"]
    for _ in range(600):
        if box.client.get(f"{box.path}/{made}/logs").status == 404:
            break
        box.start("true")
    again = stream_of(box, body=body, **{"Idempotency-Key": "gone"})
    assert f"processes/{made}" in assert_problem(again, 409, "conflict")["detail"]
    assert len(box.client.get(f"{box.path}?tag=gone").json["items"]) == 1


def test_stdin_that_is_not_read_is_never_cut_short(box):
    """More than a pipe holds, which the command would read only after the server's patience."""
    body = {"command": "sleep 100; wc -c", "stdin": "x" * 500_000, "tag": "unread"}
    assert assert_problem(stream_of(box, body=body), 422, "not_possible")["field"] == "stdin"
    (row,) = box.client.get(f"{box.path}?tag=unread").json["items"]
    assert box.wait(row["id"])["signal"] == "SIGKILL"


def test_stdin_of_a_stream_that_closes_it_early(box):
    events = exec_events(box, command="head -c 3", stdin="x" * 500_000)
    assert b"".join(output_of(e) for e in events if e[1] == "stdout") == b"xxx"
    assert events[-1][1] == "exit" and events[-1][2]["state"] == "completed"


def test_a_use_is_noted_at_most_once_a_second(box, stack):
    sandbox_id = box.sandbox.rsplit("/", 1)[1]

    def last_active():
        return stack.postgres.value(f"SELECT last_active_at FROM sandboxes WHERE id = '{sandbox_id}'")

    before = last_active()
    eventually(lambda: box.exec("true") and last_active() != before)


def test_a_key_runs_it_once(box):
    headers = {"Idempotency-Key": "exec-once"}
    body = {"command": "echo x >> /tmp/once; wc -l < /tmp/once"}
    first = box.client.post(f"{box.sandbox}/exec", body, headers=headers)
    again = box.client.post(f"{box.sandbox}/exec", body, headers=headers)
    assert first.status == again.status == 200 and first.body == again.body
    assert first.json["stdout"].strip() == "1"
