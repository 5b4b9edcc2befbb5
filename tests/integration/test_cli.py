"""The command line against a running service: what it prints, and what it exits with."""

import http.server
import json
import os
import re
import shutil
import signal
import subprocess
import threading

import pytest

from support.relay import Held, Relay, Watched
from support.stack import binary
from support.wait import eventually


@pytest.fixture
def run(stack):
    """Runs `atoll` with the stack's configuration: it finds server and key by itself."""

    def call(*arguments, stdin=None, code=0, **environment):
        done = subprocess.run(
            [str(binary("atoll")), *arguments], input=stdin, text=True, cwd=stack.folder,
            env={**stack.environment, **environment}, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=60,
        )
        assert code is None or done.returncode == code, (arguments, done)
        return done

    return call


def rows(done):
    """The rows of a table, by their first column."""
    return {line.split()[0]: line.split() for line in done.stdout.splitlines()}


# --- run


def test_run_prints_and_exits_as_the_program_did(run, stack):
    file = stack.folder / "hello.py"
    file.write_text(
        "import os, sys\nprint(os.environ['A'], sys.argv[1:])\nsys.stderr.write('oops')\nsys.exit(7)"
    )
    done = run("run", str(file), "--env", "A=1", "--", "it's", "$HOME", code=7)
    assert done.stdout == "1 [\"it's\", '$HOME']\n"
    assert done.stderr == "oops"


def test_run_takes_code_and_input_from_standard_input(run, stack):
    assert run("run", "--runtime", "shell", "-", stdin="echo from here").stdout == "from here\n"
    file = stack.folder / "cat.sh"
    file.write_text("cat")
    assert run("run", str(file), "--stdin", stdin="what it reads").stdout == "what it reads"


def test_run_knows_a_file_for_bun_by_its_name(run, stack):
    """Which ends in .ts, too."""
    file = stack.folder / "which.bun.ts"
    file.write_text("console.log(typeof Bun)")
    if (stack.images / "bun").exists():
        assert run("run", str(file)).stdout == "object\n"
    else:
        assert "'bun'" in run("run", str(file), code=125).stderr


@pytest.mark.parametrize("arguments", [[], ["--", "an argument"]])
def test_run_minds_the_interpreter_that_a_script_names(run, stack, arguments):
    file = stack.folder / "script.sh"
    file.write_text('#!/bin/bash\necho "${BASH_VERSION:+bash}:$1"')
    assert run("run", str(file), *arguments).stdout == f"bash:{''.join(arguments[1:])}\n"


def test_run_prints_bytes_as_they_are(run):
    done = subprocess.run(
        [str(binary("atoll")), "run", "--runtime", "shell", "-"], input=b"printf '\\377\\000x'",
        env={**run.__closure__[0].cell_contents.environment}, stdout=subprocess.PIPE, timeout=60,
    )
    assert done.stdout == b"\xff\x00x"


@pytest.mark.parametrize("arguments, code", [
    (["--timeout", "300ms"], 124),
    (["--memory", "1m"], 125),
    (["--memory", "much"], 2),
    (["--runtime", "cobol"], 2),
    (["--unknown"], 2),
])
def test_run_exits_by_what_went_wrong(run, arguments, code):
    named = [] if "--runtime" in arguments else ["--runtime", "shell"]
    done = run("run", *named, "-", *arguments, stdin="sleep 60", code=code)
    assert code == 124 or done.stderr.startswith("atoll: ")


def test_run_exits_like_a_shell_after_a_signal(run):
    run("run", "--runtime", "python", "-", stdin="import os; os.kill(os.getpid(), 15)", code=143)


# --- sandboxes


def test_the_life_of_a_sandbox(run, stack):
    made = run("create", "--memory", "64m", "--cpu", "0.5", "--label", "a=b", "--name", "mine",
               "--", "sleep", "1000").stdout.strip()
    stack.created.add(made)
    shown = rows(run("ps"))
    assert shown["ID"] == "ID PROJECT IMAGE STATE CPU MEMORY AGE REASON NAME".split()
    assert shown[made][2:6] == ["base", "running", "0.5", "64M"] and shown[made][-1] == "mine"
    inspected = rows(run("inspect", made))
    assert inspected["state"][1] == "running" and inspected["resources.memory"][1] == "64"
    assert json.loads(run("inspect", made, "--json").stdout)["labels"] == {"a": "b"}
    assert run("stop", made, "--timeout", "0").stdout == f"{made}\n"
    assert made not in rows(run("ps")) and made in rows(run("ps", "--all"))
    assert made in rows(run("ps", "--all", "--label", "a:b"))
    assert made not in rows(run("ps", "--all", "--label", "a:c"))
    run("start", made)
    run("rm", made)
    assert "there is no" in run("inspect", made, code=4).stderr


