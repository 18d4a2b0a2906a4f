"""A data set's release policy as its owner writes it: typed YAML in which only what is said is allowed."""

import re
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from ppml_ops.attestation.claims import Tee
from ppml_ops.attestation.errors import printable
from ppml_ops.canonical import canonical_json, sha256_hex
from ppml_ops.errors import ConfigError

MAX_POLICY_BYTES = 256 * 1024
MAX_RULES = 64
MAX_LIST = 256

# A SafeLoader lets the errors of its converters through, as for `!!int ""` or `!!timestamp x`.
_YAML_ERRORS = (
    yaml.YAMLError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RecursionError,
    OverflowError,
)

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_STATUS = Literal[
    "UpToDate",
    "SWHardeningNeeded",
    "ConfigurationNeeded",
    "ConfigurationAndSWHardeningNeeded",
    "OutOfDate",
    "OutOfDateConfigurationNeeded",
]


def _seconds(value: object) -> object:
    """ "10m", "7d", or a number of seconds → seconds."""
    match = re.fullmatch(r"([0-9]{1,9})([smhd])", value) if isinstance(value, str) else None
    return int(match[1]) * _UNITS[match[2]] if match else value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


Hex32 = Annotated[str, BeforeValidator(_lower), Field(pattern=r"^[0-9a-f]{32}$")]
Hex64 = Annotated[str, BeforeValidator(_lower), Field(pattern=r"^[0-9a-f]{64}$")]
Hex96 = Annotated[str, BeforeValidator(_lower), Field(pattern=r"^[0-9a-f]{96}$")]
Duration = Annotated[int, BeforeValidator(_seconds), Field(strict=True, gt=0, le=10 * 366 * 86400)]
Text = Annotated[str, Field(min_length=1, max_length=200)]
_Many = Field(min_length=1, max_length=MAX_LIST)


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Measurements(_Model):
    """What a TD must have measured. Each list names all values that are accepted.

    `rtmr3: job_digest` wants the replayed event log to hold an accepted runner and the ticket's job, and
    nothing else; a list names RTMR3 values instead (for releases without a ticket).
    """

    mr_td: Annotated[tuple[Hex96, ...], _Many]
    rtmr0: Annotated[tuple[Hex96, ...], _Many] | None = None
    rtmr1: Annotated[tuple[Hex96, ...], _Many]
    rtmr2: Annotated[tuple[Hex96, ...], _Many]
    rtmr3: Literal["job_digest"] | Annotated[tuple[Hex96, ...], _Many] = "job_digest"
    runner: Annotated[tuple[Hex96, ...], _Many] | None = None

    @model_validator(mode="after")
    def _runner_measures_job(self) -> Self:
        if self.rtmr3 == "job_digest" and self.runner is None:
            raise ValueError("rtmr3: job_digest needs `runner`: an unknown runner may claim any job")
        return self


class Sgx(_Model):
    """Which enclave: its exact measurement, or a signer's product from a version on."""

    mr_enclave: Annotated[tuple[Hex64, ...], _Many] | None = None
    mr_signer: Annotated[tuple[Hex64, ...], _Many] | None = None
    isv_prod_id: int | None = Field(None, strict=True, ge=0, le=0xFFFF)
    min_isv_svn: int | None = Field(None, strict=True, ge=0, le=0xFFFF)

    @model_validator(mode="after")
    def _names_an_enclave(self) -> Self:
        signed = None not in (self.mr_signer, self.isv_prod_id, self.min_isv_svn)
        if self.mr_enclave is None and not signed:
            raise ValueError("give mr_enclave, or all of mr_signer, isv_prod_id and min_isv_svn")
        return self


class Tcb(_Model):
    """How well the platform must be maintained."""

    status: Annotated[tuple[_STATUS, ...], _Many] = ("UpToDate",)
    advisories_allowed: tuple[Text, ...] = Field((), max_length=MAX_LIST)
    max_collateral_age: Duration | None = None
    min_eval_number: int | None = Field(None, strict=True, ge=0)
    min_tcb_date: date | None = None


class Platform(_Model):
    """Which machines, and which of their properties are refused (`refuse` wants a proven "false")."""

    ppid_allow: tuple[Hex32, ...] | None = Field(None, max_length=MAX_LIST)
    smt: Literal["any", "refuse"] = "any"
    dynamic: Literal["any", "refuse"] = "any"
    cached_keys: Literal["any", "refuse"] = "any"


