"""Folders as archives, both ways; and what a hostile archive may not do."""

import gzip
import http.client
import io
import os
import socket
import subprocess
import tarfile
import zipfile
from urllib.parse import quote, urlencode

import pytest

from support import tenancy
from support.client import assert_problem
from support.processes import a_sandbox
from support.stack import sanitized
from support.wait import eventually

BYTES = {"Content-Type": "application/octet-stream"}
FORMATS = ["tar", "tar.gz", "zip"]
# What is packed: names that are no ASCII, modes, links, an empty folder, nothing at all.
TREE = """
set -e
rm -rf /sandbox/tree; mkdir -p /sandbox/tree/deep/er /sandbox/tree/empty; cd /sandbox/tree
printf hello > deep/er/file; printf '#!/bin/sh\\n' > run; chmod 750 run; : > nothing
printf x > 'ümläut 日本 "quoted"'; ln -s deep/er/file link; ln -s /etc/passwd out
head -c 3000000 /dev/urandom > random; touch -d @1234567890 random
"""
SUM = "cd {}; find . -printf '%P %y %m %l\\n' | sort; find . -type f -print0 | sort -z | xargs -0 sha256sum"


class Archives:
    """The archives of one sandbox."""

    def __init__(self, client, sandbox_id):
        self.client = client
        self.base = f"/v1/sandboxes/{sandbox_id}"

    def target(self, path, **query):
        return f"{self.base}/files/archive?{urlencode({'path': path, **query}, quote_via=quote)}"

    def pack(self, path, method="GET", **query):
        return self.client.request(method, self.target(path, **query))

    def unpack(self, path, content, **query):
        return self.client.request("PUT", self.target(path, **query), content, headers=BYTES)

    def packed(self, path, **query):
        response = self.pack(path, **query)
        assert response.status == 200, response
        return response.body

    def unpacked(self, path, content, **query):
        response = self.unpack(path, content, **query)
        assert response.status == 200, response
        return response.json

    def run(self, command, user="user"):
        response = self.client.post(f"{self.base}/exec", {"command": command, "user": user})
        assert response.status == 200, response
        return response.json["stdout"]

    def fresh(self, name):
        """A folder that is not there."""
        self.run(f"rm -rf /sandbox/{name}")
        return f"/sandbox/{name}"


@pytest.fixture(scope="module")
def archives(stack):
    client = tenancy.as_role(stack, "member")
    with a_sandbox(client, disk_limit="128m") as sandbox_id:
        yield Archives(client, sandbox_id)


def tar_of(*members, **options):
    """members: (TarInfo or name, content)"""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", **options) as tar:
        for member, content in members:
            info = member if isinstance(member, tarfile.TarInfo) else tarfile.TarInfo(member)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return data.getvalue()


def special(name, kind, link="", **fields):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def zip_of(**entries):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as made:
        for name, content in entries.items():
            made.writestr(name, content)
    return data.getvalue()


@pytest.mark.parametrize("format", FORMATS)
def test_a_folder_goes_out_and_comes_in_as_it_was(archives, format):
    archives.run(TREE)
    copy = archives.fresh("copy")
    data = archives.packed("tree", format=format)
    told = archives.unpacked("copy", data)
    assert told == {"path": copy, "entries": 10, "bytes": 3_000_000 + 5 + 10 + 1}
    assert archives.run(SUM.format("/sandbox/tree")) == archives.run(SUM.format(copy))
    assert archives.run("stat -c %Y /sandbox/copy/random; stat -c %U /sandbox/copy/run").split() == [
        "1234567890", "user",
    ]


def test_others_can_read_what_was_packed(archives, tmp_path):
    archives.run(TREE)
    names = {"deep", "deep/er", "deep/er/file", "empty", "link", "nothing", "out", "random", "run",
             'ümläut 日本 "quoted"'}
    with tarfile.open(fileobj=io.BytesIO(archives.packed("tree"))) as tar:
        assert set(tar.getnames()) == names
        assert tar.getmember("out").linkname == "/etc/passwd"
        assert tar.extractfile("deep/er/file").read() == b"hello"
    with zipfile.ZipFile(io.BytesIO(archives.packed("tree", format="zip"))) as made:
        assert {name.rstrip("/") for name in made.namelist()} == names
        assert made.read("deep/er/file") == b"hello" and made.testzip() is None
    seen = subprocess.run(["tar", "tz"], input=archives.packed("tree"), capture_output=True)
    assert seen.returncode == 0 and len(seen.stdout.splitlines()) == len(names)


