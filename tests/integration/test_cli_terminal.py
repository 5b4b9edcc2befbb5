"""`atoll exec -i` and `-t`: a command that reads what comes in, on a real terminal."""

import fcntl
import hashlib
import json
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time

import pytest

from support.relay import Relay
from support.stack import binary
from support.wait import eventually


def atoll(stack, *words):
    done = subprocess.run(
        [str(binary("atoll")), *words], env=stack.environment, cwd="/", timeout=60, text=True,
        stdout=subprocess.PIPE, check=True,
    )
    return done.stdout


@pytest.fixture
def sandbox(stack):
    made = atoll(stack, "create", "--runtime", "python").strip()
    yield made
    atoll(stack, "rm", made)


@pytest.fixture
def processes(stack, sandbox):
    """The sandbox's processes, as the service knows them."""
    return lambda: json.loads(atoll(stack, "processes", sandbox, "--json"))["items"]


class Terminal:
    """A program on a terminal of its own, and the person who sits there."""

    def __init__(self, stack, *words, rows=33, columns=101, **environment):
        self.near, self.far = os.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self.far)
        self.seen = b""
        self.program = subprocess.Popen(
            [str(binary("atoll")), *words], stdin=self.far, stdout=self.far, stderr=self.far,
            cwd="/", env={**stack.environment, "TERM": "vt100", **environment},
            preexec_fn=self.take,
        )

    def take(self):
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def resize(self, rows, columns):
        fcntl.ioctl(self.near, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self.near, text.encode())

    def see(self, pattern, timeout=60):
        """Waits for what the pattern matches, and forgets everything up to it."""
        deadline = time.monotonic() + timeout
        while not (match := re.search(pattern.encode(), self.seen)):
            left = deadline - time.monotonic()
            assert left > 0 and select.select([self.near], [], [], left)[0], (pattern, self.seen)
            self.seen += os.read(self.near, 65536)
        self.seen = self.seen[match.end():]
        return match

    def wait(self):
        """The exit code. What is left is read, so that nobody waits for room."""
        deadline = time.monotonic() + 60
        while self.program.poll() is None:
            assert time.monotonic() < deadline, self.seen
            if select.select([self.near], [], [], 0.05)[0]:
                self.seen += os.read(self.near, 65536)
        return self.program.returncode

    def is_as_before(self):
        return termios.tcgetattr(self.far) == self.before

    def close(self):
        if self.program.poll() is None:
            self.program.kill()
            self.program.wait()
        os.close(self.near)
        os.close(self.far)


@pytest.fixture
def terminal(stack, sandbox):
    opened = []

    def open_(*words, options=("-it",), **environment):
        opened.append(Terminal(stack, "exec", *options, sandbox, "--", *words, **environment))
        return opened[-1]

    yield open_
    for one in opened:
        one.close()


def ready(shell):
    """The typed line has an expression, so that its echo is not taken for its answer."""
    shell.type("echo ready-$((6 * 7))\r")
    shell.see("ready-42")
    return shell


# --- a terminal


@pytest.mark.parametrize("options", [["-it"], ["-t"], ["-i", "-t"], ["-ti"]])
def test_a_shell_on_a_terminal(terminal, options):
    shell = ready(terminal("sh", options=options))
    assert not shell.is_as_before(), "keys are the command's now"
    shell.type("tty; stty size; echo term=$TERM\r")
    shell.see(r"/dev/pts/\d+\r\n33 101\r\nterm=vt100\r\n")
    shell.type("exit 7\r")
    assert shell.wait() == 7
    assert shell.is_as_before()


def test_a_resize_arrives(terminal):
    shell = ready(terminal("sh"))
    for size in ((10, 20), (200, 300)):
        shell.type(f'until [ "$(stty size)" = "{size[0]} {size[1]}" ]; do sleep 0.02; done; '
                   "echo resized-$((6 * 7))\r")
        shell.resize(*size)
        shell.see("resized-42")


def test_control_c_reaches_the_command_and_not_the_client(terminal):
    shell = ready(terminal("sh"))
    shell.type("sh -c 'echo started-$((6 * 7)); exec sleep 1000'\r")
    shell.see("started-42")
    shell.type("\x03")
    shell.type("echo over-$?-$((6 * 7))\r")
    shell.see("over-130-42")
    assert shell.program.poll() is None
    shell.type("true\r\x04")
    assert shell.wait() == 0
    assert shell.is_as_before()


