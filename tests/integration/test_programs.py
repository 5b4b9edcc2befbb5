"""What the daemons say about themselves, and about a start that cannot be: no service is needed."""

import subprocess

import pytest

from support.stack import binary

CONFIGURED = ["atoll-server", "atoll-monitor", "atoll-worker"]
DAEMONS = [*CONFIGURED, "atoll-launcher"]


def run(program, *arguments, code=0, environment=None):
    done = subprocess.run(
        [str(binary(program)), *map(str, arguments)], stdin=subprocess.DEVNULL, text=True, cwd="/",
        env=environment or {}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
    )
    assert done.returncode == code, done
    return done


@pytest.mark.parametrize("program", DAEMONS)
def test_a_daemon_tells_its_options_and_its_version(program):
    told = run(program, "--help")
    assert told.stdout.startswith(f"Usage: {program} ") and told.stderr == ""
    assert "\n  --version " in told.stdout
    version = run(program, "--version").stdout
    assert version == run("atoll", "--version").stdout.replace("atoll", program)


def test_help_names_what_each_daemon_takes():
    for program in CONFIGURED:
        assert "\n  --set SECTION.KEY=VALUE " in run(program, "--help").stdout
    assert "\n  --print-openapi " in run("atoll-server", "--help").stdout
    assert "\n  --uid-base " in run("atoll-launcher", "--help").stdout


def test_help_is_given_whatever_else_is_wrong():
    broken = {"SANDBOX_PORT": "many"}
    for program in CONFIGURED:
        assert run(program, "--set", "no.key=1", "--help", environment=broken).stderr == ""
    for words in (["help"], ["--help"], ["ps", "--help"], ["version"], ["completion", "bash"]):
        assert run("atoll", *words, environment=broken).stderr == ""
    told = run("atoll", "config", environment=broken, code=2).stderr
    assert told == "atoll: environment SANDBOX_PORT: server.port needs an integer\n"


@pytest.mark.parametrize("program", CONFIGURED)
def test_a_wrong_start_ends_with_2_and_says_where(program, tmp_path):
    file = tmp_path / "config.toml"
    for text, complaint in (
        ("[server]\nprot = 1\n", f"{file}:2: unknown key prot in [server]"),
        ("[server]\n\nport = '1'\n", f"{file}:3: server.port needs an integer"),
        ("[server]\nport = 65536\n", f"{file}:2: server.port is 65536; 0 to 65535 are allowed"),
        ("[sever]\nport = 1\n", f"{file}:2: unknown section [sever]"),
        ("port = 1\n", f"{file}:1: the key port stands outside of a [section]"),
    ):
        file.write_text(text)
        assert complaint in run(program, "--config", file, code=2).stderr
    assert f"{tmp_path}/none" in run(program, "--config", tmp_path / "none", code=2).stderr
    told = run(program, "--prot", "1", code=2).stderr
    assert "unknown argument --prot; --help tells the options" in told


def test_the_launcher_says_what_its_command_line_lacks():
    complete = ["--run-dir", "/run/x", "--state-dir", "/x", "--agent", "/x", "--uid-base", "65536"]
    for i in range(0, len(complete), 2):
        told = run("atoll-launcher", *complete[:i], *complete[i + 2:], code=2).stderr
        assert told.startswith(f"atoll-launcher: {complete[i]} is needed\n")
    for extra, complaint in (
        (["--uid-base", "65537"], '--uid-base cannot be "65537"'),
        (["--run-dir", "run"], '--run-dir cannot be "run"'),
        (["extra"], "unknown argument extra"),
        (["--nonsense"], "unrecognized option '--nonsense'"),
    ):
        told = run("atoll-launcher", *complete, *extra, code=2).stderr
        assert complaint in told and "--help" in told
