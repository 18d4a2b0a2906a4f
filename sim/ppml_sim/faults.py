"""What can be wrong with a simulated platform: for tests of appraisal and policies, unused by the service."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Faults:
    """One argument per fault; the defaults are a healthy platform."""

    tcb_status: str = "UpToDate"
    advisories: tuple[str, ...] = ()
    qe_status: str = "UpToDate"
    qe_eval_number: int = 18
    below_every_level: bool = False
    """The platform's SVNs are lower than those of the only TCB level."""
    revoked_pck: bool = False
    revoked_pck_ca: bool = False
    debug: bool = False
    unmarked_subjects: bool = False
    """Certificates do not say SIMULATED."""
    unmarked_fmspc: bool = False
    unmarked_header: bool = False
    smt: bool = True
    """Flags of the PCK certificate: SMT, cached keys, dynamic platform."""
    cached_keys: bool = True
    dynamic_platform: bool = True


NONE = Faults()
