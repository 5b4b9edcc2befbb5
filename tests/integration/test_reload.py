"""SIGHUP: a server takes from its file what may change, keeps the rest, and goes on serving."""

import signal

import pytest

from support.wait import eventually

LIMITS = "[sandbox]\ndefault_timeout_ms = 1000\nmax_timeout_ms = {}\n"


@pytest.fixture
def config(stack):
    return stack.folder / "reload.toml"


@pytest.fixture
def server(stack, config):
    """A server whose file allows one second, and its client."""
    config.write_text(LIMITS.format(1000))
    config.chmod(0o644)
    address = stack.another_server("--config", config)
    return stack.extra_servers[-1], stack.client(address=address)


def reload(daemon, said):
    daemon.process.send_signal(signal.SIGHUP)
    eventually(lambda: said in daemon.log.read_text(), what=said)


def test_reload(config, server):
    daemon, client = server

    def status():
        return client.try_create(runtime="shell", code="true", timeout_ms=2000).status

    assert status() == 400
    config.write_text(LIMITS.format(5000) + "[server]\nmax_connections = 99\n")
    reload(daemon, "the configuration is reloaded")
    assert "server.max_connections changes with a restart only" in daemon.log.read_text()
    assert status() == 201
    config.write_text(LIMITS.format(1000) + "no_such_key = 1\n")
    reload(daemon, "the configuration stays as it was")
    assert status() == 201