def test_what_others_have_packed_can_be_unpacked(archives, tmp_path):
    folder = tmp_path / "from"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "plain").write_text("plain")
    (folder / ("long" * 20)).write_text("long")
    os.link(folder / "sub" / "plain", folder / "hard")
    with open(folder / "sparse", "wb") as sparse:
        sparse.truncate(10_000_000)
        sparse.seek(5_000_000)
        sparse.write(b"middle")
    for options in (["--format=gnu", "-S"], ["--format=pax", "-S"], ["--format=ustar"], ["-z"]):
        made = subprocess.run(["tar", "c", *options, "-C", folder, "."], capture_output=True, check=True)
        copy = archives.fresh("others")
        archives.unpacked("others", made.stdout)
        assert archives.run(f"cat {copy}/sub/plain {copy}/hard; stat -c '%s %h' {copy}/sparse {copy}/hard"
                            ) == "plainplain10000000 1\n5 2\n"
        assert archives.run(f"head -c 5000006 {copy}/sparse | tail -c 6") == "middle"


def test_a_file_alone_and_the_default_folder(archives):
    archives.run("rm -rf /sandbox/*; printf one > /sandbox/one")
    with tarfile.open(fileobj=io.BytesIO(archives.packed("one", format="tar"))) as tar:
        assert tar.getnames() == ["one"] and tar.extractfile("one").read() == b"one"
    response = archives.client.get(f"{archives.base}/files/archive")
    assert response.headers["Content-Type"] == "application/gzip"
    assert response.headers["Content-Disposition"] == 'attachment; filename="files.tar.gz"'
    with tarfile.open(fileobj=io.BytesIO(response.body)) as tar:
        assert tar.getnames() == ["one"]
    head = archives.pack("one", method="HEAD", format="zip")
    assert (head.status, head.headers["Content-Type"], head.body) == (200, "application/zip", b"")


def test_unpacking_replaces_files_and_keeps_the_rest(archives):
    folder = archives.fresh("kept")
    archives.run(f"mkdir -p {folder}/sub; cd {folder}; echo old > a; echo stays > b; ln -s b c; ln a d")
    archives.unpacked("kept", tar_of(("a", b"new"), ("c", b"no link"), ("sub/e", b"e")))
    assert archives.run(f"cd {folder}; cat a b c d sub/e; test -L c || echo file") == (
        "newstays\nno linkold\nefile\n"
    )


@pytest.mark.parametrize(
    "name", ["/etc/evil", "../evil", "a/../../evil", "./../evil", "..", "a/" * 200 + "b", "n" * 300]
)
@pytest.mark.parametrize("make", [lambda name: tar_of((name, b"x")), lambda name: zip_of(**{name: "x"})],
                         ids=["tar", "zip"])
def test_names_that_lead_out_are_refused(archives, make, name):
    folder = archives.fresh("refused")
    problem = assert_problem(archives.unpack("refused/in", make(name)), 422, "not_possible")
    assert problem["field"] == "path"
    assert archives.run(f"find {folder} -type f; ls /sandbox/evil {folder}/evil 2>/dev/null; true") == ""


def test_a_refusal_names_the_entry_and_keeps_what_came_before(archives):
    folder = archives.fresh("half")
    archives.run(f"mkdir -p {folder}/taken; echo old > {folder}/after")
    data = tar_of(("before", b"new"), ("taken", b"x"), ("after", b"new"))
    problem = assert_problem(archives.unpack("half", data), 409, "conflict")
    assert problem["detail"] == f"cannot unpack into '{folder}': taken: Is a directory"
    assert archives.run(f"cd {folder}; cat before after; ls") == "newold\nafter\nbefore\ntaken\n"


