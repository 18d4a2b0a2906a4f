"""The one error tree: what failed, who must act, what to do next, and whether a retry can help.

Every class has an exit code of its own (sysexits.h numbers), so that the kind of a failure survives
process borders: agent → JVM → launcher → Airflow task. Messages never contain key material or cell values.
"""

from typing import ClassVar


class PpmlError(Exception):
    """Root of the tree; raise one of its subclasses.

    Args:
        what: what failed, one sentence without a secret.
        next_step: what the person named by `who` should do.
        who: who must act; by default the one whose fault this kind of error usually is.
    """

    exit_code: ClassVar[int] = 70
    retryable: ClassVar[bool] = False
    default_who: ClassVar[str] = "the operator"

    def __init__(self, what: str, *, next_step: str, who: str | None = None) -> None:
        self.what = what
        self.next_step = next_step
        self.who = who or self.default_who
        super().__init__(f"{what} [{self.who}: {next_step}]")

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by its three parts: Airflow sends exceptions between processes."""
        return (_rebuild, (type(self), self.what, self.next_step, self.who))


def _rebuild(cls: type[PpmlError], what: str, next_step: str, who: str) -> PpmlError:
    error = cls.__new__(cls)
    PpmlError.__init__(error, what, next_step=next_step, who=who)
    return error


class ConfigError(PpmlError):
    """A setting, parameter or installation is wrong or missing."""

    exit_code = 78


class DeniedError(PpmlError):
    """Evidence, ticket or policy does not allow the release of a key."""

    exit_code = 77
    default_who = "the data owner"


class IntegrityError(PpmlError):
    """Stored bytes are not what their manifest, ticket or tag says."""

    exit_code = 76
    default_who = "the data owner"


class DataError(PpmlError):
    """Input data can't be used as it is: missing, empty, wrong columns or types."""

    exit_code = 65
    default_who = "the data owner"


class TransientError(PpmlError):
    """A service or resource is away for now; the same call may succeed later."""

    exit_code = 75
    retryable = True


class WorkloadError(PpmlError):
    """The user's code failed inside the TEE; details are in the sealed log."""

    exit_code = 70
    default_who = "the author of the workload"


_BY_EXIT_CODE: dict[int, type[PpmlError]] = {
    cls.exit_code: cls
    for cls in (ConfigError, DeniedError, IntegrityError, DataError, TransientError, WorkloadError)
}


def error_from_exit_code(code: int, what: str, *, next_step: str, who: str | None = None) -> PpmlError:
    """The error that a child process with exit code `code` stands for; unknown codes are WorkloadError."""
    return _BY_EXIT_CODE.get(code, WorkloadError)(what, next_step=next_step, who=who)
