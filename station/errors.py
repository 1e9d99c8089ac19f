"""The few kinds of error that the program raises on purpose; each docstring says what to do about it.

Every message says what was expected, what came and what to do, in one line; the command line prints it as it stands.
"""

NO_MEMORY = "not enough memory; close other programs, or give this one more (ulimit -v)"


class StationError(Exception):
    """Base of all errors below. Catch this one to report any mistake that is not a defect of the program."""


class InputError(StationError):
    """Something the user gave cannot be used: a file, a folder, an option, a configuration key, a point.

    The program ends with exit code 2. Fix the input that the message names and start again.
    """


class ArtifactError(InputError):
    """A model folder is incomplete, altered or made for something else.

    Nothing is graded with a model that has not been verified. Copy the folder again from its origin, or export it again
    with ``rostfine trainer export``.
    """


class MessageError(StationError):
    """Bytes that arrived on a socket are not a valid message of this program's wire format (``docs/wire.md``).

    The receiver counts and drops it. A steady count means that two versions of the program talk to each other, or
    that another program writes to the endpoint.
    """


class MissingExtraError(InputError):
    """An optional package is needed and not installed. The message names the extra: ``pip install ".[EXTRA]"``."""


class ProcessError(StationError):
    """A process died or stopped making progress. The message names it and shows the end of its log."""


class SessionError(InputError):
    """A recorded session cannot be read, or a new one cannot be created where it was asked for.

    ``rostfine verify SESSION`` says what of a session is intact; the message names the place.
    """
