"""Images built to do harm: symlinks where the launcher mounts, setuid files, file capabilities."""

import json
import os
import shutil
import struct
from pathlib import Path

import pytest

from conftest import running
from support import probes
from support.stack import IMAGES

USER_ID = 1000
CAP_VERSION_2 = 0x02000000 | 1  # with the effective bit (linux/capability.h)
ALL_CAPS = 0xFFFFFFFF
PASSWD = "root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n"
FOLDERS = ("bin", "dev", "etc", "home/user", "proc", "sys", "tmp", "sandbox", "run", "var", "usr")


def build_image(images):
    """The least image that runs: a shell of our own, beside it the same with more rights."""
    base = images / "base"
    root = base / "rootfs"
    for name in FOLDERS:
        (root / name).mkdir(parents=True)
    (root / "etc/passwd").write_text(PASSWD)
    (root / "etc/group").write_text("root:x:0:\nuser:x:1000:\n")
    for name in ("home/user", "sandbox"):
        os.chown(root / name, USER_ID, USER_ID)
    (root / "tmp").chmod(0o1777)
    shell = probes.compiled("trap_shell")
    for name, mode in (("sh", 0o755), ("setuid-root", 0o4755), ("setgid-root", 0o2755),
                       ("file-caps", 0o755)):
        (root / "bin" / name).write_bytes(shell)
        (root / "bin" / name).chmod(mode)
    capability = struct.pack("<5I", CAP_VERSION_2, ALL_CAPS, 0, ALL_CAPS, 0)
    os.setxattr(root / "bin/file-caps", "security.capability", capability)
    description = json.loads((IMAGES / "base" / "image.json").read_text())
    (base / "image.json").write_text(json.dumps(description))
    return root


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for parent in (folder, *folder.parents):
        if parent != Path("/") and str(parent).startswith("/tmp/"):
            parent.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def root(images):
    return build_image(images)


@pytest.fixture(scope="module")
def trapped(images, root):
    with running(images=images) as stack:
        yield stack


def test_setuid_setgid_and_file_capabilities_gain_nothing(trapped):
    result = trapped.client().run("shell", "x")
    lines = result["stdout"].splitlines()
    assert len(lines) == 4, result
    none = f"uid {USER_ID} euid {USER_ID} gid {USER_ID} egid {USER_ID} caps {'0' * 16}"
    for line in lines:
        assert line.split(" ", 1)[1] == none, line


@pytest.fixture
def link(root, request):
    """Puts a symlink to a folder of the host in the place of one of the image's folders."""
    place = root / request.param
    target = root.parent / "target-on-the-host"
    target.mkdir()
    place.rmdir()
    place.symlink_to(target)
    yield target
    place.unlink()
    place.mkdir()
    target.rmdir()


@pytest.mark.parametrize("link", ["proc", "dev", "sys"], indirect=True)
def test_a_symlink_where_the_launcher_mounts_fails_the_start(trapped, link):
    """CVE-2019-16884 and its kin: a mount must not follow what the image holds."""
    client = trapped.client()
    sandbox_id = client.create("shell", "x")
    response = client.try_execute(sandbox_id)
    assert response.status >= 500, response
    assert list(link.iterdir()) == []
    assert not [line for line in Path("/proc/self/mountinfo").read_text().splitlines()
                if str(link) in line]
    trapped.assert_clean()


def test_the_image_runs_again_without_the_link(trapped):
    assert trapped.client().run("shell", "x")["exit_code"] == 0


def test_the_image_is_never_written(trapped, root):
    before = sorted((str(path), path.lstat().st_mtime_ns) for path in root.rglob("*"))
    trapped.client().run("shell", "x", files=[{"path": "/bin/file-caps", "content": "changed"}])
    trapped.client().run("shell", "x", files=[{"path": "/new/file", "content": "changed"}])
    assert sorted((str(path), path.lstat().st_mtime_ns) for path in root.rglob("*")) == before
