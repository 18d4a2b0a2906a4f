"""Errors of the clients of stores: who must act, and whether trying again can help."""

import errno

import pytest

from ppml_ops.datasets.store_errors import store_error
from ppml_ops.errors import ConfigError, PpmlError, TransientError


class EndpointConnectionError(Exception):
    """As botocore's."""

    __module__ = "botocore.exceptions"


class NoCredentialsError(Exception):
    """As botocore's."""

    __module__ = "botocore.exceptions"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (EndpointConnectionError("no route"), TransientError),
        (OSError(errno.EBUSY, "Please reduce your request rate."), TransientError),
        (OSError(errno.EIO, "We encountered an internal error."), TransientError),
        (TimeoutError("read"), TransientError),
        (PermissionError("Access Denied"), ConfigError),
        (NoCredentialsError("Unable to locate credentials"), ConfigError),
    ],
)
def test_a_store_that_is_away_and_one_that_refuses(error: Exception, kind: type[PpmlError]) -> None:
    found = store_error(error, "merge")
    assert type(found) is kind
    assert "merge: the object store" in str(found)


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(errno.EACCES, "Permission denied", "/data/file"),
        OSError(errno.EIO, "Input/output error", "/data/file"),
        OSError(errno.ENOSPC, "No space left on device"),
        FileNotFoundError("x"),
        ValueError("x"),
    ],
)
def test_errors_of_this_host_are_not_a_stores(error: Exception) -> None:
    assert store_error(error, "merge") is None
