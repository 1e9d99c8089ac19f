"""The errors of a typed model as sentences for people: where, what was expected, what came, the nearest valid name.

All mistakes are named at once. It knows pydantic's kinds of error, not what any key means.
"""

import difflib
from typing import Any, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

MOST_SHOWN = 200
"""Characters of a wrong value."""
EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text in quotes",
    "literal_error": "{expected}",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than": "less than {lt:g}",
    "less_than_equal": "at most {le:g}",
    "model_type": "a section of keys, [name]",
    "model_attributes_type": "a section of keys, [name]",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a table {{ key = value }}",
    "too_long": "no more than {max_length} values",
    "too_short": "at least {min_length} values",
    "missing": "a value",
}


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Return one line with all problems of a validation error."""
    problems: dict[str, list[ErrorDetails]] = {}
    for found in error.errors(include_url=False):
        problems.setdefault(_place(model, found), []).append(found)
    sentences = [_sentence(model, place, found) for place, found in problems.items()]
    if len(sentences) == 1:
        return sentences[0]
    return f"{len(sentences)} mistakes: " + "; ".join(f"({i}) {text}" for i, text in enumerate(sentences, 1))


def _sentence(model: type[BaseModel], place: str, found: list[ErrorDetails]) -> str:
    first = found[0]
    if first["type"] == "json_invalid":
        return f"not valid JSON ({first.get('ctx', {}).get('error', '')})"
    if first["type"] == "extra_forbidden":
        names = _field_names(model, first["loc"][:-1])
        near = difflib.get_close_matches(str(first["loc"][-1]), names, n=1, cutoff=0.0)
        return f"unknown key '{place}', did you mean '{near[0]}'? (valid here: {', '.join(names)})"
    expected = " or ".join(dict.fromkeys(_expected(problem) for problem in found))
    return f"'{place}': expected {expected}, got {_shown(first['input'], found)}"


def _expected(problem: ErrorDetails) -> str:
    """Return what would have been right, in a few words; for an alternative, one of them."""
    words = EXPECTED.get(problem["type"])
    if words is not None:
        return words.format(**problem.get("ctx", {}))
    message = problem["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return f"{message[0].lower()}{message[1:]}"


def _shown(value: Any, found: list[ErrorDetails]) -> str:
    """Return a wrong value as the person wrote it; a number in quotes is named as such."""
    if isinstance(value, str):
        number_wanted = any(problem["type"].startswith(("int", "float")) for problem in found)
        return f"'{value}'" + ("; leave the quotes out" if number_wanted and _is_number(value) else "")
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _place(model: type[BaseModel], problem: ErrorDetails) -> str:
    """Return the key's path, without the names that pydantic gives to alternatives of a type."""
    parts: list[str] = []
    inner: type[BaseModel] | None = model
    of_table = False
    for number, part in enumerate(problem["loc"]):
        if inner is not None:
            parts.append(str(part))
            annotation = inner.model_fields[str(part)].annotation if str(part) in inner.model_fields else None
            inner = annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None
            of_table = get_origin(annotation) is dict
        elif isinstance(part, int) or (of_table and number == len(parts)):
            parts.append(str(part))
            of_table = False
    return ".".join(parts)


def _field_names(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """Return the valid keys of the (sub)model that a location leads to."""
    for part in loc:
        inner = model.model_fields[str(part)].annotation if str(part) in model.model_fields else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            break
        model = inner
    return list(model.model_fields)
