"""The server keeps an agent's connection for the next command: nobody may notice."""

import concurrent.futures
import os
import signal

import pytest

from support.client import assert_problem
from support.processes import Processes, agent_of
from support.wait import eventually

COMMANDS = 8  # as many connections are kept of a sandbox
BYTES = {"Content-Type": "application/octet-stream"}


@pytest.fixture
def box(client, sandbox_id):
    return Processes(client, sandbox_id)


def sockets_of(pid):
    """The sockets of a process, by their inodes."""
    folder = f"/proc/{pid}/fd"
    targets = {os.readlink(f"{folder}/{fd}") for fd in os.listdir(folder)}
    return {target for target in targets if target.startswith("socket:")}


def keep_one(box, agent):
    """Returns the connection on which the agent's last command came, which is kept."""
    def after():
        box.exec("true")
        return sockets_of(agent) - idle

    idle = eventually(lambda: len(sockets_of(agent)) == 1 and sockets_of(agent))
    (connection,) = eventually(after)
    return connection


def test_the_next_command_comes_on_the_same_connection(box, stack, sandbox_id):
    agent = agent_of(stack, sandbox_id)

    def again():
        before = keep_one(box, agent)
        box.exec("true")
        return before in sockets_of(agent)

    eventually(again)


def test_nothing_of_a_command_reaches_the_next(box):
    for turn in range(3):
        first = box.exec("id -un; pwd; echo $ONLY; cat; exit 3", user="root", cwd="/tmp",
                         environment={"ONLY": f"first{turn}"}, stdin=f"in{turn}\n")
        assert first["stdout"] == f"root\n/tmp\nfirst{turn}\nin{turn}\n" and first["exit_code"] == 3
        second = box.exec("id -un; pwd; echo ${ONLY-none}; cat; echo err >&2")
        assert second["stdout"] == "user\n/sandbox\nnone\n" and second["stderr"] == "err\n"
        assert (second["exit_code"], second["truncated"]) == (0, False)


def test_input_that_nobody_read_is_not_the_next_ones(box):
    for _ in range(3):
        box.exec("exit 0", stdin="x" * 300_000)
        assert box.exec("cat; echo done")["stdout"] == "done\n"


def test_after_a_command_that_failed_comes_the_next(box):
    for field, bad in (("command", {"command": ["/no/such/program"]}),
                       ("cwd", {"command": "true", "cwd": "/no/such"}),
                       ("user", {"command": "true", "user": "nobody-here"})):
        assert assert_problem(box.try_exec(**bad), 422)["field"] == field
        assert box.exec("echo fine")["stdout"] == "fine\n"
    assert box.exec("sleep 1000", timeout=0.1)["timed_out"] is True
    assert box.exec("echo fine")["stdout"] == "fine\n"
    assert box.exec("head -c 3000000 /dev/zero")["truncated"] is True
    assert box.exec("echo fine")["stdout"] == "fine\n"


def test_what_a_command_left_running_outlives_the_connection(box, stack, sandbox_id):
    agent = agent_of(stack, sandbox_id)
    pid = int(box.exec("sleep 1000 >/dev/null 2>&1 & echo $!")["stdout"])
    eventually(lambda: len(sockets_of(agent)) == 1)
    assert box.exec(["kill", "-0", str(pid)])["exit_code"] == 0


def test_files_and_commands_take_turns(box):
    files = f"{box.sandbox}/files"
    content = bytes(range(256)) * 2000
    for turn in range(3):
        path = f"{files}/content?path=/tmp/f{turn}"
        assert box.client.request("PUT", path, content, headers=BYTES).status == 200
        assert box.exec(f"wc -c < /tmp/f{turn}")["stdout"].strip() == str(len(content))
        part = box.client.get(path, headers={"Range": "bytes=5-9"})
        assert (part.status, part.body) == (206, content[5:10])
        assert box.exec("echo between")["stdout"] == "between\n"
        assert box.client.get(path).body == content
        assert_problem(box.client.get(f"{files}/content?path=/tmp/none"), 404)
        assert_problem(box.client.request("PUT", f"{files}/content?path=/proc/x", content,
                                          headers=BYTES), 404)
        assert box.exec("echo after")["stdout"] == "after\n"


def test_many_at_once_are_not_mixed_up(box, stack, sandbox_id):
    agent = agent_of(stack, sandbox_id)
    with concurrent.futures.ThreadPoolExecutor(2 * COMMANDS) as pool:
        results = list(pool.map(lambda i: box.exec(f"echo {i}; exit {i % 7}"), range(100)))
    assert [(result["stdout"], result["exit_code"]) for result in results] == [
        (f"{i}\n", i % 7) for i in range(100)]
    eventually(lambda: len(sockets_of(agent)) == 1, what="idle connections are closed")


def test_a_restart_is_another_agent(box):
    for _ in range(2):
        box.exec("touch /dev/shm/mark")
        assert box.client.post(f"{box.sandbox}/stop", {}).status == 200
        assert_problem(box.try_exec("true"), 409)
        assert box.client.post(f"{box.sandbox}/start", {}).status == 200
        assert box.exec("test -e /dev/shm/mark")["exit_code"] == 1


def test_a_pause_keeps_what_it_keeps(box):
    for _ in range(2):
        box.exec("true")
        assert box.client.post(f"{box.sandbox}/pause", {}).status == 200
        assert_problem(box.try_exec("true"), 409)
        assert box.client.post(f"{box.sandbox}/resume", {}).status == 200
        assert box.exec("echo back")["stdout"] == "back\n"


def test_an_agent_that_is_gone_is_told_as_before(box, stack, sandbox_id):
    agent = agent_of(stack, sandbox_id)
    stack.worker.stop()  # or it may find the sandbox ended before the command does
    try:
        keep_one(box, agent)
        os.kill(agent, signal.SIGKILL)
        assert_problem(box.try_exec("true", tag="late"), 503, "unavailable")
        (row,) = box.client.get(f"{box.path}?tag=late").json["items"]
        assert row["state"] == "lost"
    finally:
        stack.worker.start()