class Ticket(_Model):
    """Whether the owner must have signed this very job, and how often one ticket may be used."""

    required: bool = Field(True, strict=True)
    max_activations: int | None = Field(None, strict=True, ge=1)


class Rule(_Model):
    """One way to get the key: all its conditions must hold. Debug TEEs can't be expressed at all."""

    purpose: Annotated[tuple[Text, ...], _Many]
    tee: Annotated[tuple[Tee, ...], _Many]
    measurements: Measurements | None = None
    sgx: Sgx | None = None
    tcb: Tcb = Tcb()
    platform: Platform = Platform()
    simulated: bool = Field(False, strict=True)
    ticket: Ticket = Ticket()
    lease: Duration | None = None
    clear_logs: bool = Field(False, strict=True)

    @model_validator(mode="after")
    def _tee_has_its_part(self) -> Self:
        if "none" in self.tee:
            if len(self.tee) > 1:
                raise ValueError("tee [none] stands alone: give attested TEEs a rule of their own")
            extra = self.model_fields_set & {"measurements", "sgx", "tcb", "platform"}
            if extra:
                raise ValueError(f"tee [none] proves nothing, so remove {', '.join(sorted(extra))}")
            return self
        for tee, part in (("tdx", self.measurements), ("sgx", self.sgx)):
            if (tee in self.tee) != (part is not None):
                raise ValueError("tdx goes with `measurements`, sgx with `sgx`: exactly where `tee` names them")
        return self


class DataSetPolicy(_Model):
    """The policy of one data set; no rule, no release."""

    dataset: str = Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")
    release: tuple[Rule, ...] = Field((), max_length=MAX_RULES)

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical form with all defaults filled in, 64 hex digits: the policy's version."""
        return sha256_hex(canonical_json(self.model_dump(mode="json")))

    @classmethod
    def from_yaml(cls, data: bytes | str) -> "DataSetPolicy":
        """Parse a policy document.

        Raises:
            ConfigError: too large, not YAML, anchors or duplicate keys in it, or not a policy; says where.
        """
        if len(data) > MAX_POLICY_BYTES:
            raise _bad(f"it has more than {MAX_POLICY_BYTES} bytes")
        try:
            document = yaml.load(data, Loader=_StrictLoader)  # noqa: S506 - a SafeLoader
        except _YAML_ERRORS as error:
            raise _bad(f"it is not plain YAML{_yaml_place(error)}") from error
        try:
            return cls.model_validate(document)
        except (ValidationError, RecursionError) as error:
            raise _bad(_places(error)) from error

    @classmethod
    def load(cls, path: Path) -> "DataSetPolicy":
        """Parse the policy in a file; same errors as `from_yaml`, also when the file can't be read."""
        try:
            with path.open("rb") as file:
                data = file.read(MAX_POLICY_BYTES + 1)
        except OSError as error:
            raise _bad(f"file {path.name!r}: {error.strerror}") from error
        return cls.from_yaml(data)

    def to_yaml(self) -> str:
        """The policy as YAML that `from_yaml` reads back to the same policy."""
        return yaml.safe_dump(self.model_dump(mode="json", exclude_defaults=True), sort_keys=False)


class _StrictLoader(yaml.SafeLoader):
    """Safe YAML without aliases (which can explode) and without duplicate keys (of which one is ignored)."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.constructor.ConstructorError(None, None, "aliases are not allowed", self.get_mark())
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if any(not isinstance(key, str) for key in keys) or len(set(keys)) != len(keys):
            raise yaml.constructor.ConstructorError(None, None, "keys: distinct strings", node.start_mark)
        return yaml.constructor.BaseConstructor.construct_mapping(self, node, deep)  # no merge keys


def _yaml_place(error: Exception) -> str:
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return ""
    return f" near line {error.problem_mark.line + 1}: {printable(str(error.problem))}"


def _places(error: ValidationError | RecursionError) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    found = error.errors(include_url=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, item['loc'])) or 'document'}: {item['msg']}" for item in found[:5])


def _bad(why: str) -> ConfigError:
    return ConfigError(
        f"the data set's policy is unusable: {why}",
        who="the data owner",
        next_step="correct the policy (long digits-only values need quotes); until then nothing is released",
    )