# --- commands


@pytest.fixture
def sandbox(run):
    made = run("create", "--runtime", "python").stdout.strip()
    yield made
    run("rm", made)


def test_exec_prints_and_exits_as_the_command_did(run, sandbox):
    done = run("exec", sandbox, "--env", "A=1", "--cwd", "/tmp", "--", "sh", "-c",
               "echo $A $(pwd) $0; echo oops >&2; exit 7", "it's", code=7)
    assert (done.stdout, done.stderr) == ("1 /tmp it's\n", "oops\n")
    assert run("exec", sandbox, "--stdin", "--", "cat", stdin="what it reads").stdout == \
        "what it reads"
    run("exec", sandbox, "--", "sh", "-c", "kill -TERM $$", code=143)
    run("exec", sandbox, "--timeout", "300ms", "--", "sleep", "60", code=124)
    assert json.loads(run("exec", sandbox, "--json", "--", "true").stdout)["exit_code"] == 0


@pytest.mark.parametrize("arguments, code", [
    ([], 2), (["--timeout", "soon", "--", "true"], 2), (["--", "no-such-program"], 1),
])
def test_exec_refusals(run, sandbox, arguments, code):
    done = run("exec", sandbox, *arguments, code=code)
    assert done.stdout == "" and done.stderr.startswith("atoll: ")


def test_exec_goes_on_when_its_stream_is_cut(run, stack, sandbox):
    """Nothing is missing, and nothing comes twice."""
    command = "for i in 1 2 3 4; do echo line $i; until rm go; do sleep 0.01; done 2>&-; done"
    with Relay(stack.address) as relay:
        with subprocess.Popen(
            [str(binary("atoll")), "exec", sandbox, "--", "sh", "-c", command],
            cwd=stack.folder, stdout=subprocess.PIPE, text=True,
            env={**stack.environment, "ATOLL_URL": relay.url},
        ) as following:
            for i in range(1, 5):
                assert following.stdout.readline() == f"line {i}\n"
                relay.cut()
                run("exec", sandbox, "--", "touch", "go")
            assert following.stdout.read() == ""
        assert following.returncode == 0
        relay.shutdown()


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
def test_logs_that_are_followed_go_on_when_their_stream_is_cut(run, stack, options):
    """Of the main command, and of another by its id."""
    command = "for i in 1 2 3; do echo line $i; until rm go; do sleep 0.01; done 2>&-; done; sleep 1000"
    made = run("create", "--", "sh", "-c", command).stdout.strip()
    stack.created.add(made)
    with Relay(stack.address) as relay:
        with subprocess.Popen(
            [str(binary("atoll")), "logs", made, "--follow", *options], cwd=stack.folder, text=True,
            stdout=subprocess.PIPE, env={**stack.environment, "ATOLL_URL": relay.url},
        ) as following:
            for i in range(1, 4):
                line = following.stdout.readline()
                if options:
                    told = json.loads(line)
                    assert told["event"] == "stdout"
                    line = told["data"]
                assert line == f"line {i}\n"
                relay.cut()
                run("exec", made, "--", "touch", "go")
            run("rm", made)
            assert following.wait(timeout=60) in (0, 4), "ended, or gone with the sandbox"
        relay.shutdown()


def test_logs_begin_where_they_are_asked_to(run):
    made = run("create", "--", "sh", "-c", "echo one; echo two; exec sleep 100").stdout.strip()
    eventually(lambda: run("logs", made).stdout == "one\ntwo\n")
    assert run("logs", made, "--since", "4").stdout == "two\n"
    run("logs", made, "--since", "later", code=2)
    run("rm", made)


def test_logs_say_that_their_begin_is_gone(run, stack):
    made = run("create", "--", "sh", "-c", "head -c 24M /dev/zero; echo end; exec sleep 1000").stdout.strip()
    stack.created.add(made)
    eventually(lambda: run("logs", made, "--tail", "1").stdout.endswith("end\n"))
    kept = run("logs", made)
    (missed,) = re.findall(r"atoll: (\d+) bytes of it are gone", kept.stderr)
    assert len(kept.stdout) + int(missed) == (24 << 20) + len("end\n")
    run("rm", made)


