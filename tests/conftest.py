"""Fixtures: one stack for the whole session, others for tests that need their own limits."""

import concurrent.futures
import contextlib
import signal
import sys

import pytest

from support.processes import Processes, new_sandbox
from support.stack import Stack
from support.tenancy import as_role


def pytest_sessionstart():
    """A run that is told to stop takes its stacks down, as after Ctrl-C. What it ignores, started in
    the background or by nohup, the programs under test do not: a handler is not inherited."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


@contextlib.contextmanager
def running(**options):
    """A started stack that is clean at its end, whatever its tests did."""
    stack = Stack(**options)
    try:
        yield stack.start()
        stack.assert_clean()
        stack.stop()
        assert not stack.leftovers(), "left after the daemons stopped"
    except BaseException:
        print(stack.logs())
        raise
    finally:
        stack.remove()


@pytest.fixture(scope="session")
def stack():
    with running() as started:
        yield started


@pytest.fixture(scope="module")
def private_stack(request):
    """A stack for one module alone, configured by the module's STACK_ENVIRONMENT."""
    with running(**getattr(request.module, "STACK_ENVIRONMENT", {})) as started:
        yield started


@pytest.fixture(autouse=True)
def daemons_alive(request):
    """A daemon that died fails the test that it died in, and runs again for the next."""
    yield
    for name in {"stack", "private_stack"} & set(request.fixturenames):
        started = request.getfixturevalue(name)
        dead = [daemon for daemon in started.daemons.values() if not daemon.alive]
        reports = [f"{daemon.name} ended with {daemon.process.returncode}" for daemon in dead]
        for daemon in dead:
            daemon.start()
        assert not reports, reports


@pytest.fixture
def client(stack):
    return stack.client()


@pytest.fixture
def calls(private_stack):
    """A client of the module's own stack."""
    return private_stack.client()


@pytest.fixture
def other(stack):
    """A client of another tenant."""
    return stack.tenant_client("other")


@pytest.fixture
def anonymous(stack):
    return stack.client(token=None)


@pytest.fixture
def operator(stack):
    return as_role(stack, "operator")


@pytest.fixture
def sandbox_id(stack, client):
    """A sandbox of /v1."""
    made = new_sandbox(client)
    yield made
    # A test may have started the server anew, at another port, or deleted the sandbox.
    assert stack.client().request("DELETE", f"/v1/sandboxes/{made}").status in (204, 404)


@pytest.fixture
def processes(client, sandbox_id):
    return Processes(client, sandbox_id)


@pytest.fixture
def pool():
    """Threads for calls that are to meet."""
    with concurrent.futures.ThreadPoolExecutor(32) as executor:
        yield executor


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Adds the daemons' last log lines to the report of a failed test."""
    report = (yield).get_result()
    if report.failed and call.when == "call":
        for value in item.funcargs.values():
            if isinstance(value, Stack):
                report.sections.append(("daemon logs", value.logs()))
