"""The offset of another clock, from exchanges over a link whose delays are known."""

import random

from capture.remote.clock_offset import ClockOffset, Exchange

MS = 1_000_000
S = 1000 * MS


def exchange(t_ns: int, offset_ns: int, there_ns: int, back_ns: int, held_ns: int = 0) -> Exchange:
    heard_ns = t_ns + there_ns + offset_ns
    return Exchange(t_ns, heard_ns, heard_ns + held_ns, t_ns + there_ns + held_ns + back_ns)


def test_equal_ways_give_the_offset_itself() -> None:
    clocks = ClockOffset()
    assert clocks.at(0) is None
    clocks.add(exchange(5 * S, -3 * S, 20 * MS, 20 * MS, held_ns=7 * MS))
    assert clocks.at(5 * S + 47 * MS) == (-3 * S, 20 * MS + 1)


def test_the_true_offset_is_within_the_error_whatever_the_delays() -> None:
    draw = random.Random(1)
    for _ in range(200):
        clocks, offset, t = ClockOffset(), draw.randrange(-100 * S, 100 * S), 200 * S
        for _ in range(40):
            clocks.add(
                exchange(t, offset, draw.randrange(1, 80 * MS), draw.randrange(1, 80 * MS), draw.randrange(5 * MS))
            )
            t += 250 * MS
        found = clocks.at(t)
        assert found is not None
        assert abs(found[0] - offset) <= found[1]


def test_the_shortest_exchange_counts_and_grows_less_certain() -> None:
    clocks = ClockOffset()
    clocks.add(exchange(0, 10 * MS, 1 * MS, 1 * MS))
    clocks.add(exchange(1 * S, 10 * MS, 90 * MS, 2 * MS))
    assert clocks.at(2 * S) == (10 * MS, 1 * MS + 1 + round((2 * S - 2 * MS) * 600e-6))
    clocks.add(exchange(70 * S, 10 * MS, 9 * MS, 9 * MS))
    found = clocks.at(70 * S + 18 * MS)
    assert found == (10 * MS, 9 * MS + 1), "what is older than a minute is forgotten"


def test_an_exchange_that_cannot_be_is_left_out() -> None:
    clocks = ClockOffset()
    clocks.add(Exchange(10, 30, 20, 40))
    clocks.add(Exchange(10, 20, 30, 5))
    clocks.add(Exchange(10, 20, 60, 40))
    assert clocks.at(50) is None


def test_after_a_sleep_the_new_offset_holds_at_once() -> None:
    """This machine's clock stood still for 600 s, and the link is busier than before."""
    clocks = ClockOffset()
    clocks.add(exchange(100 * S, 900 * S, MS // 5, MS // 5))
    clocks.add(exchange(101 * S, 1500 * S, 3 * MS, 4 * MS))
    found = clocks.at(102 * S)
    assert found is not None
    assert abs(found[0] - 1500 * S) <= found[1] < 5 * MS


def test_a_clock_that_is_being_set_stays_within_the_error() -> None:
    clocks = ClockOffset()
    for k in range(400):
        t = k * S // 4
        offset = round(t * 550e-6)
        clocks.add(exchange(t, offset, MS // 5, MS // 5))
        found = clocks.at(t + MS)
        assert found is not None
        assert abs(found[0] - offset) <= found[1] + 1000