@pytest.mark.parametrize("number", [
    signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE])
def test_exec_takes_its_command_with_it(run, stack, sandbox, number):
    """Whose output nobody would read: it would run for ever."""
    with subprocess.Popen(
        [str(binary("atoll")), "exec", sandbox, "--", "sh", "-c", "while echo y; do sleep 0.01; done"],
        cwd=stack.folder, stdout=subprocess.PIPE, env=stack.environment,
    ) as following:
        assert following.stdout.readline() == b"y\n"
        if number == signal.SIGPIPE:
            following.stdout.close()
        else:
            following.send_signal(number)
        assert following.wait(timeout=60) == -number
    eventually(lambda: [process["signal"] for process in json.loads(
        run("processes", sandbox, "--json").stdout)["items"]] == [number.name])


def test_exec_leaves_its_command_where_a_signal_is_ignored(run, stack, sandbox):
    """As under nohup."""
    with subprocess.Popen(
        [str(binary("atoll")), "exec", sandbox, "--", "sh", "-c", "echo y; until rm go; do sleep 0.01; done 2>&-"],
        cwd=stack.folder, stdout=subprocess.PIPE, env=stack.environment,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    ) as following:
        assert following.stdout.readline() == b"y\n"
        following.send_signal(signal.SIGHUP)
        run("exec", sandbox, "--", "touch", "go")
        assert following.wait(timeout=60) == 0


def test_exec_says_that_its_command_goes_on(run, stack, sandbox):
    """When the service is away, and the end cannot be passed on."""
    with Relay(stack.address) as relay:
        with subprocess.Popen(
            [str(binary("atoll")), "exec", sandbox, "--", "sh", "-c",
             "echo first; until rm go; do sleep 0.01; done 2>&-; echo rest"],
            cwd=stack.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**stack.environment, "ATOLL_URL": relay.url},
        ) as following:
            assert following.stdout.readline() == "first\n"
            relay.go_away()
            following.send_signal(signal.SIGINT)
            assert following.wait(timeout=60) == -signal.SIGINT
            (words,) = re.findall("`atoll (.*)`", following.stderr.read())
    run("exec", sandbox, "--", "touch", "go")
    assert run(*words.split()).stdout == "rest\n"


def test_exec_does_not_hide_that_output_is_gone(run, stack, sandbox):
    """Nobody reads until the command has ended, whose log does not hold all that it wrote."""
    size = 64 << 20
    with subprocess.Popen(
        [str(binary("atoll")), "exec", sandbox, "--", "head", "-c", str(size), "/dev/zero"],
        cwd=stack.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=stack.environment,
    ) as unread:
        eventually(lambda: "completed" in run("processes", sandbox).stdout, 60)
        got = len(unread.stdout.read())
        (missed,) = re.findall(rb"(\d+) bytes are gone", unread.stderr.read())
    assert unread.returncode == 1
    assert got + int(missed) == size


def test_logs_of_the_main_command(run):
    made = run("create", "--", "sh", "-c", "echo one; echo two; exec sleep 100").stdout.strip()
    eventually(lambda: run("logs", made).stdout == "one\ntwo\n")
    assert run("logs", made, "--tail", "1").stdout == "two\n"
    run("rm", made)


def test_logs_of_a_command(run, sandbox):
    run("exec", sandbox, "--", "sh", "-c", "echo one; echo two")
    process, kind, state = run("processes", sandbox).stdout.splitlines()[1].split()[:3]
    assert (kind, state) == ("process", "completed")
    assert run("logs", sandbox, process).stdout == "one\ntwo\n"
    assert run("logs", sandbox, process, "--follow", "--tail", "1").stdout == "two\n"
    run("logs", sandbox, "0" * 32, code=4)
    run("logs", sandbox, process, "--tail", "some", code=2)


# --- tenancy


def test_ls_shows_a_folder_of_a_sandbox(run):
    sandbox = run("create").stdout.strip()
    try:
        lines = run("ls", sandbox, "/etc").stdout.splitlines()
        assert lines[0].split() == ["TYPE", "MODE", "OWNER", "SIZE", "AGE", "PATH", "LINK"]
        passwd = next(line.split() for line in lines if " /etc/passwd " in line)
        assert passwd[0] == "file" and passwd[2] == "root"
        assert "no such file" in run("ls", sandbox, "missing", code=4).stderr.lower()
        assert len(run("ls", sandbox, "/etc", "--limit", "1").stdout.splitlines()) == 2
    finally:
        run("rm", sandbox)
    run("ls", "no-id", code=2)


