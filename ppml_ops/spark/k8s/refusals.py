"""What the API server's refusals mean: which error of our tree, who must act, what to do."""

import json
from typing import NamedTuple

from ppml_ops.errors import ConfigError, PpmlError, TransientError

_MAX_SHOWN = 500
#: Worth asking again: the server is overloaded, starting, or lost its way for a moment.
PASSING = frozenset({408, 429, 500, 502, 503, 504})
_ADMIN = "the cluster administrator"


class ConflictError(ConfigError):
    """Something of this name, or another version of it, is there already."""


class Request(NamedTuple):
    """What was asked for, in words: `create`, `pods w-1/driver`."""

    verb: str
    what: str


def shown(text: object, limit: int = _MAX_SHOWN) -> str:
    """Text of a server on one line, printable and of bounded length."""
    return "".join(c if c.isprintable() else " " for c in str(text))[:limit].strip()


def message_of(body: bytes) -> str:
    """The server's message in a `Status` body, or the beginning of whatever it sent."""
    try:
        status = json.loads(body)
        return shown(status["message"])
    except (ValueError, KeyError, TypeError):
        return shown(body[:_MAX_SHOWN].decode(errors="replace"))


def refusal(request: Request, status: int, body: bytes) -> PpmlError:
    """The error for an answer that is neither success nor passing trouble."""
    said = message_of(body)
    what = f"the cluster did not {request.verb} {request.what} ({status}): {said}"
    if status == 401:
        return ConfigError(
            f"the cluster does not accept this account's credentials ({request.verb} {request.what}): {said}",
            next_step="renew the kubeconfig, or the service account's token",
        )
    if status == 403 and "exceeded quota" in said:
        return TransientError(
            what, who=_ADMIN, next_step="wait until other work has ended, or raise the resource quota"
        )
    if "is being terminated" in said or "object is being deleted" in said:
        return TransientError(what, next_step="wait until it is gone, then try again")
    if status == 403 and "violates PodSecurity" in said:
        return ConfigError(
            what, who=_ADMIN, next_step="let `ppml-ops cluster setup` label the namespace, or use another one"
        )
    if status == 403:
        return ConfigError(
            f"this account may not {request.verb} {request.what}: {said}",
            who=_ADMIN,
            next_step="grant it (docs/kubernetes.md, Rights); `ppml-ops cluster setup` makes the roles",
        )
    if status == 409 and "Operation cannot be fulfilled" in said:  # two at once changed a quota, for example
        return TransientError(what, next_step="try again")
    if status == 409:
        return ConflictError(what, next_step="look at what is there under this name")
    # Server-side apply answers 500 to a field that the kind does not have.
    if (status == 410 or status in PASSING) and "field not declared in schema" not in said:
        return TransientError(what, next_step="look at the API server; the task tries again")
    return ConfigError(what, next_step="correct the profile or what the message names")


def away(host: str, why: str, seconds: float) -> TransientError:
    """The API server did not answer for as long as we were patient."""
    return TransientError(
        f"the Kubernetes API at {host} does not answer since {seconds:.0f} s ({shown(why, 200)})",
        next_step="check network and API server; the task tries again",
    )


def unverified(host: str, why: str) -> ConfigError:
    """The server is not the one that the kubeconfig's CA vouches for."""
    return ConfigError(
        f"the server at {host} has no certificate that the kubeconfig's CA vouches for: {shown(why, 200)}",
        next_step="correct server or certificate-authority in the kubeconfig",
    )
