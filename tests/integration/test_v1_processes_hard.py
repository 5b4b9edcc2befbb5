"""Processes at their limits: output and input of 100 MB, slow readers, full-screen programs."""

import concurrent.futures
import hashlib
import time
from pathlib import Path

from support.websocket import attach, run

MEGABYTE = 1024 * 1024


def memory_of(stack):
    """Of the server, in bytes."""
    return stack.server.resident_kib() * 1024


def test_a_hundred_megabytes_of_output(processes, stack):
    process_id = processes.start(
        ["awk", 'BEGIN { for (i = 0; i < 1600000; i++) printf "%063d.", i }'],
        log_bytes=256 * MEGABYTE,
    )
    assert processes.wait(process_id)["truncated"] is False
    expected = hashlib.sha256()
    for i in range(1600000):
        expected.update(b"%063d." % i)
    before = memory_of(stack)
    seen = hashlib.sha256()
    with attach(processes, process_id) as ws:
        for message in ws.messages():
            if isinstance(message, tuple):
                seen.update(message[2])
    assert ws.code == 1000 and seen.digest() == expected.digest()
    assert memory_of(stack) - before < 8 * MEGABYTE


def test_a_hundred_megabytes_of_input(processes, stack):
    piece = bytes(range(256)) * 4096
    expected = hashlib.sha256()
    with run(processes, command="sha256sum") as ws:
        before = memory_of(stack)
        for _ in range(100):
            expected.update(piece)
            ws.send_bytes(piece)
        ws.send_json(type="close_stdin")
        assert memory_of(stack) - before < 8 * MEGABYTE
        out, _, exit_message = ws.read_to_end()
    assert out.split()[0].decode() == expected.hexdigest()
    assert exit_message["state"] == "completed"


def test_a_flood_into_a_slow_reader(processes, stack, other):
    """The log is truncated with a flag, memory is bounded, and nobody else waits."""
    process_id = processes.start("yes", timeout=10, log_bytes=MEGABYTE)
    with attach(processes, process_id) as ws:
        ws.read_until(b"y\n")
        before = memory_of(stack)
        while (now := processes.get(process_id))["state"] == "running":
            assert other.get("/v1/sandboxes").status == 200
            assert memory_of(stack) - before < 8 * MEGABYTE
            time.sleep(0.1)
        assert now["timed_out"] is True and now["truncated"] is True
        end, gaps, exit_message = 0, 0, None
        for message in ws.messages():
            if isinstance(message, tuple):
                gaps += message[1] > end > 0
                end = message[1] + len(message[2])
            elif message["type"] == "exit":
                exit_message = message
    assert gaps > 0 and end == now["log_end"]
    assert exit_message["truncated"] is True and exit_message["state"] == "killed"


def test_a_reader_costs_little(processes, stack):
    process_id = processes.start("i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo line $i; done; cat",
                                 stdin=True)

    def open_one(_):
        ws = attach(processes, process_id)
        ws.read_until(b"line 2000\n")
        return ws

    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        first = list(pool.map(open_one, range(10)))
        before = memory_of(stack)
        sockets = list(pool.map(open_one, range(100)))
    each = (memory_of(stack) - before) / len(sockets)
    for ws in first + sockets:
        ws.close()
    assert each < 64 * 1024


def test_a_full_screen_program(processes):
    """top draws itself for the size it is told, and takes keys. What it hears of while it draws it
    minds the next time, a second later."""
    with run(processes, arguments='["top", "-d", "1"]', pty="true", rows=24, cols=80,
             environment='{"TERM":"xterm"}') as ws:
        ws.read_until(b"PID")
        ws.send_json(type="resize", rows=30, cols=132)
        ws.read_until(b"COMMAND" + b" " * 40)  # the head of the table is as wide as the screen
        ws.send_bytes(b"q")
        assert ws.read_to_end()[2]["exit_code"] == 0


def test_an_editor(processes):
    """vim, which the base image lacks but has the libraries of: a text is typed, and saved."""
    content = f"{processes.sandbox}/files/content"
    assert processes.client.request(
        "PUT", f"{content}?path=vim&mode=0755", Path("/usr/bin/vim.tiny").read_bytes(),
        headers={"Content-Type": "application/octet-stream"}).status == 200
    with run(processes, arguments='["./vim", "-u", "NONE", "note"]', pty="true", rows=24, cols=80,
             environment='{"TERM":"xterm"}') as ws:
        ws.read_until(b'"note" [New File]')
        ws.send_json(type="resize", rows=40, cols=100)
        ws.read_until(b"\x1b[39;1H")  # drawn anew: a key before that may be drawn over
        ws.send_bytes(b":set lines?\r")
        ws.read_until(b"lines=40")
        ws.send_bytes("ihällo\rworld\x1b".encode())
        ws.send_bytes(b":wq\r")
        assert ws.read_to_end()[2]["exit_code"] == 0
    assert processes.client.get(f"{content}?path=note").body.decode() == "hällo\nworld\n"