def test_cat_prints_the_bytes_of_a_file(run, stack):
    sandbox = run("create", "--", "sh", "-c", "printf 'a\\377\\000b' >g; mv g f; sleep 1000").stdout.strip()
    try:
        eventually(lambda: "/sandbox/f" in run("ls", sandbox).stdout)
        done = subprocess.run(
            [str(binary("atoll")), "cat", sandbox, "f"], cwd=stack.folder,
            env=stack.environment, stdout=subprocess.PIPE, timeout=60,
        )
        assert (done.returncode, done.stdout) == (0, b"a\xff\x00b")
        missing = run("cat", sandbox, "missing", code=4)
        assert missing.stdout == "" and "No such file" in missing.stderr
    finally:
        run("rm", sandbox)


@pytest.fixture
def copy(run, stack, sandbox):
    """Runs `atoll cp` with bytes; `:PATH` is one of the sandbox."""

    def call(*arguments, code=0, address=None, **options):
        words = [sandbox + word if word.startswith(":") else word for word in map(str, arguments)]
        named = {"ATOLL_URL": f"http://{address}"} if address else {}
        done = subprocess.run(
            [str(binary("atoll")), "cp", *words], cwd=stack.folder, timeout=60,
            env={**stack.environment, **named}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            **options,
        )
        assert done.returncode == code, (arguments, done)
        return done

    return call


@pytest.fixture
def folder(stack, request):
    """An empty folder of the host."""
    made = stack.folder / request.node.name
    made.mkdir()
    yield made
    shutil.rmtree(made)


ALL_BYTES = bytes(range(256)) * 40_000


@pytest.mark.parametrize("content", [b"", b"a\xff\x00\r\n", ALL_BYTES], ids=["empty", "bytes", "10 MB"])
def test_cp_there_and_back_is_the_same(run, sandbox, copy, folder, content):
    file = folder / "a 'b' & c"
    file.write_bytes(content)
    file.chmod(0o751)
    copy(file, ":new/folder/")
    shown = run("exec", sandbox, "--", "stat", "-c", "%s %a", "/sandbox/new/folder/a 'b' & c").stdout
    assert shown == f"{len(content)} 751\n"
    back = folder / "back"
    copy(":new/folder/a 'b' & c", back)
    assert back.read_bytes() == content and back.stat().st_mode & 0o7777 == 0o751
    assert sorted(folder.iterdir()) == [file, back], "nothing is left beside it"


def test_cp_into_folders_keeps_the_name(run, sandbox, copy, folder):
    (folder / "name").write_text("1")
    copy(folder / "name", ":")
    copy(folder / "name", ":/tmp")
    copy(folder / "name", ":/tmp/other")
    listed = run("exec", sandbox, "--", "ls", "/sandbox/name", "/tmp/name", "/tmp/other").stdout
    assert listed.split() == ["/sandbox/name", "/tmp/name", "/tmp/other"]
    copy(":/tmp/other", folder)
    copy(":/tmp/other", f"{folder}/.")
    assert (folder / "other").read_text() == "1"
    copy(":/tmp/..", folder, code=1)
    copy(":/tmp/other", folder / "missing" / "other", code=1)
    assert sorted(path.name for path in folder.iterdir()) == ["name", "other"]


def test_cp_by_standard_input_and_output(copy):
    copy("-", ":piped", input=ALL_BYTES)
    assert copy(":piped", "-").stdout == ALL_BYTES
    copy("-", ":/tmp", code=1, input=b"a folder is no file")
    assert copy(":missing", "-", code=4).stdout == b""


def test_cp_passes_on_what_has_come_of_a_pipe(run, stack, sandbox):
    """The file is there only when its input has ended."""
    with subprocess.Popen(
        [str(binary("atoll")), "cp", "-", f"{sandbox}:slow"], env=stack.environment, cwd="/",
        stdin=subprocess.PIPE,
    ) as copying:
        for piece in (b"one ", b"two "):
            copying.stdin.write(piece)
            copying.stdin.flush()
            run("cat", sandbox, "slow", code=4)
        copying.stdin.close()
        assert copying.wait(timeout=60) == 0
    assert run("cat", sandbox, "slow").stdout == "one two "


