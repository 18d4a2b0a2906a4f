"""What a container prints, read again after a lost connection; nothing comes twice, nothing is left out."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from ppml_ops.spark.k8s.api import Cluster
from ppml_ops.spark.k8s.http import CutError
from ppml_ops.spark.k8s.kinds import kind_of
from ppml_ops.spark.k8s.refusals import Request

MAX_LINE = 16 << 10
_IDLE_SECONDS = 60.0
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")


class LogLine(NamedTuple):
    """One line, and when the node wrote it down (RFC 3339, nanoseconds)."""

    at: str
    text: str


def read_log(
    cluster: Cluster,
    namespace: str,
    pod: str,
    container: str,
    *,
    since: str = "",
    patience: float | None = None,
) -> Iterator[LogLine]:
    """Whole lines after `since` (the time of the last one seen), to the end or to where the connection is cut.

    Args:
        patience: see `Transport.stream`.
    """
    query: dict[str, str] = {"container": container, "timestamps": "true"}
    if since:
        query["sinceTime"] = since
    path = kind_of("Pod").path(namespace, pod, "log")
    request = Request("get", f"pods/log {namespace}/{pod}")
    pieces = cluster.transport.stream(request, path, query, idle=_IDLE_SECONDS, patience=patience)
    for line in _lines(pieces or iter(())):
        at, _, text = line.partition(" ")
        if _STAMP.fullmatch(at) and at > since:  # the server knows whole seconds only
            yield LogLine(at, text)


def _lines(pieces: Iterator[bytes]) -> Iterator[str]:
    """Lines of a stream; of one that is cut, the beginning of a line is dropped: it comes again, whole."""
    rest = b""
    try:
        for piece in pieces:
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                yield line[:MAX_LINE].decode(errors="replace")
            rest = rest[:MAX_LINE]
    except CutError:
        return
    if rest:
        yield rest.decode(errors="replace")
