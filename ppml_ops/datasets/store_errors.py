"""What the clients of remote stores raise, as errors that say who must act. Pure."""

import errno

from ppml_ops.errors import ConfigError, PpmlError, TransientError

#: As s3fs translates answers such as 503 SlowDown and 500 InternalError; those of local files name the file.
_AWAY = frozenset({errno.EBUSY, errno.EIO, errno.EREMOTEIO, errno.ETIMEDOUT})
_CLIENTS = frozenset({"aiobotocore", "aiohttp", "botocore", "urllib3"})
_NO_CREDENTIALS = frozenset({"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"})


def store_error(error: Exception, where: str) -> PpmlError | None:
    """The error to raise in the place of one that a store's client raised; None for any other one.

    Args:
        where: what was done or used, for the text.
    """
    kind = type(error).__name__
    remote = type(error).__module__.partition(".")[0] in _CLIENTS
    nameless = isinstance(error, OSError) and error.filename is None
    if kind in _NO_CREDENTIALS or (nameless and isinstance(error, PermissionError)):
        return ConfigError(
            f"{where}: the object store refuses it ({kind}: {_line(error)})",
            next_step="give this process credentials for it (AWS_ACCESS_KEY_ID, …) with rights to the prefix",
        )
    away = isinstance(error, TimeoutError) or (nameless and getattr(error, "errno", None) in _AWAY)
    if remote or away:
        return TransientError(
            f"{where}: the object store does not answer as it should ({kind}: {_line(error)})",
            next_step="look at the store and the way to it; the task tries again",
        )
    return None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
