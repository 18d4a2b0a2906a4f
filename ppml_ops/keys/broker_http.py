"""HTTPS calls to a key broker: pinned CA, time limits, and the broker's errors as our exceptions."""

import json
from pathlib import Path
from typing import Any

import requests

from ppml_ops.errors import (
    ConfigError,
    DataError,
    DeniedError,
    IntegrityError,
    PpmlError,
    TransientError,
    WorkloadError,
)

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 30.0
MAX_REPLY = 4 * 1024 * 1024

_ERRORS: dict[str, type[PpmlError]] = {
    cls.__name__: cls
    for cls in (ConfigError, DataError, DeniedError, IntegrityError, TransientError, WorkloadError)
}


def error_from_reply(status: int, body: bytes, *, what: str) -> PpmlError:
    """The error that the broker's reply stands for; bodies of strangers are not quoted."""
    try:
        reply = json.loads(body)
        cls = _ERRORS.get(reply["error"], ConfigError)
        return cls(str(reply["what"]), next_step=str(reply["next_step"]), who=str(reply["who"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    if status >= 500 or status == 429:
        return TransientError(f"{what}: the key broker answered {status}", next_step="see the broker's log")
    return ConfigError(
        f"{what}: the key broker answered {status} without a reason",
        next_step="check that both sides run the same version of PPML Ops",
    )


class BrokerHttp:
    """One broker over TLS; a session keeps the connection and the cookies of one handshake.

    Proxies, .netrc and CA settings of the environment are not used: the CA is pinned, and a .netrc entry
    would replace our Authorization header.

    Args:
        url: for example https://127.0.0.1:40123.
        ca: PEM file of the broker's private CA; nothing else is trusted.
        token: the owner's bearer token, for the owner API.
    """

    def __init__(self, url: str, ca: Path, token: str | None = None) -> None:
        if not url.startswith("https://"):
            raise ConfigError(
                f"the key broker's address {url[:80]!r} is not https", next_step="give its https address"
            )
        self._url = url.rstrip("/")
        self._ca = ca
        self._session = requests.Session()
        self._session.trust_env = False
        self._token = token

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def send(
        self, method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Status and body of one request, without judging them; a `body` is sent as JSON.

        Raises:
            TransientError: nobody answers at the address, or too slowly.
            ConfigError: whoever answers isn't this broker, or the CA file is missing.
        """
        sent = {"Accept-Encoding": "identity", **(headers or {})}
        if self._token is not None:
            sent["Authorization"] = f"Bearer {self._token}"
        try:
            reply = self._session.request(
                method,
                self._url + path,
                json=body,
                headers=sent,
                verify=str(self._ca),
                timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
                allow_redirects=False,
                stream=True,
            )
            with reply:
                content = reply.raw.read(MAX_REPLY + 1, decode_content=False)
        except requests.exceptions.SSLError as error:
            raise ConfigError(
                f"{self._url} did not prove to be the broker that {self._ca} certifies",
                next_step="if the broker was set up anew, give clients its new ca.pem; else find out who "
                "answers there",
            ) from error
        except requests.exceptions.RequestException as error:
            raise self._away() from error
        except OSError as error:
            raise ConfigError(
                f"the broker's CA file {self._ca} can't be read",
                next_step="start the broker with: ppml-ops broker serve, or copy its ca.pem here",
            ) from error
        except Exception as error:
            # urllib3 raises its own errors while the body is read from the raw stream.
            if type(error).__module__.startswith("urllib3"):
                raise self._away() from error
            raise
        if len(content) > MAX_REPLY:
            raise IntegrityError(
                f"the reply of {self._url} is longer than {MAX_REPLY} bytes", next_step="see the broker's log"
            )
        return reply.status_code, content

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON reply of one request of the ppml API.

        Raises:
            PpmlError: what the broker answered, see `error_from_reply`; else as `send`.
        """
        status, content = self.send(method, path, body)
        if status >= 300:
            raise error_from_reply(status, content, what=f"{method} {path}")
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise IntegrityError(
                f"{self._url} did not answer in JSON", next_step="check the broker's address"
            ) from None

    def _away(self) -> TransientError:
        return TransientError(
            f"the key broker at {self._url} does not answer",
            next_step="start it with: ppml-ops broker serve",
        )