def test_links_of_an_archive_are_not_followed(archives):
    folder = archives.fresh("links")
    archives.run(f"mkdir -p {folder}/outside {folder}/in")
    for target in (f"{folder}/outside", "../outside", "/tmp"):
        data = tar_of((special("out", tarfile.SYMTYPE, target), b""), ("out/evil", b"x"))
        assert_problem(archives.unpack("links/in", data), 409, "conflict")
    data = tar_of((special("hard", tarfile.LNKTYPE, "../../../etc/passwd"), b""))
    assert_problem(archives.unpack("links/in", data), 422, "not_possible")
    data = tar_of((special("hard", tarfile.LNKTYPE, "/etc/passwd"), b""))
    assert_problem(archives.unpack("links/in", data), 422, "not_possible")
    # A link and a file of one name: the file takes the link's place, not its target's.
    archives.run(f"echo safe > {folder}/outside/file")
    data = tar_of((special("f", tarfile.SYMTYPE, f"{folder}/outside/file"), b""), ("f", b"new"))
    archives.unpacked("links/in", data)
    assert archives.run(f"cat {folder}/outside/file {folder}/in/f; ls {folder}/outside") == (
        "safe\nnewfile\n"
    )


def test_a_link_that_was_there_is_not_followed(archives):
    folder = archives.fresh("there")
    archives.run(f"mkdir -p {folder}/in {folder}/outside; ln -s ../outside {folder}/in/out")
    assert_problem(archives.unpack("there/in", tar_of(("out/evil", b"x"))), 409, "conflict")
    data = tar_of((special("out", tarfile.DIRTYPE), b""))
    assert_problem(archives.unpack("there/in", data), 409, "conflict")
    assert archives.run(f"ls {folder}/outside") == ""


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices_and_fifos_are_refused(archives, kind):
    data = tar_of((special("dev", kind, devmajor=1, devminor=3), b""))
    for user in ("user", "root"):
        assert_problem(archives.unpack("devices", data, user=user), 422, "not_possible")


def test_special_bits_and_owners_are_dropped(archives):
    folder = archives.fresh("bits")
    data = tar_of(
        (special("suid", tarfile.REGTYPE, mode=0o6755, uid=0, gid=0, uname="root"), b"x"),
        (special("dir", tarfile.DIRTYPE, mode=0o1777), b""),
        (special("closed", tarfile.DIRTYPE, mode=0o500), b""),
        ("closed/file", b"x"),
    )
    archives.unpacked("bits", data)
    assert archives.run(f"cd {folder}; stat -c '%n %a %U' suid dir closed") == (
        "suid 755 user\ndir 777 user\nclosed 700 user\n"
    )


@pytest.mark.parametrize(
    "data",
    [b"", b"PK", b"PK\3\4" + b"\0" * 100, b"no archive at all" * 100, os.urandom(5000),
     gzip.compress(b"not a tar" * 1000), tar_of(("a", b"x" * 100_000))[:50_000],
     gzip.compress(tar_of(("a", os.urandom(100_000))))[:50_000], zip_of(a="b" * 1000)[:-10]],
    ids=["empty", "short", "zip zeros", "text", "random", "gzip text", "cut tar", "cut gzip", "cut zip"],
)
def test_what_is_no_archive_is_refused(archives, data):
    folder = archives.fresh("damaged")
    assert_problem(archives.unpack("damaged", data), 422, "not_possible")
    assert archives.run(f"find {folder} -type f") == "", "no half of a file"


def test_a_bomb_fills_the_disk_of_the_sandbox_only(archives):
    folder = archives.fresh("bomb")
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as made:
        with made.open("zeros", "w", force_zip64=True) as zeros:
            for _ in range(300):
                zeros.write(bytes(1 << 20))
    assert len(bomb.getvalue()) < 1 << 20
    assert_problem(archives.unpack("bomb", bomb.getvalue()), 507, "insufficient_storage")
    assert archives.run(f"ls -A {folder}") == "", "what did not fit is gone"
    assert archives.unpacked("bomb", tar_of(("small", b"x")))["entries"] == 1


