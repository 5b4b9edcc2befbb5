"""`atoll image`: what is imported or built appears whole or not at all."""

import io
import os
import re
import subprocess
import tarfile
from pathlib import Path

import pytest

from support.stack import binary
from support.wait import eventually

ROOT = Path(__file__).resolve().parents[2]


def environment(folder):
    """The run folder is looked into only: is there a sandbox?"""
    return {"PATH": os.environ["PATH"], "ATOLL_STATE_DIR": f"{folder}/state",
            "ATOLL_RUN_DIR": "/run/at-none"}


def image(folder, *arguments, program=None, code=0):
    done = subprocess.run(
        [program or binary("atoll"), "image", *map(str, arguments)], text=True, timeout=60, cwd="/",
        env=environment(folder),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )
    assert done.returncode == code, done
    return done


def archive(path, *names):
    with tarfile.open(path, "w:gz") as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size, member.mode = 1000000, 0o755
            tar.addfile(member, io.BytesIO(b"\n" * member.size))
    return path


def images(folder):
    """What stands under a name, and what a build or an import left."""
    return sorted(p.name for p in (folder / "state/images").iterdir() if p.name not in (".lock", ".info"))


def test_import_list_and_remove(tmp_path):
    told = image(tmp_path, "import", "mine", archive(tmp_path / "root.tar.gz", "bin/sh")).stdout
    assert told == f"image mine is imported ({tmp_path}/state/images/mine)\n"
    header, row = image(tmp_path, "ls").stdout.splitlines()
    assert header.split() == ["IMAGE", "SIZE", "BUILT", "FROM"]
    assert re.fullmatch(r"mine +1 MB  20\d\d-[-0-9T:]+Z +root\.tar\.gz", row)
    assert (tmp_path / "state/images/mine/rootfs/sandbox").stat().st_uid == 1000
    image(tmp_path, "rm", "mine")
    assert images(tmp_path) == [] and len(image(tmp_path, "ls").stdout.splitlines()) == 1
    assert image(tmp_path, "rm", "mine", code=4).stderr == "atoll: there is no image mine\n"


def test_what_cannot_be_an_image_leaves_nothing(tmp_path):
    file = archive(tmp_path / "root.tar.gz", "etc/passwd")
    assert "/bin/sh" in image(tmp_path, "import", "mine", file, code=1).stderr
    file.write_bytes(file.read_bytes()[:500])
    image(tmp_path, "import", "mine", file, code=1)
    assert str(tmp_path / "none") in image(tmp_path, "import", "mine", tmp_path / "none", code=1).stderr
    assert "images/none/build" in image(tmp_path, "build", "none", code=4).stderr
    assert images(tmp_path) == []


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "A", "-a", ".lock", "a" * 64])
def test_a_name_that_is_none(tmp_path, name):
    told = image(tmp_path, "rm", "--", name, code=1).stderr
    assert "an image's name has 1 to 63 of a-z" in told
    assert not (tmp_path / "state").exists()


def test_the_words_that_it_takes(tmp_path):
    for words in (["build"], ["import", "mine"], ["rm"]):
        assert image(tmp_path, *words, code=2).stderr.startswith(f"atoll: usage: atoll image {words[0]} ")
    image(tmp_path, "ls", "mine", code=2)


@pytest.fixture
def installed(tmp_path):
    """An installation with a recipe that never ends."""
    subprocess.run([ROOT / "packaging/install.sh", tmp_path, "/usr", binary("atoll").parents[1]],
                   check=True, stdout=subprocess.DEVNULL)
    recipe = tmp_path / "usr/lib/atoll/images/slow/build"
    recipe.parent.mkdir()
    recipe.write_text("#!/bin/sh\nmkdir -p $ATOLL_ROOTFS/bin\n: >$ATOLL_ROOTFS/bin/sh\nexec sleep 600\n")
    recipe.chmod(0o755)
    return tmp_path


def test_a_killed_build_leaves_no_image(installed):
    program = installed / "usr/bin/atoll"
    half = installed / "state/images/.building-slow/rootfs/bin/sh"
    build = subprocess.Popen([program, "image", "build", "slow"], cwd="/",
                             env=environment(installed))
    eventually(half.exists, 30, "the recipe runs")
    busy = image(installed, "rm", "slow", program=program, code=1)
    assert busy.stderr == "atoll: another command is changing the images\n"
    build.kill()
    build.wait()
    file = archive(installed / "root.tar", "bin/sh")

    def imported():
        with_lock = subprocess.run(
            [program, "image", "import", "mine", file], cwd="/", stderr=subprocess.PIPE, text=True,
            env=environment(installed))
        assert with_lock.returncode == 0 or "another command" in with_lock.stderr
        return with_lock.returncode == 0

    eventually(imported, 30, "the recipe is dead, and its lock with it")
    assert images(installed) == ["mine"]
