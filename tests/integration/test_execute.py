"""How a run ends: deadline, memory, signals, and output over its limit or not text."""

import base64

import pytest

OUTPUT_LIMIT = 1048576


def run_out_of_time(client, code, printed):
    """The result of a run whose time is over after it has `printed`, for which a busy machine may
    need longer."""
    for timeout_ms in (2000, 10000, 60000):
        result = client.run("shell", code, timeout_ms=timeout_ms)
        if result["stdout"] == printed:
            break
    return result


def test_timeout_is_reported_with_what_was_printed(client, stack):
    result = run_out_of_time(client, "echo before; sleep 1000; echo after", "before\n")
    assert result["timed_out"] is True
    assert result["success"] is False
    assert result["stdout"] == "before\n"
    assert result["execution_time_ms"] >= 2000
    stack.assert_clean()


def test_timeout_beats_an_ignored_term(client, stack):
    code = "trap '' TERM INT HUP; echo on; while :; do sleep 0.1; done"
    result = run_out_of_time(client, code, "on\n")
    assert result["timed_out"] is True
    assert result["stdout"] == "on\n"
    stack.assert_clean()


def test_term_comes_before_kill(client):
    code = "trap 'echo cleaned; exit 0' TERM; echo on; while :; do sleep 0.05; done"
    result = run_out_of_time(client, code, "on\ncleaned\n")
    assert result["timed_out"] is True
    assert result["stdout"] == "on\ncleaned\n"


def test_memory_limit_ends_the_program_and_says_so(client):
    code = "blocks = []\nwhile True: blocks.append(bytearray(1 << 20))"
    result = client.run("python", code, memory_limit_mb=64, timeout_ms=60000)
    assert result["oom_killed"] is True
    assert result["success"] is False
    assert result["signal"] == "SIGKILL"
    assert result["exit_code"] is None


def test_memory_below_the_limit_is_usable(client):
    result = client.run("python", "print(len(bytearray(64 << 20)))", memory_limit_mb=256)
    assert result["stdout"] == f"{64 << 20}\n"


@pytest.mark.parametrize("name", ["KILL", "TERM", "SEGV", "ABRT"])
def test_a_signal_is_named(client, name):
    result = client.run("python", f"import os, signal; os.kill(os.getpid(), signal.SIG{name})")
    assert result["signal"] == f"SIG{name}"
    assert result["exit_code"] is None
    assert result["success"] is False
    assert result["oom_killed"] is False and result["timed_out"] is False


@pytest.mark.parametrize("code", [0, 1, 42, 126, 127, 255])
def test_exit_codes(client, code):
    assert client.run("shell", f"exit {code}")["exit_code"] == code


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_output_over_the_limit_is_cut_and_flagged(client, stream):
    code = f"import sys; sys.{stream}.write('x' * {3 * OUTPUT_LIMIT})"
    result = client.run("python", code)
    assert result["truncated"] is True
    assert result[stream] == "x" * OUTPUT_LIMIT
    assert result["exit_code"] == 0


def test_output_of_just_the_limit_is_whole(client):
    result = client.run("python", f"print('x' * {OUTPUT_LIMIT - 1})")
    assert result["truncated"] is False
    assert len(result["stdout"]) == OUTPUT_LIMIT


def test_output_that_is_not_text(client):
    raw = bytes(range(256))
    result = client.run("python", "import sys; sys.stdout.buffer.write(bytes(range(256)))")
    assert base64.b64decode(result["stdout_base64"]) == raw
    assert "\ufffd" in result["stdout"]


def test_output_with_a_nul_is_not_text(client):
    result = client.run("shell", "printf 'a\\0b'")
    assert base64.b64decode(result["stdout_base64"]) == b"a\0b"


def test_output_that_is_text_has_no_base64(client):
    result = client.run("shell", "printf '日本語 🙂 \\001 \"'")
    assert result["stdout"] == '日本語 🙂 \1 "'
    assert "stdout_base64" not in result


def test_a_character_cut_by_the_limit_does_not_hide_the_text(client):
    """One byte, then characters of two bytes: the limit falls into the middle of one."""
    result = client.run("python", f"print('x' + 'ä' * {OUTPUT_LIMIT}, end='')")
    assert result["truncated"] is True
    assert result["stdout"].startswith("xäää")


def test_stdin_is_empty(client):
    assert client.run("shell", "cat; echo end")["stdout"] == "end\n"


def test_code_that_does_not_compile_is_a_result(client):
    result = client.run("python", "def (")
    assert result["success"] is False
    assert "SyntaxError" in result["stderr"]
    assert result["exit_code"] == 1


def test_hundred_megabytes_of_output_do_not_stop_the_service(client):
    result = client.run("shell", "head -c 100000000 /dev/zero | tr '\\0' x", timeout_ms=60000)
    assert result["truncated"] is True
    assert len(result["stdout"]) == OUTPUT_LIMIT
