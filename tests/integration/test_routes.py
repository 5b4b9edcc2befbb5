"""What is not a route, and what is not a method of one."""

import pytest

from support.client import assert_problem

ID = "0" * 32
ROUTES = {
    "/health": {"GET"},
    "/sandbox": {"POST"},
    "/sandboxes": {"GET"},
    f"/sandbox/{ID}": {"GET", "DELETE"},
    f"/sandbox/{ID}/execute": {"POST"},
    f"/sandbox/{ID}/files": {"POST"},
}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


@pytest.mark.parametrize("path", ROUTES)
def test_wrong_method_is_405_and_says_which_are_right(client, path):
    for method in set(METHODS) - ROUTES[path]:
        response = client.request(method, path)
        assert_problem(response, 405, "method_not_allowed")
        allowed = {word.strip() for word in response.headers["Allow"].split(",")}
        assert ROUTES[path] <= allowed
        assert method not in allowed


@pytest.mark.parametrize(
    "path",
    ["/", "/sandboxs", "/sandbox/", f"/sandbox/{ID}/", f"/sandbox/{ID}/execute/x", "/Health",
     "//health", "/health/", "/index.html", "/etc/passwd", "/.git/config"],
)
def test_unknown_path_is_404(client, path):
    assert_problem(client.get(path), 404, "not_found")


def test_unknown_path_without_a_token_tells_nothing(anonymous):
    assert anonymous.get("/nothing").status in (401, 404)


def test_errors_carry_the_request_id(client):
    response = client.get("/nothing", headers={"X-Request-Id": "my-request"})
    assert response.headers["X-Request-Id"] == "my-request"
    assert response.json["request_id"] == "my-request"


@pytest.mark.parametrize("value", ["x" * 1000, "a b", "<script>", "\u00e4"])
def test_a_hostile_request_id_is_replaced(client, value):
    response = client.get("/sandboxes", headers={"X-Request-Id": value.encode("latin-1")})
    assert response.status in (200, 400)
    assert response.headers["X-Request-Id"] != value


def test_no_cross_origin_grants(client):
    response = client.request(
        "OPTIONS", "/sandbox",
        headers={"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"},
    )
    assert not [name for name in response.headers if name.lower().startswith("access-control-")]
