import contextlib
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack

import cv2
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed

from capture.simulator.microscope import SimulatedMicroscope
from station.transport.messages import TrackState
from station.view.page_session import IN_FLIGHT, MOST_BAD, SLOW_S
from station.view.server import MOST_PAGES, ViewServer
from tests.support.looked_at_field import SETTINGS, Obedient, PlayedStation, looked_at
from tests.support.page_client import answer_to, keep_saying, next_picture, open_page, say
from tracker.window import crop_into


@pytest.fixture
def commands() -> Obedient:
    return Obedient()


@pytest.fixture
def view(commands: Obedient) -> Iterator[tuple[ViewServer, PlayedStation]]:
    with looked_at(commands=commands) as found:
        yield found


def test_a_picture_travels_with_the_tracks_and_crops_of_the_same_frame(
    view: tuple[ViewServer, PlayedStation],
) -> None:
    server, played = view
    with open_page(server.address.link) as page:
        say(page, kind="look", scale=0.5, cards=list(played.numbers.values()))
        head, jpeg, crops = next_picture(page)
        seq = head["frame_seq"]
        truth = {track.sperm_id: track for track in played.tracks(seq)}
        assert {card["sperm_id"]: (card["x"], card["y"]) for card in head["cards"]} == {
            number: (track.x, track.y) for number, track in truth.items()
        }
        frame = SimulatedMicroscope(SETTINGS).render(seq)  # the one that plays is in use
        picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_UNCHANGED)
        assert picture.shape == (240, 320)
        small = cv2.resize(frame, (320, 240), interpolation=cv2.INTER_AREA)
        assert np.abs(picture.astype(int) - small).mean() < 3
        assert set(crops) == {number for number, track in truth.items() if track.state is not TrackState.LOST}
        for number, track in ((number, truth[number]) for number in crops):  # the very pixels that enter the window
            expected = np.empty((150, 150), np.uint8)
            crop_into(expected, frame, track.x, track.y)
            assert np.array_equal(crops[number], expected)


def test_what_a_page_asks_for_comes_with_the_picture_and_else_does_not(
    view: tuple[ViewServer, PlayedStation],
) -> None:
    server, played = view
    played.candidates = [[111.0, 222.0]]
    with open_page(server.address.link) as page:
        number = min(played.numbers.values())
        say(page, kind="look", scale=0.1, cards=[], attention=number, ranking=True)
        head = {"cards": []}
        while not any(card.get("attention") for card in head["cards"]):
            head, _, _ = next_picture(page)
            say(page, kind="shown", frame_seq=head["frame_seq"])
        (card,) = (card for card in head["cards"] if card["attention"])
        shares = {patch: share for patch, share in enumerate(card["attention"]) if share}
        assert (card["sperm_id"], len(card["attention"]), shares) == (number, 25, {0: 1.0, 7: 0.5, 24: 0.5})
        assert head["ranking"][0].endswith("it is no recommendation.")
        assert head["candidates"] == [[111.0, 222.0]]
        say(page, kind="look", scale=0.1, cards=[])
        while head["ranking"]:
            head, _, _ = next_picture(page)
            say(page, kind="shown", frame_seq=head["frame_seq"])
        assert not any(card["attention"] for card in head["cards"])


def test_a_page_that_draws_nothing_is_sent_no_more(view: tuple[ViewServer, PlayedStation]) -> None:
    server, played = view
    with open_page(server.address.link) as page:
        say(page, kind="look", scale=0.25, cards=[])
        sent = [next_picture(page)[0]["frame_seq"] for _ in range(IN_FLIGHT)]
        with pytest.raises(TimeoutError):
            next_picture(page, 0.7)
        before = played.played
        say(page, kind="shown", frame_seq=sent[-1])
        assert next_picture(page)[0]["frame_seq"] >= before - 1  # the newest, not what was missed


def test_a_page_that_draws_slowly_is_sent_one_at_a_time_until_it_is_quick(
    view: tuple[ViewServer, PlayedStation],
) -> None:
    server, _ = view
    with open_page(server.address.link) as page:
        say(page, kind="look", scale=0.25, cards=[])
        sent = [next_picture(page)[0]["frame_seq"] for _ in range(IN_FLIGHT)]
        time.sleep(3 * SLOW_S)
        say(page, kind="shown", frame_seq=sent[-1])
        newest = next_picture(page)[0]["frame_seq"]
        with pytest.raises(TimeoutError):
            next_picture(page, 0.7)
        for _ in range(10):
            for _ in range(5):
                say(page, kind="shown", frame_seq=newest)  # at once
                newest = next_picture(page)[0]["frame_seq"]
            with contextlib.suppress(TimeoutError):
                assert next_picture(page, 0.3)[0]["frame_seq"] > newest  # the second is back
                return
        pytest.fail("a page that has become quick is sent one picture at a time")


