"""Key service `broker:`: primary keys inside our key broker, used through its owner API.

`broker:people` is the broker of the state folder; `broker://host:port/people` another address of a broker
whose CA and owner token lie in the state folder.
"""

import json
import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, TypeAdapter, ValidationError

from ppml_ops.canonical import b64d, b64e
from ppml_ops.errors import ConfigError, IntegrityError, TransientError
from ppml_ops.keys.broker_http import BrokerHttp
from ppml_ops.keys.model import KeyInfo, KeyRef, WrappedKey
from ppml_ops.keys.store import require_private

_HOST = re.compile(r"//([A-Za-z0-9.-]{1,253}|\[[0-9a-fA-F:]{2,45}\]):([0-9]{1,5})/")
_KEY_LIST = TypeAdapter(list[KeyInfo])


def read_endpoint(folder: Path) -> tuple[str, Path]:
    """URL and CA file of the broker that serves `folder`.

    Raises:
        TransientError: no broker runs there.
        IntegrityError: endpoint.json is not what a broker writes.
    """
    try:
        endpoint = json.loads((folder / "endpoint.json").read_bytes())
        return str(endpoint["url"]), Path(endpoint["ca"])
    except FileNotFoundError:
        raise TransientError(
            f"no key broker runs for {folder}", next_step="start it with: ppml-ops broker serve"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise IntegrityError(
            f"{folder / 'endpoint.json'} is damaged", next_step="restart the broker: ppml-ops broker serve"
        ) from None


def read_token(path: Path) -> str:
    """The owner's bearer token in the file `path`.

    Raises:
        ConfigError: no such file, or others could read it.
    """
    try:
        require_private(path)
        return path.read_text("ascii").strip()
    except FileNotFoundError:
        raise ConfigError(
            f"there is no owner token at {path}",
            next_step="run this where the broker's owner works, or copy the token file there (mode 0600)",
        ) from None


class BrokerSite(BaseModel):
    """Where a broker is and by what it is known, when that is not in a state folder's endpoint.json.

    `token` is the owner's bearer token or a file of mode 0600 that holds it; only owner workers resolve it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(pattern=r"^https://([A-Za-z0-9.-]{1,253}|\[[0-9a-fA-F:]{2,45}\]):[0-9]{1,5}$")
    ca: Path
    token: Path | SecretStr | None = None

    def owner_token(self) -> str:
        """The token's text. Raises ConfigError when it does not resolve here."""
        if isinstance(self.token, SecretStr):
            return self.token.get_secret_value()
        if self.token is None:
            raise ConfigError(
                f"the connection to the broker {self.url} names no owner token",
                next_step="name it there: a file, or an Airflow variable that owner workers resolve",
            )
        return read_token(self.token)


class BrokerKeyService:
    """Primary keys in a broker's keystore.

    Args:
        folder: `<home>/broker`, with endpoint.json, ca.pem and owner.token.
        location: "" for the broker of that folder, or "//host:port/".
        site: the broker to use instead of the folder's, for the location "".
    """

    def __init__(self, folder: Path, location: str = "", site: BrokerSite | None = None) -> None:
        self._folder = folder
        self._location = location
        self._site = site

    def create(self, ref: KeyRef) -> KeyRef:
        """Get or create; raises DeniedError when the current version was destroyed."""
        return ref.with_version(self._version(self._call("POST", f"/{ref.name}")))

    def describe(self, ref: KeyRef) -> KeyInfo:
        """The key's versions and their states."""
        try:
            return KeyInfo.model_validate(self._call("GET", f"/{ref.name}"))
        except ValidationError:
            raise self._strange() from None

    def list(self) -> list[KeyInfo]:
        """All keys of the broker, by name."""
        try:
            return _KEY_LIST.validate_python(self._call("GET", ""))
        except ValidationError:
            raise self._strange() from None

    def rotate(self, ref: KeyRef) -> KeyRef:
        """Add a version and make it current."""
        return ref.with_version(self._version(self._call("POST", f"/{ref.name}/rotate")))

    def destroy(self, ref: KeyRef) -> None:
        """Remove the key material of one version; ConfigError when `ref` names none."""
        self._call("POST", f"/{ref.name}/destroy", {"version": ref.version})

    def wrap(self, ref: KeyRef, data_key: bytes, context: str) -> WrappedKey:
        """Wrap by the current version; a decrypt-only version is refused."""
        body = {"version": ref.version, "data_key": b64e(data_key), "context": context}
        reply = self._call("POST", f"/{ref.name}/wrap", body)
        try:
            wrapped = WrappedKey.model_validate(reply)
        except ValidationError:
            raise self._strange() from None
        # The broker answers with its own short name; the caller keeps the address that it used.
        address = wrapped.ref.model_copy(update={"location": ref.location})
        return wrapped.model_copy(update={"key": str(address)})

    def unwrap(self, wrapped: WrappedKey, context: str) -> bytes:
        """The data key in `wrapped`, by any version that isn't destroyed."""
        ref = wrapped.ref
        reply = self._call("POST", f"/{ref.name}/unwrap", _of_wrap(wrapped, context))
        try:
            return b64d(reply["data_key"])
        except (ValueError, KeyError, TypeError):
            raise self._strange() from None

    def erase(self, wrapped: WrappedKey, context: str) -> dict[str, Any]:
        """Erase the secret of one wrap, see `ErasableWraps`; the broker signs that it did."""
        reply = self._call("POST", f"/{wrapped.ref.name}/erase", _of_wrap(wrapped, context))
        if not isinstance(reply, dict) or not isinstance(reply.get("record"), dict):
            raise self._strange()
        return reply

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        if self._location:
            match = _HOST.fullmatch(self._location)
            if match is None:
                raise ConfigError(
                    f"broker:{self._location} is not the address of a broker",
                    next_step="write broker:name or broker://host:port/name",
                )
            url, ca = f"https://{match[1]}:{match[2]}", self._folder / "ca.pem"
            token = read_token(self._folder / "owner.token")
        elif self._site is not None:
            url, ca, token = self._site.url, self._site.ca, self._site.owner_token()
        else:
            url, ca = read_endpoint(self._folder)
            token = read_token(self._folder / "owner.token")
        http = BrokerHttp(url, ca, token)
        try:
            return http.call(method, "/ppml/v1/keys" + path, body)
        finally:
            http.close()

    def _version(self, reply: Any) -> int:
        try:
            version = reply["version"]
        except (KeyError, TypeError):
            raise self._strange() from None
        if not isinstance(version, int):
            raise self._strange()
        return version

    @staticmethod
    def _strange() -> IntegrityError:
        return IntegrityError(
            "the key broker's reply is not what its API promises",
            next_step="check that both sides run the same version of PPML Ops",
        )


def _of_wrap(wrapped: WrappedKey, context: str) -> dict[str, Any]:
    return {
        "version": wrapped.ref.version,
        "algorithm": wrapped.algorithm,
        "wrapped": wrapped.wrapped,
        "context": context,
    }