def test_cp_of_a_folder_goes_by_archive(run, sandbox, copy, folder):
    tree = folder / "tree"
    (tree / "deep").mkdir(parents=True)
    (tree / "deep" / "file").write_bytes(ALL_BYTES)
    (tree / "deep" / "file").chmod(0o700)
    (tree / "link").symlink_to("deep/file")
    refused = copy(tree, ":tree", code=1).stderr.decode()
    assert "is a folder" in refused and "--archive" in refused
    packed = subprocess.run(["tar", "-cz", "-C", tree, "."], stdout=subprocess.PIPE, check=True)
    copy("--archive", "-", ":tree", input=packed.stdout)
    assert run("exec", sandbox, "--", "readlink", "tree/link").stdout == "deep/file\n"
    refused = copy(":tree", folder, code=1).stderr.decode()
    assert "is a folder" in refused and "--archive" in refused
    copy("--archive", ":tree", folder / "tree.tar.gz")
    (folder / "back").mkdir()
    subprocess.run(["tar", "-xzf", folder / "tree.tar.gz", "-C", folder / "back"], check=True)
    subprocess.run(["diff", "-r", "--no-dereference", tree, folder / "back"], check=True)
    assert (folder / "back" / "deep" / "file").stat().st_mode & 0o777 == 0o700
    assert copy("--archive", ":tree", "-").stdout[:2] == b"\x1f\x8b"
    copy("--archive", ":tree", folder, code=1)
    copy("--archive", "-", ":tree", code=1, input=b"no archive")


def test_cp_replaces_a_file_and_nothing_else(copy, folder):
    copy("-", ":source", input=b"new")
    target = folder / "target"
    target.write_text("old")
    copy(":missing", target, code=4)
    assert target.read_text() == "old"
    copy(":source", target)
    assert target.read_text() == "new"
    (folder / "precious").write_text("precious")
    (folder / "link").symlink_to("precious")
    os.mkfifo(folder / "fifo")
    for name in ("link", "fifo"):
        assert b"no regular file" in copy(":source", folder / name, code=1).stderr
    assert (folder / "precious").read_text() == "precious"
    assert {path.name for path in folder.iterdir()} == {"target", "precious", "link", "fifo"}


class Answers(http.server.BaseHTTPRequestHandler):
    """A service that says where its file belongs, and breaks off in the middle of it."""

    def do_GET(self):
        stat = "/files/stat?" in self.path
        body = b'{"type": "file", "mode": "6755", "path": "/etc/passwd"}' if stat else b"half"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body) + (0 if stat else self.server.missing)))
        self.send_header("Content-Disposition", "attachment; filename=../elsewhere")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def impostor():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        server.missing = 0
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_cp_leaves_nothing_of_what_was_cut(copy, folder, impostor):
    impostor.missing = 1
    target = folder / "target"
    target.write_text("old")
    cut = copy(":file", target, code=3, address=f"127.0.0.1:{impostor.server_address[1]}")
    assert cut.stderr.startswith(b"atoll: ")
    assert target.read_text() == "old" and list(folder.iterdir()) == [target]


def test_cp_writes_where_it_was_told_whatever_the_service_says(copy, folder, impostor):
    (folder / "inner").mkdir()
    copy(":file", folder / "inner", address=f"127.0.0.1:{impostor.server_address[1]}")
    [made] = (folder / "inner").iterdir()
    assert made.name == "file" and made.read_bytes() == b"half"
    assert made.stat().st_mode & 0o7777 == 0o755
    assert list(folder.iterdir()) == [folder / "inner"]


def test_cp_leaves_nothing_after_a_signal(run, stack, sandbox, folder):
    run("exec", sandbox, "--", "truncate", "-s", "64M", "/tmp/large")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        with Held(stack.address) as relay:
            copying = subprocess.Popen(
                [str(binary("atoll")), "cp", f"{sandbox}:/tmp/large", folder / "large"],
                env={**stack.environment, "ATOLL_URL": relay.url}, cwd="/", stderr=subprocess.PIPE,
            )
            eventually(lambda: list(folder.iterdir()))
            copying.send_signal(number)
            assert copying.wait(timeout=60) == -number
            copying.stderr.close()
            assert not list(folder.iterdir())
            relay.release.set()
            relay.shutdown()


@pytest.mark.parametrize("words", [
    ["a", "b"], [":a", ":b"], [":a"], ["no-id:a", "b"], ["-", "-"],
])
def test_cp_refusals(copy, words):
    assert copy(*words, code=2).stderr.startswith((b"atoll: cp: ", b"atoll: usage: atoll cp "))


