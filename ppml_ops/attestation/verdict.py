"""The outcome of a policy: allow or deny, with every reason, in a form that can be signed and kept."""

from pydantic import BaseModel, ConfigDict

from ppml_ops.canonical import canonical_json, sha256_hex


class Reason(BaseModel):
    """One unmet condition: which claim, what it was, what the rule wanted, and whose rule."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    dataset: str
    rule: int
    """Number of the rule in the policy's `release` list, from 1; 0 for the policy as a whole."""
    claim: str
    got: str
    wanted: str

    def __str__(self) -> str:
        place = f"rule {self.rule}" if self.rule else "policy"
        return f"{self.dataset} {place}: {self.claim} is {self.got}, wanted {self.wanted}"


class Verdict(BaseModel):
    """Whether a key of `dataset` may be released, and what else the matching rule says."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    allow: bool
    dataset: str
    reasons: tuple[Reason, ...]
    """Empty when allowed; else every unmet condition of every rule."""
    rule: int | None
    """The rule that allowed."""
    simulated: bool
    attested: bool
    """False for UNATTESTED."""
    policy_digest: str
    lease_seconds: int | None = None
    clear_logs: bool = False

    def canonical(self) -> bytes:
        """RFC 8785 JSON, for signatures and digests."""
        return canonical_json(self.model_dump(mode="json"))

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical form, 64 hex digits."""
        return sha256_hex(self.canonical())

    def explain(self) -> str:
        """One line for logs: the word, SIMULATED or UNATTESTED where it applies, and the reasons."""
        words = ["ALLOW" if self.allow else "DENY"]
        words += ["SIMULATED"] if self.simulated else []
        words += [] if self.attested else ["UNATTESTED"]
        why = "; ".join(str(reason) for reason in self.reasons)
        return " ".join(words) + (f": {why}" if why else "")
