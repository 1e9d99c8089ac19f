from station.config import Config, ViewSettings
from station.session.provenance import recorded_config
from station.session.pseudonym import Pseudonym


def test_the_record_does_not_hold_the_name_of_the_machine_that_the_view_is_served_at() -> None:
    config = Config(view=ViewSettings(enabled=True, host="dr-miller-pc"))
    recorded = recorded_config(config, Pseudonym(config.source.kind))
    assert "dr-miller-pc" not in str(recorded)
    assert Config.model_validate(recorded).view == ViewSettings()