def test_cp_says_what_is_missing(copy, folder):
    assert b"No such file" in copy(folder / "missing", ":a", code=1).stderr
    assert b"No such file" in copy(":missing", folder / "a", code=4).stderr
    file = folder / "file"
    file.write_text("")
    assert b"ermission" in copy(file, ":/etc/passwd", code=1).stderr
    copy("--user", "root", file, ":/etc/by-root")


def test_projects_keys_and_tenants(run):
    project = run("project", "create", "cli").stdout.strip()
    assert rows(run("project", "ls"))[project][1:3] == ["cli", "false"]
    key = run("key", "create", "ci", "--role", "viewer", "--project", project).stdout.strip()
    assert key.startswith("atoll_")
    [listed] = [row for row in rows(run("key", "ls")).values() if row[1] == "ci"]
    assert listed[3:5] == ["viewer", project]
    assert run("ps", ATOLL_API_KEY=key).stdout.startswith("ID")
    refused = run("project", "create", "more", ATOLL_API_KEY=key, code=1)
    assert "(403, request " in refused.stderr
    run("key", "revoke", listed[0])
    run("project", "rm", project)
    tenant = run("tenant", "create", "cli tenant").stdout.strip()
    assert rows(run("tenant", "show", tenant))["name"][1:] == ["cli", "tenant"]
    assert rows(run("tenant", "suspend", tenant))["state"][1] == "suspended"
    assert rows(run("tenant", "resume", tenant))["state"][1] == "active"
    assert tenant in rows(run("tenant", "ls"))
    run("tenant", "rm", tenant)


def test_quotas(run):
    tenant = run("tenant", "create", "cli quotas").stdout.strip()
    run("quota", "set", tenant, "sandboxes=10", "memory=4g", "cpu=2.5")
    shown = rows(run("quota", "set", tenant, "memory=none", "disk=512m"))
    assert {name: shown[name][1] for name in ("sandboxes", "cpu", "memory", "disk")} == {
        "sandboxes": "10", "cpu": "2.5", "memory": "-", "disk": "512M",
    }
    assert rows(run("quota", "show", tenant)) == shown
    assert "QUOTA" in rows(run("quota", "show"))
    assert "only sandboxes, cpu," in run("quota", "set", tenant, "nothing=1", code=2).stderr
    assert "as sandboxes=10" in run("quota", "set", tenant, "memory=much", code=2).stderr
    run("tenant", "rm", tenant)


def test_usage(run):
    project = run("project", "create", "cli usage").stdout.strip()
    run("run", "--runtime", "shell", "--project", project, "-", stdin="exit 0")
    shown = run("usage", "--project", project).stdout.splitlines()
    assert shown[0].split("  ")[0] == "DAY" and shown[0].endswith("MEMORY MB SECONDS")
    [used] = [line.split() for line in shown[1:]]
    assert used[1:3] == [project, "1"] and float(used[3]) > 0 and float(used[5]) > 0
    [item] = json.loads(run("usage", "--json", "--project", project).stdout)["items"]
    assert [item["day"], item["project_id"], item["runs"]] == [used[0], project, 1]
    before = run("usage", "--from", "2020-01-01T00:00:00Z", "--to", "2020-01-02T00:00:00Z")
    assert len(before.stdout.splitlines()) == 1, "nothing but the header"
    assert "from" in run("usage", "--from", "yesterday", code=1).stderr
    assert len(run("usage", "--project", "f" * 32).stdout.splitlines()) == 1


# --- events


def test_events(run, stack):
    made = run("create").stdout.strip()
    stack.created.add(made)
    listed = run("events", "--sandbox", made, "--kind", "sandbox.").stdout.splitlines()
    assert listed[0].split() == "AT KIND SANDBOX FROM TO ACTOR DETAIL".split()
    assert [line.split()[1] for line in listed[1:]] == ["sandbox.running", "sandbox.created"]
    assert json.loads(run("events", "--sandbox", made, "--json").stdout)["next_cursor"] is None
    run("rm", made)


def test_as_many_events_are_followed_as_are_asked_for(run, stack):
    made = run("create").stdout.strip()
    stack.created.add(made)
    follower = subprocess.Popen(
        [str(binary("atoll")), "events", "--follow", "--json", "--sandbox", made, "--limit", "3"],
        env=stack.environment, cwd="/", text=True, stdout=subprocess.PIPE,
    )

    def has_ended():
        """The stream begins with what happens once it is open."""
        run("stop", made, "--timeout", "0")
        run("start", made)
        return follower.poll() is not None

    try:
        eventually(has_ended, 120, "it has printed three events")
        assert follower.returncode == 0
        assert len(follower.stdout.read().splitlines()) == 3
    finally:
        follower.kill()
        follower.communicate()
    run("rm", made)


