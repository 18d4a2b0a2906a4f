"""The flat, verified facts about one TEE, as policies read them and audit records keep them."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Tee = Literal["tdx", "sgx", "none"]
Flag = Literal["true", "false", "undefined"]


class Claims(BaseModel):
    """Facts about one TEE. Byte strings are lower-case hex, times Unix seconds (UTC); `None` means "has none".

    `tee == "none"` is UNATTESTED: nothing but `tee`, `trust_domain`, `simulated` and `verified_at` is set.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    tee: Tee
    trust_domain: str
    simulated: bool
    """The trust domain's root is not Intel's."""
    verified_at: int

    quote_version: int | None = None
    quote_sha256: str | None = None
    """Over the quote without padding."""
    event_log_sha256: str | None = None
    collateral_sha256: str | None = None
    report_data: str | None = None
    debug: bool = False
    """Always false: a quote of a debug TEE does not verify."""

    tcb_status: str | None = None
    advisories: tuple[str, ...] = ()
    tcb_date: int | None = None
    tcb_eval_number: int | None = None
    """The lower one of TCB info and QE identity."""
    qe_tcb_status: str | None = None
    collateral_issued: int | None = None
    """Oldest issue date of TCB info, QE identity and PCK CRL (the root's CRL lives about a year)."""
    collateral_expires: int | None = None
    """Earliest end of validity of TCB info, QE identity and both CRLs."""

    fmspc: str | None = None
    ppid: str | None = None
    platform_instance_id: str | None = None
    pck_ca: str | None = None
    dynamic_platform: Flag | None = None
    cached_keys: Flag | None = None
    smt: Flag | None = None

    mr_td: str | None = None
    rtmr0: str | None = None
    rtmr1: str | None = None
    rtmr2: str | None = None
    rtmr3: str | None = None
    mr_seam: str | None = None
    mr_signer_seam: str | None = None
    mr_config_id: str | None = None
    mr_owner: str | None = None
    mr_owner_config: str | None = None
    td_attributes: str | None = None
    xfam: str | None = None
    runner_digest: str | None = None
    """From the replayed log; set only when RTMR3 was extended by the runner, then the job, and nothing else."""
    job_digest: str | None = None
    """As `runner_digest`."""

    mr_enclave: str | None = None
    mr_signer: str | None = None
    isv_prod_id: int | None = Field(None, ge=0, le=0xFFFF)
    isv_svn: int | None = Field(None, ge=0, le=0xFFFF)
    sgx_attributes: str | None = None

    @property
    def attested(self) -> bool:
        """False for UNATTESTED."""
        return self.tee != "none"

    @classmethod
    def unattested(cls, *, trust_domain: str, simulated: bool, verified_at: int) -> "Claims":
        """What is known about a run without a TEE: nothing."""
        return cls(tee="none", trust_domain=trust_domain, simulated=simulated, verified_at=verified_at)
