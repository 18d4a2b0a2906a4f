"""Collateral: Intel's (or a simulated platform's) signed statements about platforms, and where we keep them.

Only your own PCCS is ever asked, by an URL that you give: a third party's would learn which platforms you use.
"""

import asyncio
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

import dcap_qvl
from cryptography import x509
from pydantic import BaseModel, ConfigDict, ValidationError

from ppml_ops.attestation.errors import CollateralFormatError, UndecodableQuoteError, refusal
from ppml_ops.attestation.layout import parse_layout
from ppml_ops.canonical import canonical_json
from ppml_ops.errors import ConfigError
from ppml_ops.files import private_dir, write_private

MAX_COLLATERAL_BYTES = 1 << 20
FETCH_SECONDS = 30.0


class Collateral(BaseModel):
    """The nine fields (PEM chains, JSON texts, hex CRLs and signatures), and maybe one platform's PCK chain."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    pck_crl_issuer_chain: str
    root_ca_crl: str
    pck_crl: str
    tcb_info_issuer_chain: str
    tcb_info: str
    tcb_info_signature: str
    qe_identity_issuer_chain: str
    qe_identity: str
    qe_identity_signature: str
    pck_certificate_chain: str | None = None

    @classmethod
    def from_json(cls, data: bytes | str) -> "Collateral":
        """Parse a bundle.

        Raises:
            CollateralFormatError: too large, not JSON, or fields missing, unknown or of the wrong type.
        """
        if len(data) > MAX_COLLATERAL_BYTES:
            raise CollateralFormatError(f"the collateral has more than {MAX_COLLATERAL_BYTES} bytes")
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            field = ".".join(str(part) for part in first["loc"]) or "document"
            raise CollateralFormatError(f"the collateral is unusable: {field}: {first['msg']}") from error

    @classmethod
    def load(cls, path: Path) -> "Collateral":
        """Parse the bundle in a file; same errors as `from_json`, also when the file can't be read."""
        try:
            with path.open("rb") as file:
                data = file.read(MAX_COLLATERAL_BYTES + 1)
        except OSError as error:
            raise CollateralFormatError(f"collateral file {path.name!r}: {error.strerror}") from error
        return cls.from_json(data)

    def to_json(self) -> bytes:
        """The bundle as a canonical document, without absent fields."""
        return canonical_json(self.model_dump(exclude_none=True))

    @property
    def sha256(self) -> str:
        """Digest of the canonical document, 64 hex digits."""
        return hashlib.sha256(self.to_json()).hexdigest()

    def without_pck_chain(self) -> "Collateral":
        """The same statements without one platform's certificate, good for every platform of the FMSPC."""
        return self.model_copy(update={"pck_certificate_chain": None})

    def facts(self) -> "CollateralFacts":
        """Kind and times. Nothing is verified here; read it before fetching, or after appraisal.

        Raises:
            CollateralFormatError: TCB info, QE identity or a CRL can't be read.
        """
        try:
            tcb, qe = json.loads(self.tcb_info), json.loads(self.qe_identity)
            crls = [x509.load_der_x509_crl(bytes.fromhex(crl)) for crl in (self.root_ca_crl, self.pck_crl)]
            issued = [_unix(part["issueDate"]) for part in (tcb, qe)]
            issued.append(int(crls[1].last_update_utc.timestamp()))
            ends = [_unix(part["nextUpdate"]) for part in (tcb, qe)]
            ends += [int(crl.next_update_utc.timestamp()) for crl in crls if crl.next_update_utc]
            return CollateralFacts(
                tee=str(tcb["id"]).lower(),
                fmspc=str(tcb["fmspc"]).lower(),
                eval_number=min(int(part["tcbEvaluationDataNumber"]) for part in (tcb, qe)),
                issued=min(issued),
                expires=min(ends),
            )
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            raise CollateralFormatError("TCB info, QE identity or a CRL can't be read") from error


@dataclass(frozen=True)
class CollateralFacts:
    """What a bundle is about; times in Unix seconds."""

    tee: str
    fmspc: str
    eval_number: int
    issued: int
    """Oldest issue date of TCB info, QE identity and PCK CRL."""
    expires: int
    """Earliest end of validity of TCB info, QE identity and both CRLs."""


class CollateralStore:
    """Bundles in one file (for every quote) or in a folder (one file per TEE, FMSPC and CA)."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def find(self, quote: bytes) -> Collateral:
        """The bundle for this quote, without any platform's PCK chain.

        Raises:
            UndecodableQuoteError: the quote does not say which platform it is of.
            CollateralFormatError: no such bundle, or an unusable one.
        """
        path = self._path / _file_name(quote) if self._path.is_dir() else self._path
        return Collateral.load(path).without_pck_chain()

    def fetch(self, quote: bytes, pccs_url: str) -> Collateral:
        """Get the bundle for this quote from your own PCCS and keep it (folder: under its name).

        Raises:
            ConfigError: `pccs_url` is not an http(s) URL.
            PccsUnavailableError: the PCCS can't be reached, or does not know the platform.
            UndecodableQuoteError, CollateralFormatError: as for `find`.
        """
        if not pccs_url.startswith(("https://", "http://")):
            raise ConfigError("the PCCS URL is not an http(s) URL", next_step="give the URL of your own PCCS")
        name = _file_name(quote)
        text = _run_apart(pccs_url, parse_layout(quote).quote)
        bundle = Collateral.from_json(text).without_pck_chain()
        bundle.facts()
        folder = self._path.is_dir() or not self._path.suffix
        target = private_dir(self._path) / name if folder else self._path
        write_private(target, bundle.to_json())
        return bundle


def _run_apart(url: str, quote: bytes) -> str:
    """Drive the asynchronous client in a thread of its own: callers may be inside an event loop."""

    async def get() -> str:
        bundle: Any = await asyncio.wait_for(dcap_qvl.get_collateral(url, quote), FETCH_SECONDS)
        return str(bundle.to_json())

    with ThreadPoolExecutor(max_workers=1) as pool:
        try:
            return pool.submit(lambda: asyncio.run(get())).result()
        except (ValueError, OSError, TimeoutError) as error:
            _refuse(error)


def _refuse(error: Exception) -> NoReturn:
    raise refusal(f"Failed to get collateral: {error}") from error


def _file_name(quote: bytes) -> str:
    layout = parse_layout(quote)
    try:
        parsed = dcap_qvl.parse_quote(layout.quote)
        return f"{layout.tee}-{parsed.fmspc().lower()}-{parsed.ca()}.json"
    except ValueError as error:
        raise UndecodableQuoteError("the quote does not name its platform (FMSPC)") from error


def _unix(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())
