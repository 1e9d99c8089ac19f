import http.client
from collections.abc import Iterator

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from station.errors import InputError
from station.view.access import Address
from station.view.hub import Hub
from station.view.server import PAGE, ViewServer
from tests.support.looked_at_field import looked_at


@pytest.fixture(scope="module")
def server() -> Iterator[ViewServer]:
    with looked_at() as (server, _):
        yield server


def get(server: ViewServer, path: str, method: str = "GET", **headers: str) -> http.client.HTTPResponse:
    address = server.address
    connection = http.client.HTTPConnection(address.host, address.port, timeout=10)
    given = {"Host": f"{address.host}:{address.port}"} | headers
    connection.putrequest(method, path, skip_host=True)
    for name, value in given.items():
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    response.read()
    connection.close()
    return response


def test_the_link_opens_the_page_and_each_of_its_files(server: ViewServer) -> None:
    token = server.address.token
    assert get(server, f"/{token}/").status == 200
    for path in PAGE.iterdir():
        answer = get(server, f"/{token}/{path.name}")
        assert answer.status == 200
        assert answer.headers["Cache-Control"] == "no-store"
    assert get(server, f"/{token}/../server.py").status == 404
    assert get(server, f"/{token}/nothing.js").status == 404


@pytest.mark.parametrize("path", ["/", "/index.html", "/wrong/", "/live", "//", "/%00/", "/%F0%28/"])
def test_without_the_token_everything_is_refused(server: ViewServer, path: str) -> None:
    assert get(server, path).status == 403


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "localhost:1", "127.0.0.1.evil.example:{port}", ""])
def test_another_host_is_refused(server: ViewServer, host: str) -> None:
    answer = get(server, f"/{server.address.token}/", Host=host.format(port=server.address.port))
    assert answer.status == 421


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_only_reading_by_get(server: ViewServer, method: str) -> None:
    assert get(server, f"/{server.address.token}/", method).status == 405


def test_a_foreign_origin_is_refused_even_with_the_token(server: ViewServer) -> None:
    path = f"/{server.address.token}/"
    assert get(server, path, Origin="http://evil.example").status == 403
    assert get(server, path, Origin="null").status == 403


def test_the_page_may_load_nothing_from_elsewhere(server: ViewServer) -> None:
    headers = get(server, f"/{server.address.token}/").headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Server"] is None
    for path in PAGE.iterdir():
        text = path.read_text()
        assert "https://" not in text
        assert "innerHTML" not in text
        assert "eval(" not in text


def test_a_websocket_needs_token_host_and_origin(server: ViewServer) -> None:
    address = server.address
    here = f"{address.host}:{address.port}"
    good = f"ws://{here}/{address.token}/live"
    with connect(good, origin=f"http://{here}") as socket:  # type: ignore[arg-type]
        assert "overview" in str(socket.recv(timeout=10))
    for url, origin in (
        (good, "http://evil.example"),
        (good, "null"),
        (good, None),
        (f"ws://{here}/wrong/live", f"http://{here}"),
        (f"ws://{here}/live", f"http://{here}"),
    ):
        with pytest.raises(InvalidStatus) as refused, connect(url, origin=origin):  # type: ignore[arg-type]
            pass
        assert refused.value.response.status_code == 403


def test_each_run_has_a_token_of_its_own_that_nobody_guesses() -> None:
    tokens = {Address.create("127.0.0.1", 1).token for _ in range(100)}
    assert len(tokens) == 100
    assert min(map(len, tokens)) >= 43


def test_other_machines_only_at_an_address_that_is_named() -> None:
    assert Address.create("127.0.0.1", 1).local
    assert not Address.create("lab-pc", 1).local
    assert Address.create("lab-pc", 80).hosts == {"lab-pc:80"}
    for host in ("0.0.0.0", "", "::"):
        with pytest.raises(InputError, match="names no one address"):
            ViewServer(None, host, 0)  # type: ignore[arg-type]


def test_a_port_in_use_is_the_users_to_change(server: ViewServer) -> None:
    with pytest.raises(InputError, match="cannot listen"):
        ViewServer(Hub.__new__(Hub), "127.0.0.1", server.address.port)