def test_events_are_followed(run, stack):
    made = run("create").stdout.strip()
    stack.created.add(made)
    follower = subprocess.Popen(
        [str(binary("atoll")), "events", "--follow", "--json", "--sandbox", made],
        env=stack.environment, cwd="/", text=True, stdout=subprocess.PIPE,
    )
    try:
        read = threading.Thread(target=lambda: lines.append(follower.stdout.readline()))
        lines = []
        read.start()

        def something_happens():
            """The stream begins with what happens once it is open."""
            run("stop", made, "--timeout", "0")
            run("start", made)
            return lines

        eventually(something_happens, 120, "an event arrives")
        assert json.loads(lines[0])["sandbox_id"] == made
        assert follower.poll() is None
    finally:
        follower.terminate()
        follower.wait(timeout=30)
        read.join(timeout=30)
    run("rm", made)


def test_events_that_are_followed_go_on_when_their_stream_is_cut_before_the_first(run, stack):
    made = run("create").stdout.strip()
    stack.created.add(made)
    with Watched(stack.address, b"text/event-stream") as relay:
        with subprocess.Popen(
            [str(binary("atoll")), "events", "--follow", "--json", "--sandbox", made, "--limit", "1"],
            env={**stack.environment, "ATOLL_URL": relay.url}, cwd="/", text=True,
            stdout=subprocess.PIPE,
        ) as following:
            assert relay.seen.wait(timeout=30), "the stream is open"
            relay.cut()
            run("stop", made, "--timeout", "0")
            assert json.loads(following.stdout.readline())["sandbox_id"] == made
            assert following.wait(timeout=60) == 0
        relay.shutdown()
    run("rm", made)


# --- the token that is made here


@pytest.fixture
def rotated(stack):
    """A server with a key of its own, and what gives it another."""

    def change():
        fresh = stack.write_key("fresh.key", os.urandom(32).hex().encode())
        fresh.rename(stack.folder / "own.key")

    def environment(relay):
        return {**stack.environment, "ATOLL_AUTH_HS256_KEY_FILE": str(stack.folder / "own.key"),
                "ATOLL_URL": relay.url}

    change()
    address = stack.another_server(ATOLL_AUTH_HS256_KEY_FILE=stack.folder / "own.key")
    return address, environment, change


@pytest.mark.parametrize("options", [[], ["-i"]])
def test_a_command_outlives_the_token_that_was_made_for_it(run, stack, rotated, options):
    """It lasts for minutes only. A new key ends it at once."""
    address, environment, change = rotated
    made = run("create").stdout.strip()
    stack.created.add(made)
    with Relay(address) as relay:
        told = environment(relay)
        old = stack.client(address=address, token=subprocess.run(
            [str(binary("atoll")), "token"], env=told, check=True, text=True,
            stdout=subprocess.PIPE,
        ).stdout.strip())
        with subprocess.Popen(
            [str(binary("atoll")), "exec", *options, made, "--", "sh", "-c",
             "echo first; until [ -e go ]; do sleep 0.05; done; echo last"],
            env=told, cwd="/", text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        ) as command:
            assert command.stdout.readline() == "first\n"
            change()
            eventually(lambda: old.get("/v1/sandboxes").status == 401, 30, "the token has ended")
            relay.cut()
            run("exec", made, "--", "touch", "go")
            assert command.stdout.readline() == "last\n"
            assert command.wait(timeout=60) == 0
        relay.shutdown()
    run("rm", made)


