"""`make install` puts in place all that the units start, and keeps a configuration that is there."""

import os
import re
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


def test_another_install_keeps_the_configuration(installed):
    configuration = installed / "etc/atoll/config.toml"
    configuration.write_text("[server]\nport = 9000\n")
    install(installed)
    assert configuration.read_text() == "[server]\nport = 9000\n"
