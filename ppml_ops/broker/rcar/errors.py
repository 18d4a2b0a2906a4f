"""Errors of the RCAR routes: a KBS error name, a status and a text."""

from ppml_ops.errors import PpmlError


class RcarError(Exception):
    """An answer other than 200 on the RCAR routes.

    Args:
        name: last part of the error's type URL.
        detail: text for the client, without a secret.
        status: HTTP status; the protocol has 401 for nearly everything.
    """

    def __init__(self, name: str, detail: str, status: int = 401) -> None:
        super().__init__(detail)
        self.name = name
        self.detail = detail
        self.status = status

    @classmethod
    def of(cls, error: PpmlError) -> "RcarError":
        """The same refusal for the wire; `str(error)` holds what, who and the next step."""
        name = next(base.__name__ for base in type(error).__mro__ if base.__module__ == "ppml_ops.errors")
        return cls(name, str(error), 503 if error.retryable else 401)
