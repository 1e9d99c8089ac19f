import pytest

from station.errors import InputError
from trainer.rating.study import Study, new_study, parse_study


def test_a_new_study_file_is_valid_and_says_the_defaults() -> None:
    assert parse_study(new_study("Spring"), "study.toml") == Study(title="Spring")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "'title': expected a value"),
        ('title = "x"\nrepeat = 0.1', "unknown key 'repeat', did you mean 'repeats'?"),
        ('title = "x"\nrepeats = 0.7', "'repeats': expected at most 0.5, got 0.7"),
        ('title = "x"\nraters = 5\nraters_per_clip = 9', "raters_per_clip is 9, but raters only 5; raise raters"),
        ('title = "x"\nclips = ["a", "a"]', "clip 'a' is twice in clips"),
        ('title = "x"\n[[calibration]]\nclip = "a"\ngrade = "F"', "'calibration"),
        ('title = "x"\n[grades]\nF = "no"', "unknown key 'grades.F'"),
        ('title = "x"\n[server]\nurl = "rating.example.org"', "the address of the server, such as https://"),
        ('title = "x"\nseed = 1.5', "'seed': expected a whole number"),
        ("title = x", "not valid TOML"),
    ],
)
def test_a_mistake_is_one_line_with_the_key_and_what_to_do(text: str, words: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_study(text, "study.toml")
    assert words in str(refused.value)
    assert str(refused.value).startswith("study.toml: ")
    assert "\n" not in str(refused.value)
