"""A command that needs root calls sudo for an ordinary user, whose folders and settings stay.

sudo is a script that shows its arguments, in a mount namespace of its own.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from support.stack import binary

NOBODY = 65534
SHOW = "mount -t tmpfs none /usr/local/sbin && cp sudo /usr/local/sbin && "
AS_NOBODY = f"exec setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups -- \"$@\""


@pytest.fixture
def folder():
    path = Path(tempfile.mkdtemp(prefix="at-", dir="/tmp"))
    path.chmod(0o755)
    (path / "sudo").write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    (path / "sudo").chmod(0o755)
    yield path
    shutil.rmtree(path)


def ordinary(folder, *words, sudo=SHOW, **environment):
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", sudo + AS_NOBODY, "sh", binary("atoll"), *words],
        cwd=folder, env={"PATH": os.environ["PATH"], **environment}, text=True, timeout=60,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )


def handed_on(folder, *words, **environment):
    """What sudo is called with: its own options, and the command."""
    done = ordinary(folder, *words, **environment)
    assert done.returncode == 0, done
    arguments = done.stdout.splitlines()
    return arguments[:arguments.index("--")], arguments[arguments.index("--") + 1:]


@pytest.mark.parametrize("words", [
    ["dev"], ["doctor"], ["image", "ls"], ["image", "build", "base"], ["image", "rm", "x"],
    ["image", "import", "x", "x.tar"],
])
def test_the_users_own_folders_stay(folder, words):
    own, command = handed_on(folder, *words, SANDBOX_PORT="9000", LOG_LEVEL="debug", OTHER="x")
    assert own == ["--preserve-env=http_proxy,https_proxy,no_proxy,SANDBOX_PORT,LOG_LEVEL"]
    assert command == [
        str(binary("atoll").resolve()), f"--set=state.dir={folder}/.atoll/state",
        f"--set=state.run_dir=/run/atoll-{NOBODY}", "--set=state.user=nobody", *words,
    ]


def test_what_the_user_says_wins(folder):
    file = folder / "config.toml"
    file.write_text(f"[state]\nrun_dir = '{folder}/run'\n")
    _, command = handed_on(folder, "image", "ls", "--config", "config.toml",
                           "--set", f"state.dir={folder}/mine")
    assert command[1:] == ["--set=state.user=nobody", "image", "ls", "--config", "config.toml",
                           "--set", f"state.dir={folder}/mine"]
    shown = subprocess.run(
        [command[0], command[1], "config", *command[4:]], cwd=folder, env={}, check=True,
        stdout=subprocess.PIPE, text=True).stdout
    assert f'dir = "{folder}/mine"  # command line' in shown
    assert f'run_dir = "{folder}/run"  # config.toml:2' in shown
    assert 'user = "nobody"  # command line' in shown


def test_what_is_wrong_is_told_before_a_password_is_asked_for(folder):
    for words, code in ((["image", "rm", "../x"], 1), (["image", "build"], 2), (["dev", "x"], 2)):
        done = ordinary(folder, *words)
        assert (done.returncode, done.stdout) == (code, ""), done


def test_without_sudo(folder):
    done = ordinary(folder, "dev", sudo="for d in /usr/local/sbin /usr/local/bin; do "
                    "mount -t tmpfs none $d; done; for f in /usr/bin/sudo; do "
                    "[ ! -e $f ] || mount --bind /dev/null $f; done; ")
    assert done.returncode == 1
    assert done.stderr == "atoll: this needs root: sudo is not installed\n"
