"""The server to those who speak to it without a browser: what is refused, what is told, and that nothing leaks."""

import http.client
import json
import socket
import time
from collections.abc import Iterator

import cv2
import numpy as np
import pytest

pytest.importorskip("uvicorn", reason="the rating server needs the extra rate")

from tests.support.rating_study import BROWSER, SHAPE, Link, Served, given, served
from trainer.data.clip_files import read_clip
from trainer.rating.links import make_link
from trainer.rating.page_messages import MOST_BODY_BYTES
from trainer.rating.records import Person
from trainer.rating.server import PAGE
from trainer.rating.store import now_ms


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    text = 'repeats = 0.2\nbrowsers = 2\n[[calibration]]\nclip = "clip-001"\ngrade = "B"\nwhy = "fast"'
    with served(tmp_path_factory.mktemp("served"), text, clips=20, raters=("anna", "ben", "cleo", "dan")) as found:
        found.raters["anna"].get("api/clip/0")  # its thread is there before any test looks for threads left behind
        yield found


def refusals(study: Served, awaited: set[str]) -> set[str]:
    """The kinds that were counted, once those awaited are written down."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with study.open_store() as store:
            kinds = {kind for _, kind, peer, _ in store.refusals() if peer == "127.0.0.1"}
        if awaited <= kinds:
            return kinds
        time.sleep(0.2)
    raise AssertionError(awaited)


def test_a_rater_gets_the_clips_of_the_order_losslessly_and_no_word_of_which_they_are(study: Served) -> None:
    anna = study.raters["anna"]
    state = anna.get("api/state")
    with study.open_store() as store:
        order = [item for item, _ in store.items("anna")]
    assert state.json["positions"] == list(range(len(order)))
    assert b"clip-0" not in state.body
    assert b"repeat" not in state.body
    for position in (0, 5):
        answer = anna.get(f"api/clip/{position}")
        picture = cv2.imdecode(np.frombuffer(answer.body, np.uint8), cv2.IMREAD_UNCHANGED).reshape(SHAPE)
        clip = read_clip(study.data / "clips" / f"{int(order[position].clip[5:])}.npz")
        np.testing.assert_array_equal(picture, clip)
        assert answer.headers["x-clip-fps"] == "15"
        assert "clip-0" not in str(answer.headers)
    assert answer.headers["cache-control"] == "no-store"


def test_votes_are_answered_when_kept_and_the_agreed_grade_is_told_after_the_vote(study: Served) -> None:
    ben = study.raters["ben"]
    assert ben.get("api/state").json["agreed"] == []
    one, two = given(0, "A"), given(1, reason="other", note="=1+1\n<script>")
    answer = ben.vote(one, two)
    assert [found["counts"] for found in answer.json["answers"]] == [True, True]
    assert answer.json["agreed"] == [{"position": 0, "grade": "B", "why": "fast"}]
    assert ben.vote(one, two).json["answers"] == answer.json["answers"]
    assert [(g["position"], g["grade"]) for g in ben.get("api/state").json["graded"]] == [(0, "A"), (1, "")]
    with study.open_store() as store:
        assert len(store.history()) == 2
        assert store.history()[1].note == "=1+1 <script>"
    assert study.raters["anna"].get("api/state").json["graded"] == []  # no sight of others' votes


def test_a_clip_that_cannot_be_shown_is_said_to_be_none(study: Served) -> None:
    anna = study.raters["anna"]
    assert "x-clip" not in anna.get("api/clip/9999").headers
    with study.open_store() as store:
        clip = store.items("anna")[7][0].clip
    path = study.data / "clips" / f"{int(clip[5:])}.npz"
    kept = path.read_bytes()
    path.write_bytes(b"damaged")
    try:
        answers = [anna.get("api/clip/7") for _ in range(2)]
    finally:
        path.write_bytes(kept)
    assert [(answer.status, answer.headers["x-clip"]) for answer in answers] == [(404, "none")] * 2
    with study.open_store() as store:
        assert sum(f"clip {clip} cannot be shown" in what for _, what in store.log()) == 1


def test_every_file_of_the_page_comes_and_no_other(study: Served) -> None:
    anna = study.raters["anna"]
    for path in PAGE.iterdir():
        expected = 404 if path.name == "lead.html" else 200
        assert anna.get(path.name).status == expected, path
    policy = anna.get().headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for path in PAGE.iterdir():
        text = path.read_text()
        assert "https://" not in text
        assert "innerHTML" not in text
        assert "eval(" not in text


@pytest.mark.parametrize(
    "path",
    ["../server.py", "..%2f..%2fserver.py", "%2e%2e/ratings.sqlite", "api/clip/../../x", "api/clip/-1", "api/clip/9999",
     "api/clip/0x1", "study.toml", "ratings.sqlite", "api", "api/", "api/state/x", "clips/0.npz", "//etc/passwd",
     "%00", "rater.html%00.js", "api/report"],
)  # fmt: skip
def test_nothing_else_is_there(study: Served, path: str) -> None:
    answer = study.raters["anna"].get(path)
    assert answer.status in (400, 403, 404), answer.body
    assert b"Traceback" not in answer.body
    assert b"/" not in answer.body.replace(b"</", b"")


def test_bad_links_open_nothing_and_say_why(study: Served) -> None:
    base = study.raters["anna"].base
    with study.open_store() as store, store.all_or_nothing():
        old = make_link(store, Person("rater", "dan"), 1, now_ms() - 2 * 86_400_000)
    with study.open_store() as store, store.all_or_nothing():
        taken_back = make_link(store, Person("rater", "dan"), 1, now_ms())
        make_link(store, Person("rater", "dan"), 1, now_ms())
    for word, why in (("x" * 43, "not known"), (old, "taken back"), (taken_back, "taken back"), ("a/b", "not known")):
        for path in ("", "api/state", "api/clip/0"):
            answer = Link(base, word).get(path)
            assert answer.status == 403
            assert why in answer.body.decode()
    with study.open_store() as store, store.all_or_nothing():
        expired = make_link(store, Person("rater", "dan"), 1e-9, now_ms() - 1000)
    assert b"has ended" in Link(base, expired).get("api/clip/0").body
    assert {"unknown link", "revoked link", "expired link"} <= refusals(study, {"expired link"})


def test_a_link_that_went_round_is_refused_in_the_third_browser(study: Served) -> None:
    cleo = study.raters["cleo"]
    found = [Link(cleo.base, cleo.word, f"{k % 3:032x}").get("api/state").status for k in (0, 1, 2, 0, 1)]
    assert found == [200, 200, 403, 200, 200]
    refused = Link(cleo.base, cleo.word, "f" * 32).get("api/clip/0")
    assert (refused.status, b"opened in 2 browsers already" in refused.body) == (403, True)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421), ({"Origin": "http://evil.example"}, 403), ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403), ({"X_Browser": ""}, 400), ({"X_Browser": "../../x"}, 400),
        ({"Content_Type": "text/plain"}, 415), ({"Content_Type": "multipart/form-data"}, 415),
    ],
)  # fmt: skip
def test_requests_from_elsewhere_are_refused(study: Served, headers: dict[str, str], status: int) -> None:
    assert study.raters["anna"].post(b'{"acts": []}', **headers).status == status


def act(**changes: object) -> dict[str, object]:
    one = given(2, "B")
    return {"id": one.id, "position": 2, "base": "", "grade": "B", "shown_ms": 1, "t_page_ms": 1} | changes


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b'{"acts": []}', b"\xff\xfe", b'{"acts": [' + b"[" * 5000,
        json.dumps({"acts": [act(grade="F")]}).encode(), json.dumps({"acts": [act(position=-1)]}).encode(),
        json.dumps({"acts": [act(position=999)]}).encode(), json.dumps({"acts": [act(position="2")]}).encode(),
        json.dumps({"acts": [act(id="1")]}).encode(), json.dumps({"acts": [act(id="../../x")]}).encode(),
        json.dumps({"acts": [act(reason="other")]}).encode(), json.dumps({"acts": [act(note="x" * 501)]}).encode(),
        json.dumps({"acts": [act(rater="ben")]}).encode(), json.dumps({"acts": [act()] * 201}).encode(),
        json.dumps({"acts": [act(grade="", reason="| whatever |")]}).encode(), b'{"acts": [{"id": 1e999}]}',
    ],
)  # fmt: skip
def test_malformed_votes_are_refused_and_keep_nothing(study: Served, body: bytes) -> None:
    answer = study.raters["anna"].post(body)
    assert answer.status == 422
    assert set(answer.json) == {"why"}
    with study.open_store() as store:
        assert store.heads("anna") == []


def test_oversized_requests_and_headers_are_refused(study: Served) -> None:
    anna = study.raters["anna"]
    assert anna.post(b" " * (MOST_BODY_BYTES + 1)).status == 413
    assert anna.get("x" * 20_000).status in (0, 400, 404, 414, 431)
    assert anna.get("api/state", X_Long="y" * 200_000).status in (0, 400, 431)
    with socket.create_connection(
        ("127.0.0.1", int(anna.base.rpartition(":")[2])), timeout=10
    ) as raw:  # no length told
        head = (
            f"POST /{anna.word}/api/acts HTTP/1.1\r\nHost: {anna.base[7:]}\r\nOrigin: {anna.base}\r\n"
            f"X-Browser: {BROWSER}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        raw.sendall(head.encode())
        chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        try:
            for _ in range(8):
                raw.sendall(chunk)
            said = raw.recv(200)
        except (ConnectionError, BrokenPipeError):
            said = b"HTTP/1.1 413"
    assert b" 413" in said
    for method in ("PUT", "DELETE", "OPTIONS", "TRACE"):
        connection = http.client.HTTPConnection(anna.base[7:], timeout=10)
        connection.request(method, f"/{anna.word}/api/state", headers={"X-Browser": BROWSER})
        assert connection.getresponse().status == 405
        connection.close()
