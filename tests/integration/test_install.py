"""`make install` puts in place all that the units start, and keeps a configuration that is there."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from support.stack import binary

ROOT = Path(__file__).resolve().parents[2]


def install(folder):
    subprocess.run([ROOT / "packaging/install.sh", folder, "/usr", binary("atoll").parents[1]], check=True)


@pytest.fixture
def installed(tmp_path):
    install(tmp_path)
    return tmp_path


def test_every_program_that_a_unit_names_is_installed(installed):
    units = list((installed / "etc/systemd/system").glob("*.service"))
    named = {path for unit in units for path in re.findall(r"/usr/lib/atoll/[a-z-]+", unit.read_text())}
    assert "/usr/lib/atoll/atoll-launcher" in named
    assert [path for path in sorted(named) if not os.access(f"{installed}{path}", os.X_OK)] == []


def test_the_installed_command_finds_its_recipes(installed):
    assert os.access(installed / "usr/lib/atoll/images/base/build", os.X_OK)


def test_the_installed_configuration_is_one_that_the_command_reads(installed):
    subprocess.run([installed / "usr/bin/atoll", "config", "--show", "--config",
                    installed / "etc/atoll/config.toml"], check=True, stdout=subprocess.DEVNULL)


def test_the_container_image_has_what_the_build_needs():
    """What an engine builds is not tried here: its list must not fall behind scripts/packages.txt."""
    needed = re.findall(r"^run +(\S+)$", (ROOT / "scripts/packages.txt").read_text(), re.M)
    stages = (ROOT / "Dockerfile").read_text().split("\nFROM ")
    build, runtime = (set(stage.split()) for stage in stages[-2:])
    elsewhere = {"postgresql", "curl", "e2fsprogs"}
    assert set(needed) - build - elsewhere == set()
    assert "e2fsprogs" in runtime


def test_another_install_keeps_the_configuration(installed):
    configuration = installed / "etc/atoll/config.toml"
    configuration.write_text("[server]\nport = 9000\n")
    install(installed)
    assert configuration.read_text() == "[server]\nport = 9000\n"


def test_what_others_must_read_they_may(tmp_path):
    """Whatever the umask of whoever installs."""
    umask = os.umask(0o077)
    try:
        install(tmp_path)
    finally:
        os.umask(umask)
    tmp_path.chmod(0o755)
    closed = [path for path in tmp_path.rglob("*")
              if path.stat().st_mode & 0o044 != 0o044 or path.is_dir() and path.stat().st_mode & 1 == 0]
    assert closed == []


def test_the_units_name_documents_that_are_there(installed):
    named = {path for unit in (installed / "etc/systemd/system").iterdir()
             for path in re.findall(r"^Documentation=.*", unit.read_text(), re.M)
             for path in re.findall(r"file:(\S+)", path)}
    assert "/usr/share/doc/atoll/operations.md" in named
    assert [path for path in named if not Path(f"{installed}{path}").is_file()] == []
    assert not any(re.search("@[A-Z]+@", unit.read_text())
                   for unit in (installed / "etc/systemd/system").iterdir())


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd on this host")
@pytest.mark.parametrize("name, exposure", [("server", 12), ("monitor", 12), ("worker", 12), ("launcher", 82)])
def test_systemd_rates_the_units_as_the_manual_says(installed, name, exposure):
    """In tenths. It also tells of settings that it does not know."""
    told = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--root={installed}",
         f"--threshold={exposure}", f"atoll-{name}.service"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True,
    )
    assert "Unknown" not in told.stdout


def test_bash_completes_what_is_installed(installed):
    script = installed / "usr/share/bash-completion/completions/atoll"
    told = subprocess.run(["bash", "-c", f". {script}; complete -p atoll"], check=True,
                          stdout=subprocess.PIPE, text=True)
    assert told.stdout.startswith("complete ") and told.stdout.endswith(" -F _atoll atoll\n")
