"""Programs that tests run inside sandboxes: Python files as they are, C compiled statically."""

import base64
import functools
import json
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PROBES = Path(__file__).resolve().parents[1] / "security" / "probes"


def source(name):
    return (PROBES / f"{name}.py").read_text()


def run_inside(client, name, **definition):
    """Runs a Python probe in a sandbox; returns the JSON it prints."""
    result = client.run("python", source(name), **definition)
    assert result["exit_code"] == 0, result
    return json.loads(result["stdout"])


def run_on_host(name):
    """The positive control: the same probe beside the sandboxes, as root."""
    done = subprocess.run(
        [sys.executable, str(PROBES / f"{name}.py")], stdout=subprocess.PIPE, check=True
    )
    return json.loads(done.stdout)


@functools.cache
def compiled(name):
    """The bytes of a C probe, linked statically so that it runs in any image."""
    if platform.machine() != "x86_64":
        raise RuntimeError("the probes name system calls by their x86-64 numbers")
    if not shutil.which("gcc"):
        raise RuntimeError("gcc is missing: install the Debian package gcc")
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / name
        command = ["gcc", "-std=gnu17", "-O2", "-static", "-s", "-D_GNU_SOURCE", "-Wall", "-Werror"]
        subprocess.run([*command, str(PROBES / f"{name}.c"), "-o", str(output)], check=True)
        return output.read_bytes()


def as_file(name, path):
    """A C probe as an executable entry of a definition's `files`."""
    return {
        "path": path, "content": base64.b64encode(compiled(name)).decode(), "encoding": "base64",
        "is_executable": True,
    }