def test_a_stopped_page_changes_nothing_for_another(view: tuple[ViewServer, PlayedStation]) -> None:
    server, played = view
    with open_page(server.address.link) as stopped, open_page(server.address.link) as page:
        say(stopped, kind="look", scale=1.0, cards=[1, 2, 3, 4])
        say(page, kind="look", scale=0.5, cards=[])
        seen = []
        start = played.played
        while len(seen) < 15:
            head, _, _ = next_picture(page)
            seen.append(head["frame_seq"])
            say(page, kind="shown", frame_seq=head["frame_seq"])
        assert seen == sorted(set(seen))
        assert played.played - start <= 30


def test_grades_of_the_last_minute_come_once(view: tuple[ViewServer, PlayedStation]) -> None:
    server, _ = view
    time.sleep(2.0)
    with open_page(server.address.link) as page:
        say(page, kind="look", scale=0.25, cards=[])
        seen: list[tuple[int, float]] = []
        for _ in range(8):
            head, _, _ = next_picture(page)
            seen += [(past["sperm_id"], past["t_ms"]) for past in head["past"]]
            say(page, kind="shown", frame_seq=head["frame_seq"])
        assert len(seen) > 8
        assert len(seen) == len(set(seen))


def test_a_request_reaches_the_command_client_and_its_answer_comes_back(
    view: tuple[ViewServer, PlayedStation], commands: Obedient
) -> None:
    server, _ = view
    with open_page(server.address.link) as page:
        say(page, kind="ask", number=7, name="select", x=12.5, y=30.0)
        answer = answer_to(page, 7)
    assert answer["done"]
    assert answer["text"] == "select: done"
    (asked,) = commands.asked
    assert (asked.name, asked.x, asked.y) == ("select", 12.5, 30.0)


def test_where_the_view_only_shows_a_request_is_refused_in_words() -> None:
    with looked_at() as (server, _), open_page(server.address.link) as page:
        say(page, kind="ask", number=1, name="select", x=1.0, y=1.0)
        answer = answer_to(page, 1)
        assert not answer["done"]
        assert "only shows" in answer["text"]


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", '{"kind":"other"}', '{"kind":"look","scale":0,"cards":[]}',
        '{"kind":"look","scale":"1","cards":[]}',
        '{"kind":"look","scale":1,"cards":[],"more":1}', '{"kind":"shown","frame_seq":-1}',
        '{"kind":"look","scale":NaN,"cards":[]}', '{"kind":"ask","number":1,"name":"Select!"}',
        '{"kind":"look","scale":1,"cards":' + str(list(range(17))) + "}",
    ],
)  # fmt: skip
def test_what_cannot_be_understood_is_passed_over(view: tuple[ViewServer, PlayedStation], text: str) -> None:
    server, _ = view
    with open_page(server.address.link) as page:
        page.send(text)
        say(page, kind="look", scale=0.25, cards=[])
        assert next_picture(page)


def test_a_page_that_talks_nonsense_is_shut_out_and_the_others_go_on(view: tuple[ViewServer, PlayedStation]) -> None:
    server, _ = view
    with open_page(server.address.link) as good:
        for nonsense in ("x", "y" * 100_000):
            with open_page(server.address.link) as bad, pytest.raises(ConnectionClosed):
                keep_saying(bad, [nonsense] * (MOST_BAD + 2))
        say(good, kind="look", scale=0.25, cards=[])
        assert next_picture(good)


def test_a_flood_of_requests_is_bounded(view: tuple[ViewServer, PlayedStation], commands: Obedient) -> None:
    server, _ = view
    with open_page(server.address.link) as flood, open_page(server.address.link) as page:
        asks = [json.dumps({"kind": "ask", "number": k, "name": "select", "x": 1.0, "y": 1.0}) for k in range(5000)]
        with pytest.raises(ConnectionClosed):
            keep_saying(flood, asks)
        say(page, kind="look", scale=0.25, cards=[])
        assert next_picture(page)
    assert len(commands.asked) <= 500


def test_only_so_many_pages_at_once(view: tuple[ViewServer, PlayedStation]) -> None:
    server, _ = view
    with ExitStack() as pages:
        for _ in range(MOST_PAGES):
            pages.enter_context(open_page(server.address.link)).recv(timeout=10)
        with open_page(server.address.link) as one_more, pytest.raises(ConnectionClosed, match="look on already"):
            one_more.recv(timeout=10)


def test_a_silent_tracker_and_a_disturbance_are_said(view: tuple[ViewServer, PlayedStation]) -> None:
    server, played = view
    played.disturbance = "stage moving"
    with open_page(server.address.link) as page:
        say(page, kind="look", scale=0.25, cards=[])
        head = {}
        for _ in range(20):
            head, _, _ = next_picture(page)
            say(page, kind="shown", frame_seq=head["frame_seq"])
            if head["disturbance"]:
                break
        assert head["disturbance"] == "stage moving"
        played.silent_tracker.set()
        for _ in range(40):
            head, _, _ = next_picture(page)
            say(page, kind="shown", frame_seq=head["frame_seq"])
            if not head["tracked"]:
                break
        assert not head["tracked"]
        assert head["cards"] == []
