from station.transport.messages import GradeInfo, KinematicsInfo, Trace, Validity
from station.view.cards import HISTORY_S, GradeHistory, kinematics_in_words

S = 1_000_000_000


def grade(sperm_id: int, t_s: float) -> GradeInfo:
    trace = Trace(t_exposure_ns=round(t_s * S), t_sent_ns=0)
    shares = [0.2] * 5
    return GradeInfo(
        sperm_id=sperm_id, frame_seq=1, x=0.0, y=0.0, grade=shares, heads=[shares] * 3, validity=Validity.VALID,
        trace=trace,
    )  # fmt: skip


def test_history_is_of_the_last_minute_and_told_once() -> None:
    history = GradeHistory()
    for second in range(100):
        history.add(grade(1, float(second)))
    assert len(history.since(0)) == HISTORY_S + 1
    seen = history.end
    assert history.since(seen) == []
    history.add(grade(2, 100.0))
    assert [past.sperm_id for past in history.since(seen)] == [2]
    assert history.newest[1].trace.t_exposure_ns == 99 * S


def test_kinematics_are_given_in_words_or_refused_in_words() -> None:
    assert kinematics_in_words(None) == ""
    assert kinematics_in_words(KinematicsInfo(refused="um/px is not set")) == "no kinematics: um/px is not set"
    found = KinematicsInfo(vcl_um_s=84.2, lin=0.713, rate_hz=15.0, motility="rapidly progressive")
    assert kinematics_in_words(found) == "VCL 84 \u00b5m/s, LIN 0.71 at 15 frames/s"
