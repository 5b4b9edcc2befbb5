"""What the API owes HTTP: HEAD, OPTIONS, content types, conditional requests, other origins."""

import pytest

from support.client import assert_problem

ORIGIN = "https://app.example.com"
STACK_ENVIRONMENT = {"ATOLL_CORS_ORIGINS": f"{ORIGIN} http://localhost:3000"}
PUBLIC = ("/v1/health", "/openapi.json", "/docs")


@pytest.fixture
def page(private_stack):
    """The client that a page of a configured origin would be."""
    return private_stack.client()


def preflight(client, origin, path="/v1/projects", method="POST"):
    headers = {"Origin": origin, "Access-Control-Request-Method": method}
    return client.request("OPTIONS", path, headers=headers)


def cors_fields(response):
    return {name for name in response.headers if name.lower().startswith("access-control-")}


@pytest.mark.parametrize("path", [*PUBLIC, "/v1/projects", "/v1/sandboxes", "/sandboxes"])
def test_head_is_get_without_its_body(client, path):
    get, head = client.get(path), client.request("HEAD", path)
    assert (get.status, head.status) == (200, 200)
    assert head.body == b""
    assert head.headers["Content-Length"] == str(len(get.body))
    assert head.headers["Content-Type"] == get.headers["Content-Type"]


def test_options_names_the_methods(client):
    response = client.request("OPTIONS", "/v1/projects")
    assert response.status == 204
    assert {word.strip() for word in response.headers["Allow"].split(",")} == {"GET", "HEAD", "POST"}


@pytest.mark.parametrize("accept", ["text/html", "application/json;q=0", "image/*, text/*;q=0.5"])
def test_a_form_that_nobody_has_is_406(client, accept):
    assert_problem(client.get("/v1/projects", headers={"Accept": accept}), 406, "not_acceptable")


def test_a_406_names_every_form_that_there_is(client):
    problem = assert_problem(client.get("/v1/events", headers={"Accept": "text/html"}), 406)
    assert problem["detail"].endswith("application/json, text/event-stream")


@pytest.mark.parametrize(
    "accept", ["*/*", "application/*", "application/json", "text/html, */*;q=0.1", ""]
)
def test_json_is_given_to_whoever_takes_it(client, accept):
    assert client.get("/v1/projects", headers={"Accept": accept}).status == 200


def test_a_refused_form_changes_nothing(client):
    before = client.get("/v1/projects").json
    refused = client.post("/v1/projects", {"name": "unseen"}, headers={"Accept": "text/html"})
    assert refused.status in (403, 406)
    assert client.get("/v1/projects").json == before


@pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded", "text/json"])
def test_a_body_that_is_not_json_is_415(client, media):
    response = client.post("/v1/sandboxes", b"{}", headers={"Content-Type": media})
    assert_problem(response, 415, "unsupported_media_type")


def test_a_configured_origin_may_call(page):
    answer = preflight(page, ORIGIN)
    assert answer.status == 204
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert answer.headers["Vary"] == "Origin"
    assert "Access-Control-Allow-Credentials" not in answer.headers
    allowed = answer.headers["Access-Control-Allow-Headers"].lower()
    assert {
        "authorization", "content-type", "idempotency-key", "if-match", "last-event-id", "range",
        "x-routing-key",
    } <= set(allowed.split(", "))
    read = page.get("/v1/projects", headers={"Origin": "http://localhost:3000"})
    assert read.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
    assert {"ETag", "Content-Range", "Idempotency-Replayed", "X-Command-Policy"} <= set(
        read.headers["Access-Control-Expose-Headers"].split(", ")
    )


def test_a_page_may_read_a_problem(page):
    refused = page.get("/v1/nothing", headers={"Origin": ORIGIN})
    assert_problem(refused, 404)
    assert refused.headers["Access-Control-Allow-Origin"] == ORIGIN


def test_a_preflight_needs_no_token_and_tells_nothing(private_stack):
    anonymous = private_stack.client(token=None)
    there, nowhere = (preflight(anonymous, ORIGIN, path) for path in ("/v1/projects", "/nowhere"))
    assert (there.status, nowhere.status) == (204, 204)
    assert {name: there.headers[name] for name in cors_fields(there)} == {
        name: nowhere.headers[name] for name in cors_fields(nowhere)
    }


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "*", f"{ORIGIN}.evil.example", f"{ORIGIN}:444",
     "http://app.example.com", f"{ORIGIN} http://localhost:3000", ""],
)
def test_other_origins_may_not(page, origin):
    for response in (preflight(page, origin), page.get("/v1/projects", headers={"Origin": origin})):
        assert not cors_fields(response)
        assert response.headers["Vary"] == "Origin"


@pytest.mark.parametrize("origins", ["*", "null", "app.example.com", "https://a.example/", "ftp://a"])
def test_what_is_no_origin_stops_the_start(private_stack, origins):
    with pytest.raises(RuntimeError, match="cors_origins"):
        private_stack.another_server(ATOLL_CORS_ORIGINS=origins)
    private_stack.extra_servers.clear()


def test_the_page_runs_only_its_own_script(anonymous):
    response = anonymous.get("/docs")
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert policy.count("'sha256-") == 2
    assert b"http://" not in response.body and b"https://" not in response.body.replace(
        b"https://example.com/hook", b""
    )
