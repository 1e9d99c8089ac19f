from station.config import Config, ViewSettings
from station.session.provenance import begun, recorded_config, start_record
from station.session.pseudonym import Pseudonym
from station.session.records import StartRecord


def test_the_record_does_not_hold_the_name_of_the_machine_that_the_view_is_served_at() -> None:
    config = Config(view=ViewSettings(enabled=True, host="dr-miller-pc"))
    recorded = recorded_config(config, Pseudonym(config.source.kind))
    assert "dr-miller-pc" not in str(recorded)
    assert Config.model_validate(recorded).view == ViewSettings()


def test_what_is_known_before_a_session_begins_makes_a_record_that_can_be_read() -> None:
    config = Config()
    record = begun(start_record(config, Pseudonym(config.source.kind)), "20261127T120000Z-0001")
    assert StartRecord.model_validate(record.model_dump()) == record
    assert record.session == "20261127T120000Z-0001"