def test_a_command_whose_token_has_ended_is_told_to_go_on(run, stack, rotated):
    """Nobody can make a new one of a token that was given."""
    address, environment, change = rotated
    made = run("create").stdout.strip()
    stack.created.add(made)
    with Relay(address) as relay:
        told = environment(relay)
        token = subprocess.run(
            [str(binary("atoll")), "token"], env=told, check=True, text=True,
            stdout=subprocess.PIPE,
        ).stdout.strip()
        with subprocess.Popen(
            [str(binary("atoll")), "exec", made, "--token", token, "--", "sh", "-c",
             "echo first; sleep 600"],
            env=told, cwd="/", text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as command:
            assert command.stdout.readline() == "first\n"
            change()
            old = stack.client(address=address, token=token)
            eventually(lambda: old.get("/v1/sandboxes").status == 401, 30, "the token has ended")
            relay.cut()
            assert f"`atoll logs {made} " in command.stderr.read()
            assert command.wait(timeout=60) == 1
        relay.shutdown()
    run("rm", made)


# --- what is wrong


def test_exit_codes(run, stack):
    assert "cannot be" not in run("ps", "--json").stderr
    run("nonsense", code=2)
    run("inspect", "../tenants", code=2)
    assert "--scope" in run("token", "--scope", "king", code=2).stderr
    assert "--ttl needs" in run("token", "--ttl=0", code=2).stderr
    assert run("token", "--ttl=60", "--sub=me").stdout.count(".") == 2
    assert run("config").stdout == run("config", "--show").stdout != run("config", "--toml").stdout
    run("config", "--show", "--toml", code=2)
    run("inspect", "0" * 32, code=4)
    run("ps", "--url", "http://127.0.0.1:1", "--token", "x", code=3)
    run("ps", "--token", "not-a-token", code=1)
    refused = run("ps", ATOLL_TOKEN="x" * 20, code=1)
    assert "(401, request " in refused.stderr and refused.stdout == ""
    file = stack.folder / "token"
    file.write_text(stack.token(scope="viewer") + "\n")
    assert run("ps", "--token-file", str(file)).stdout.startswith("ID")


def test_pages_are_put_together(run, stack):
    ids = {run("project", "create", f"page {i}").stdout.strip() for i in range(3)}
    assert ids <= set(rows(run("project", "ls")))
    assert len(rows(run("project", "ls", "--limit", "2"))) == 1 + 2
    for project in ids:
        run("project", "rm", project)


# --- help and completion


def test_help_tells_each_command(run):
    overview = run("help").stdout
    for verb in ("run", "ps", "tenant create", "quota set", "events", "completion"):
        assert f"\n  {verb} " in overview
    assert "--memory SIZE" in run("help", "run").stdout
    assert run("help", "tenant").stdout.count("Usage:") == 6
    run("help", "nonsense", code=2)


@pytest.mark.parametrize("group", ["project", "key", "quota", "tenant", "image"])
def test_a_word_that_needs_another_says_which(run, group):
    told = run(group, "--help")
    assert told.stderr == "" and run(group, "-h").stdout == told.stdout
    overview = [line for line in run("help").stdout.splitlines() if line.startswith(f"  {group} ")]
    usages = [line for line in told.stdout.splitlines() if line.startswith(f"  atoll {group} ")]
    assert len(usages) == len(overview) >= 2
    alone = run(group, code=2)
    assert (alone.stdout, alone.stderr) == ("", told.stdout)
    unknown = run(group, "nonsense", code=2)
    assert unknown.stderr == f"atoll: unknown command {group} nonsense\n\n{told.stdout}"


def test_a_command_is_asked_for_its_help(run):
    for words in (["run"], ["quota", "set"], ["image", "import"]):
        assert run(*words, "--help").stdout == run("help", *words).stdout
    assert run("--help").stdout == run("help").stdout
    for words in (["nonsense"], ["nonsense", "--help"]):
        assert run(*words, code=2).stderr == (
            "atoll: unknown command nonsense\n\n`atoll help` lists the commands.\n")
    assert run("--json", "ps", code=2).stderr == (
        "atoll: --json: options stand behind the command\n\n`atoll help` lists the commands.\n")


def test_completion_in_bash(run):
    script = run("completion", "bash").stdout

    def complete(*words):
        done = subprocess.run(
            ["bash", "-c", f"{script}\nCOMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _atoll;"
             ' printf "%s\\n" "${COMPREPLY[@]}"', "bash", *words],
            text=True, stdout=subprocess.PIPE, check=True, cwd="/",
        )
        return set(done.stdout.split())

    assert complete("atoll", "te") == {"tenant"}
    assert complete("atoll", "tenant", "s") == {"show", "suspend"}
    assert complete("atoll", "run", "--m") == {"--memory"}
    assert "--role" in complete("atoll", "key", "create", "--")
    assert complete("atoll", "quota", "") == {"show", "set"}
    assert complete("atoll", "cp", "--a") == {"--archive"}
    assert {"-i", "-t"} <= complete("atoll", "exec", "-")
    assert "compinit" in run("completion", "zsh").stdout
    run("completion", "fish", code=2)
