"""The errors a caller can handle; each message says what was given, what was expected and what to do."""

from snellen.redact import redacted


class SnellenError(Exception):
    """Base of every error Snellen raises on purpose; `exit_code` is what the command line returns for it."""

    exit_code = 1

    def __init__(self, message: str = "") -> None:
        super().__init__(redacted(message))  # a message names what was given, which may be a signed URL


class EngineError(SnellenError):
    """The work itself failed: a worker raised, or kept dying without an image to blame."""


class UsageError(SnellenError):
    """The call is wrong: an unknown name, an option that does not exist, a path that is not there."""

    exit_code = 2


class DataError(UsageError):
    """The data set cannot be opened or its classes cannot be understood."""


class ModelError(UsageError):
    """The model cannot be found, loaded or run as asked."""


class RunMismatch(UsageError):
    """The run directory holds a run of something else; nothing in it was touched."""


class Stopped(SnellenError):
    """The work stopped before its end and can be resumed by the same command."""

    exit_code = 3