def test_keys_arrive_as_they_are(terminal):
    """Those that mean something to a terminal, too: Ctrl-Z, Ctrl-S, Ctrl-\\, DEL."""
    reader = terminal("sh", "-c", "stty raw -echo; echo ready; head -c 5 | od -An -tx1")
    reader.see("ready")
    reader.type("\x1a\x13\x1c\x7f\r")
    reader.see("1a 13 1c 7f 0d")
    assert reader.wait() == 0


def test_much_output_is_whole(terminal):
    """More than any buffer between here and there holds."""
    printer = terminal("sh", "-c", "stty -opost; seq 1 200000")
    assert printer.wait() == 0
    printer.see("")
    expected = "".join(f"{i}\n" for i in range(1, 200001)).encode()
    rest = b""
    while select.select([printer.near], [], [], 0)[0]:
        rest += os.read(printer.near, 65536)
    assert printer.seen + rest == expected


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_restores_the_terminal_and_ends_the_command(terminal, processes, number):
    shell = ready(terminal("sh"))
    shell.program.send_signal(number)
    assert shell.wait() == -number
    assert shell.is_as_before()
    eventually(lambda: [process["signal"] for process in processes()] == ["SIGHUP"])


def test_a_service_that_goes_restores_the_terminal(terminal, sandbox, stack):
    shell = ready(terminal("sh"))
    atoll(stack, "stop", sandbox, "--timeout", "0")
    assert shell.wait() in (128 + signal.SIGHUP, 128 + signal.SIGKILL, 128 + signal.SIGTERM)
    assert shell.is_as_before()


@pytest.mark.parametrize("words, code, said", [
    (["no-such-program"], 1, "atoll: the command cannot be executed"), (["sh", "-c", "kill -9 $$"], 137, ""),
])
def test_a_terminal_is_restored_after_a_refusal(terminal, words, code, said):
    refused = terminal(*words)
    assert refused.wait() == code
    refused.see(said)
    assert refused.is_as_before()


# --- a connection that breaks


@pytest.fixture
def relay(stack):
    with Relay(stack.address) as way:
        yield way
        way.shutdown()


def test_a_terminal_is_attached_again(terminal, relay):
    """What the command wrote meanwhile comes, once."""
    shell = ready(terminal("sh", ATOLL_URL=relay.url))
    for i in range(3):
        shell.type(f"(until rm go; do sleep 0.01; done 2>&-; echo meanwhile-{i}-$((6 * 7))) &\r")
        shell.type("echo before-$((6 * 7))\r")
        shell.see("before-42")
        relay.cut()
        shell.see("attaching again")
        eventually(lambda: not shell.is_as_before())
        shell.type("touch go\r")
        shell.see(f"meanwhile-{i}-42")
        assert b"before-42" not in shell.seen
    shell.type("exit 7\r")
    assert shell.wait() == 7
    assert shell.is_as_before()


def test_a_terminal_can_be_left_while_the_service_is_away(terminal, relay):
    """Keys have their meaning here until it is back."""
    shell = ready(terminal("sh", ATOLL_URL=relay.url))
    relay.go_away()
    shell.see("attaching again")
    assert shell.is_as_before()
    shell.type("\x03")
    assert shell.wait() == -signal.SIGINT
    shell.see("the command goes on, and `atoll logs [0-9a-f]{32} [0-9a-f]{32} --follow --since ")
    assert shell.is_as_before()


def test_a_terminal_of_a_sandbox_that_went_meanwhile(terminal, relay, stack, sandbox):
    shell = ready(terminal("sh", ATOLL_URL=relay.url))
    atoll(stack, "stop", sandbox, "--timeout", "0")
    relay.cut()
    assert shell.wait() in (128 + signal.SIGHUP, 128 + signal.SIGKILL, 128 + signal.SIGTERM)
    assert shell.is_as_before()


# --- without a terminal


def test_a_command_without_input_is_attached_again(stack, sandbox, relay):
    """Nothing is missing, and nothing comes twice."""
    command = "for i in 1 2 3 4; do echo line $i; until rm go; do sleep 0.01; done 2>&-; done; cat; exit 5"
    with subprocess.Popen(
        [str(binary("atoll")), "exec", "-i", sandbox, "--", "sh", "-c", command], cwd="/",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
        env={**stack.environment, "ATOLL_URL": relay.url},
    ) as following:
        for i in range(1, 5):
            assert following.stdout.readline() == f"line {i}\n"
            relay.cut()
            atoll(stack, "exec", sandbox, "--", "touch", "go")
        assert following.stdout.read() == ""
        assert following.wait(timeout=60) == 5


