"""One request to the API server, with our manners: time limits, patience while it is away, our errors."""

import json
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlencode

from ppml_ops.errors import PpmlError, TransientError
from ppml_ops.spark.k8s.access import ClusterAccess
from ppml_ops.spark.k8s.refusals import PASSING, Request, away, refusal, shown, unverified

#: An API server that is away for a minute must not fail a run.
PATIENCE_SECONDS = 150.0
CONNECT_SECONDS, READ_SECONDS = 5.0, 30.0
MAX_BODY = 64 << 20
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0
_T = TypeVar("_T")


class PassingError(Exception):
    """This one try failed in a way that passes; carries why, and how long the server asks to wait."""

    def __init__(self, why: str, pause: float | None = None, final: PpmlError | None = None) -> None:
        super().__init__(why)
        self.pause = pause
        self.final = final


class CutError(Exception):
    """A stream ended before the server had said that it ends."""


class Transport:
    """Requests to the API server of one `ClusterAccess`.

    Args:
        access: which cluster, as whom.
        patience: seconds for which one call is tried again while the server is away or overloaded.
        sleep: waits between two tries.
    """

    def __init__(
        self,
        access: ClusterAccess,
        *,
        patience: float = PATIENCE_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        from kubernetes.client import ApiClient

        self.configuration = access.configuration()
        self.host = str(self.configuration.host)
        self._client = ApiClient(self.configuration)
        self._pool = self._client.rest_client.pool_manager
        self._patience = patience
        self._sleep = sleep
        #: Seconds by which the server's clock is ahead of ours, as its answers say.
        self.clock_ahead = 0.0

    def call(
        self,
        request: Request,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        content: str = "application/json",
    ) -> Any | None:
        """The decoded answer; None for 404.

        Raises:
            ConfigError, TransientError: see `refusals`.
        """

        def once() -> Any | None:
            answer = self._send(method, path, query, body, content, READ_SECONDS)
            try:
                data = answer.read(MAX_BODY + 1)
            finally:
                answer.release_conn()
            if answer.status == 404 and method != "POST":
                return None
            self._check(request, answer, data)
            return json.loads(data) if data else {}

        return self.patiently(once)

    def stream(
        self,
        request: Request,
        path: str,
        query: Mapping[str, Any],
        *,
        idle: float,
        patience: float | None = None,
    ) -> Iterator[bytes] | None:
        """The body in pieces as they arrive; None for 404. Raises CutError when the connection ends too early.

        Args:
            idle: seconds without a byte after which it is cut.
            patience: seconds for which the beginning is tried again; default: the transport's.
        """

        def once() -> Any | None:
            answer = self._send("GET", path, query, None, "", idle)
            if answer.status == 404:
                answer.release_conn()
                return None
            if answer.status != 200:
                self._check(request, answer, answer.read(MAX_BODY))
            return answer

        answer = self.patiently(once, patience)
        return None if answer is None else self._pieces(answer)

    def headers(self) -> dict[str, str]:
        """With the credentials, renewed where the kubeconfig says how."""
        headers = dict(self._client.default_headers)
        self._client.update_params_for_auth(headers, [], ["BearerToken"])
        return headers

    def patiently(self, once: Callable[[], _T], patience: float | None = None) -> _T:
        """What `once` returns, tried again after `PassingError` until patience ends.

        Raises:
            TransientError: patience ended.
        """
        from urllib3.exceptions import HTTPError

        began, pause = time.monotonic(), _FIRST_PAUSE
        limit = self._patience if patience is None else patience
        while True:
            try:
                return once()
            except PassingError as error:
                wait, why, final = error.pause, str(error), error.final
            except (HTTPError, OSError, ValueError) as error:
                if _unverified(error):
                    raise unverified(self.host, str(error)) from None
                wait, why, final = None, f"{type(error).__name__}: {error}", None
            gone = time.monotonic() - began
            wait = min(max(wait or pause, pause), _LONGEST_PAUSE)
            if gone + wait > limit:
                raise final or away(self.host, why, gone)
            self._sleep(wait)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _send(
        self, method: str, path: str, query: Mapping[str, Any] | None, body: Any, content: str, read: float
    ) -> Any:
        from urllib3 import Timeout

        headers = self.headers() | {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = content
        url = self.host + path + (f"?{urlencode(query)}" if query else "")
        answer = self._pool.request(
            method,
            url,
            body=None if body is None else json.dumps(body),
            headers=headers,
            timeout=Timeout(connect=CONNECT_SECONDS, read=read),
            preload_content=False,
            redirect=False,
            retries=False,
        )
        with suppress(KeyError, TypeError, ValueError):
            self.clock_ahead = parsedate_to_datetime(answer.headers["Date"]).timestamp() - time.time()
        return answer

    def _check(self, request: Request, answer: Any, data: bytes) -> None:
        if len(data) > MAX_BODY:
            raise TransientError(
                f"the cluster's answer to {request.verb} {request.what} is larger than {MAX_BODY >> 20} MiB",
                next_step="look at the API server",
            )
        if 200 <= answer.status < 300:
            return
        error = refusal(request, answer.status, data)
        if answer.status not in PASSING or not error.retryable:
            raise error
        asked = str(answer.headers.get("Retry-After", ""))
        raise PassingError(
            shown(error.what), float(asked) if asked.isascii() and asked.isdigit() else None, error
        )

    def _pieces(self, answer: Any) -> Iterator[bytes]:
        from urllib3.exceptions import HTTPError

        try:
            yield from answer.stream(64 << 10)
        except (HTTPError, OSError):
            raise CutError from None  # who follows asks again from where it got to
        finally:
            answer.close()


def _unverified(error: BaseException) -> bool:
    """Whether a failed verification of the server's certificate is behind `error`."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, ssl.SSLCertVerificationError):
            return True
        inner = found.args[0] if found.args else None
        found = inner if isinstance(inner, BaseException) else found.__cause__ or found.__context__
    return False