def test_the_rights_are_the_user_s(archives):
    assert_problem(archives.unpack("/etc", tar_of(("evil", b"x"))), 403, "permission_denied")
    assert_problem(archives.pack("/root"), 403, "permission_denied")
    archives.run("mkdir -p /opt/owned; echo secret > /opt/owned/f; chmod 600 /opt/owned/f", user="root")
    problem = assert_problem(archives.pack("/opt/owned"), 403, "permission_denied")
    assert problem["field"] == "path"
    assert len(archives.packed("/opt/owned", user="root", format="tar")) > 512
    assert_problem(archives.unpack("x", tar_of(("a", b"")), user="nobody-here"), 422)


def test_refused_requests(archives):
    assert_problem(archives.pack("not-there"), 404, "not_found")
    assert_problem(archives.pack("/dev/null"), 422, "not_possible")
    assert_problem(archives.pack("x", format="rar"), 400)
    assert_problem(archives.pack("x" * 5000), 400)
    response = archives.client.get(archives.target("x"), headers={"Accept": "text/html"})
    assert_problem(response, 406, "not_acceptable")
    assert_problem(archives.unpack("x", b"", format="tar"), 400, "unknown_field")
    response = archives.client.request("PUT", archives.target("x"), {"a": 1})
    assert_problem(response, 415, "unsupported_media_type")
    archives.run("echo file > /sandbox/file")
    assert_problem(archives.unpack("file", tar_of(("a", b""))), 409, "conflict")
    data = tar_of(("file/below", b""))
    assert_problem(archives.unpack("/sandbox", data), 409, "conflict")


def test_a_client_that_leaves_ends_the_program(archives):
    """On both ways; nothing of it stays in the sandbox."""
    archives.run("mkdir -p /sandbox/large; head -c 40000000 /dev/urandom > /sandbox/large/random")
    for head in (f"GET {archives.target('large')} HTTP/1.1\r\n",
                 f"PUT {archives.target('left')} HTTP/1.1\r\nContent-Length: 90000000\r\n"
                 "Content-Type: application/x-tar\r\n"):
        connection = socket.create_connection((archives.client.host, archives.client.port), timeout=60)
        connection.sendall(f"{head}Host: x\r\nAuthorization: Bearer {archives.client.token}\r\n\r\n".encode())
        if head.startswith("PUT"):
            connection.sendall(tar_of(("a", bytes(300_000)))[:200_000])
        eventually(lambda: "atoll-archive" in archives.run("cat /proc/[0-9]*/cmdline"), 60)
        connection.close()
        eventually(lambda: "atoll-archive" not in archives.run("cat /proc/[0-9]*/cmdline"), 60)
    archives.run("rm -r /sandbox/large")


def test_a_large_folder_in_little_memory(stack, archives):
    """The archive is never whole anywhere: not in the server, not on the sandbox's disk."""
    archives.fresh("huge")
    archives.run("mkdir /sandbox/huge; truncate -s 1G /sandbox/huge/zeros")
    archives.packed("/etc/hostname", format="tar")  # what is allocated once
    totals = []

    def read_all():
        connection = socket.create_connection((archives.client.host, archives.client.port), timeout=90)
        connection.sendall(
            f"GET {archives.target('huge', format='tar')} HTTP/1.1\r\nHost: x\r\n"
            f"Connection: close\r\nAuthorization: Bearer {archives.client.token}\r\n\r\n".encode()
        )
        totals.append(0)
        while piece := connection.recv(1 << 20):
            totals[0] += len(piece)
        connection.close()

    grown = stack.server.peak_growth_kib(read_all)
    assert totals[0] > 1 << 30
    assert sanitized() or grown <= 4096, grown
    archives.fresh("huge")


def test_a_folder_that_cannot_be_packed_whole_is_no_whole_answer(archives):
    """What is too deep is found when much was sent already."""
    path = archives.fresh("chain")
    archives.run(f"p={path}; for i in $(seq 140); do p=$p/d; mkdir -p $p;"
                 "head -c 20000 /dev/urandom > $p/f; done")
    with pytest.raises(http.client.IncompleteRead):
        archives.pack("chain", format="tar")
    archives.fresh("chain")


def test_the_program_cannot_be_changed_by_a_sandbox(archives):
    """What runs in one sandbox is what runs in all."""
    script = "for p in /proc/[0-9]*; do (echo x > $p/exe) 2>/dev/null && echo wrote; done; true"
    assert archives.run(script, user="root") == ""
