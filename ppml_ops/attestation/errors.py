"""One class per cause for which evidence is refused, and the table from dcap-qvl's texts to them.

dcap-qvl raises `ValueError` only, so its texts are the classes (table: dcap-qvl 0.7.0, checked by tests
with real quotes); a text that is not in the table means "refused", never "passed".
"""

from typing import ClassVar

from ppml_ops.errors import DeniedError, PpmlError, TransientError


class AppraisalError(DeniedError):
    """Evidence was not accepted; subclasses name the cause. `default_next_step` is per cause."""

    default_who = "the operator of the TEE platform"
    default_next_step: ClassVar[str] = "do not use this platform until the cause is known"

    def __init__(self, what: str, *, next_step: str | None = None, who: str | None = None) -> None:
        super().__init__(what, next_step=next_step or self.default_next_step, who=who)


class QuoteRefusedError(AppraisalError):
    """The verifier refused for a reason that has no class of its own."""


class QuoteSignatureError(AppraisalError):
    """Header, body or signature of the quote was changed."""

    default_next_step = "obtain a fresh quote; if it fails again, the quote is changed on its way"


class AttestationKeyError(AppraisalError):
    """The attestation key is not the one that the quoting enclave vouched for."""

    default_next_step = "obtain a fresh quote; if it fails again, the quote is changed on its way"


class QeReportSignatureError(AppraisalError):
    """The quoting enclave's report was changed, or the PCK chain is another platform's."""

    default_next_step = "obtain a fresh quote, and collateral without another platform's PCK chain"


class UndecodableQuoteError(AppraisalError):
    """The quote is empty, cut, too large, or not a quote at all."""

    default_next_step = "check the evidence provider of the TEE: the device gave no whole quote"


class CollateralTimeError(AppraisalError):
    """Collateral is expired, or not valid yet, at the time of appraisal."""

    default_who = "the operator of the key broker"
    default_next_step = "refresh the collateral, and check the clock of the broker's machine"


class CollateralSignatureError(AppraisalError):
    """TCB info or QE identity, or the signature over them, was changed."""

    default_who = "the operator of the key broker"
    default_next_step = "fetch the collateral again from your own PCCS"


class UntrustedChainError(AppraisalError):
    """A certificate or CRL does not lead to the root of this trust domain."""

    default_next_step = "use evidence and collateral of this trust domain; its id is the SHA-256 of the root"


class PckRevokedError(AppraisalError):
    """The certificate of the platform, or of the CA that issued it, is revoked."""


class WrongCollateralError(AppraisalError):
    """Collateral of another kind of TEE or another platform model than the quote's."""

    default_who = "the operator of the key broker"
    default_next_step = "give collateral for the TEE and FMSPC that the quote names"


class NoTcbLevelError(AppraisalError):
    """The platform is below every TCB level that Intel still rates."""

    default_next_step = "update microcode, BIOS and TDX module of the platform"


class TcbRevokedError(AppraisalError):
    """The platform's TCB level is rated Revoked."""

    default_next_step = "update microcode, BIOS and TDX module of the platform"


class DebugModeError(AppraisalError):
    """The enclave or TD runs in debug mode: its host can read its memory."""

    default_next_step = "start the enclave or TD without debug"


class VerifierPolicyError(AppraisalError):
    """The verifier's own policy refused (status, advisory, evaluation number, platform flags)."""

    default_who = "the data owner"
    default_next_step = "compare the platform with the data set's policy"


class CollateralFormatError(AppraisalError):
    """The collateral is not a readable bundle of the nine fields."""

    default_who = "the operator of the key broker"
    default_next_step = "replace the collateral file by a complete one"


class ReportDataError(AppraisalError):
    """The quote answers another challenge than the one that was asked."""

    default_next_step = "attest again; a quote cannot be used for a second challenge"


class EventLogError(AppraisalError):
    """The event log is unreadable or does not replay to the quote's RTMRs."""

    default_next_step = "start the TD anew; what its log says is not what it measured"


class MarkerError(AppraisalError):
    """Simulated evidence in the production domain, or evidence without markers in a simulated one."""

    default_next_step = "use simulated evidence only with the simulated trust domain that made it"


class EvidenceTransportError(AppraisalError):
    """The device that makes quotes refused, or answered something that is not evidence."""

    default_next_step = "look into the log of the TEE platform"


class PccsUnavailableError(TransientError):
    """The PCCS did not deliver collateral."""


class EvidenceUnavailableError(TransientError):
    """The device that makes quotes is away or busy for now."""


# Order matters: the innermost cause stands last in dcap-qvl's text and is the one to act on.
_TABLE: tuple[tuple[str, type[AppraisalError]], ...] = (
    ("ISV enclave report signature is invalid", QuoteSignatureError),
    ("QE report hash mismatch", AttestationKeyError),
    ("Signature is invalid for qe_report", QeReportSignatureError),
    ("Failed to decode quote", UndecodableQuoteError),
    ("Failed to parse quote", UndecodableQuoteError),
    ("Failed to parse JSON: missing field", CollateralFormatError),
    ("CertRevoked", PckRevokedError),
    ("CrlExpired", CollateralTimeError),
    ("TCBInfo expired", CollateralTimeError),
    ("QE Identity expired", CollateralTimeError),
    ("issue date is in the future", CollateralTimeError),
    ("Collateral expired", CollateralTimeError),
    ("CertExpired", CollateralTimeError),
    ("CertNotValidYet", CollateralTimeError),
    ("Signature is invalid for tcb_info", CollateralSignatureError),
    ("Signature is invalid for qe_identity", CollateralSignatureError),
    ("Failed to parse root CA CRL", UntrustedChainError),
    ("Failed to verify certificate chain", UntrustedChainError),
    ("Unsupported QE Identity id/version", WrongCollateralError),
    ("Fmspc mismatch", WrongCollateralError),
    ("No matching TCB level found", NoTcbLevelError),
    ("TCB status is invalid: Revoked", TcbRevokedError),
    ("Debug mode is enabled", DebugModeError),
    ("by policy", VerifierPolicyError),
    ("is below minimum", VerifierPolicyError),
    ("TCB too old", VerifierPolicyError),
)
_MAX_TEXT = 300


def printable(text: str) -> str:
    """`text` on one line, without control characters and of bounded length, for messages."""
    return "".join(c if c.isprintable() else " " for c in text)[:_MAX_TEXT]


def refusal(text: str) -> PpmlError:
    """The error for a refusal text of dcap-qvl; unknown texts give `QuoteRefusedError`."""
    if "Failed to get collateral" in text:
        return PccsUnavailableError(
            f"the PCCS delivered no collateral: {printable(text)}",
            next_step="check that the PCCS runs and that its URL is right, then retry",
            who="the operator of the key broker",
        )
    for part, cls in _TABLE:
        if part in text:
            return cls(f"evidence refused: {printable(text)}")
    return QuoteRefusedError(f"evidence refused: {printable(text)}")