def test_input_that_may_be_lost_is_told(stack, sandbox, relay):
    """And what it says prints the rest of the output."""
    command = "read word; echo $word; until rm go; do sleep 0.01; done 2>&-; echo rest"
    with subprocess.Popen(
        [str(binary("atoll")), "exec", "-i", sandbox, "--", "sh", "-c", command], cwd="/",
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**stack.environment, "ATOLL_URL": relay.url},
    ) as talking:
        talking.stdin.write("first\n")
        talking.stdin.flush()
        assert talking.stdout.readline() == "first\n"
        relay.cut()
        said = talking.stderr.read()
        assert talking.wait(timeout=60) == 3
    assert "its last input may not have arrived" in said
    (words,) = re.findall("`atoll (.*)`", said)
    atoll(stack, "exec", sandbox, "--", "touch", "go")
    assert atoll(stack, *words.split()) == "rest\n"


@pytest.fixture
def piped(stack, sandbox):
    def call(*words, data=b"", code=0, options=("-i",)):
        done = subprocess.run(
            [str(binary("atoll")), "exec", *options, sandbox, "--", *words], input=data, cwd="/",
            env=stack.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
        )
        assert done.returncode == code, (words, done.returncode, done.stderr)
        return done

    return call


ALL = bytes(range(256)) * 20_000


def test_a_pipe_is_read_to_its_end(piped):
    assert piped("sha256sum", data=ALL).stdout.split()[0].decode() == hashlib.sha256(ALL).hexdigest()
    assert piped("cat", data=b"\x00\x04\x03\xff").stdout == b"\x00\x04\x03\xff"
    assert piped("cat").stdout == b""


def test_streams_and_exit_code_of_a_pipe(piped):
    done = piped("sh", "-c", "read line; echo out $line; echo err >&2; exit 3", data=b"in\n", code=3)
    assert (done.stdout, done.stderr) == (b"out in\n", b"err\n")


def test_a_command_that_does_not_read_is_no_failure(piped):
    done = piped("sh", "-c", "exec <&-; sleep 0.3; echo done; exit 4", data=ALL, code=4)
    assert (done.stdout, done.stderr) == (b"done\n", b"")
    done = piped("head", "-c", "3", data=ALL)
    assert (done.stdout, done.stderr) == (ALL[:3], b"")


def test_what_comes_of_a_pipe_is_passed_on_before_its_end(stack, sandbox):
    with subprocess.Popen(
        [str(binary("atoll")), "exec", "-i", sandbox, "--", "cat"], env=stack.environment,
        cwd="/", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as talking:
        for word in (b"one\n", b"two\n"):
            talking.stdin.write(word)
            talking.stdin.flush()
            assert talking.stdout.readline() == word
        talking.stdin.close()
        assert talking.stdout.read() == b""
        assert talking.wait(timeout=60) == 0


def test_output_that_is_missing_is_an_error(stack, sandbox, processes):
    """Nobody reads until the command has ended: its log has dropped most by then. It is ended
    where that shows before."""
    with subprocess.Popen(
        [str(binary("atoll")), "exec", "-i", sandbox, "--", "head", "-c", "40M", "/dev/zero"],
        env=stack.environment, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as talking:
        eventually(lambda: [process["state"] for process in processes()] not in ([], ["running"]))
        assert len(talking.stdout.read()) < 40 << 20
        assert b"bytes are gone" in talking.stderr.read()
        assert talking.wait(timeout=60) == 1


def test_a_reader_that_goes_ends_the_command(stack, sandbox, processes):
    with subprocess.Popen(
        [str(binary("atoll")), "exec", "-i", sandbox, "--", "sh", "-c",
         "while echo y; do sleep 0.01; done"], env=stack.environment,
        cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
    ) as talking:
        assert talking.stdout.read(4) == b"y\ny\n"
        talking.stdout.close()
        assert talking.wait(timeout=60) == -signal.SIGPIPE
    eventually(lambda: [process["signal"] for process in processes()] == ["SIGPIPE"])


@pytest.mark.parametrize("options", [("-t",), ("-i", "--json"), ("-i", "--stdin"), ("-x",)])
def test_refusals(piped, processes, options):
    assert piped("true", options=options, code=2).stderr.startswith(b"atoll: exec: ")
    assert processes() == []
