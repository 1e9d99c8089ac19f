"""What is kept about sperm stays bounded, and what was said last is what is kept."""

from station.recent import RECENT_SPERM, put_recent


def test_ten_thousand_sperm_leave_the_latest_hundred() -> None:
    kept: dict[int, int] = {}
    for sperm_id in range(10_000):
        put_recent(kept, sperm_id, sperm_id)
        put_recent(kept, 0, sperm_id)  # one of them is tracked all along
    assert len(kept) == RECENT_SPERM
    assert kept[0] == 9_999
    assert set(kept) - {0} == set(range(10_000 - RECENT_SPERM + 1, 10_000))
