"""Public routes under /ppml/v1: who this broker is, dry runs, and signed release records."""

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from ppml_ops import __version__
from ppml_ops.broker.evidence import SAMPLE, Appraised, FindCollateral, appraise_evidence, check_tee
from ppml_ops.broker.grants import Grants
from ppml_ops.broker.handshake import Handshake
from ppml_ops.broker.http_body import Body
from ppml_ops.broker.http_owner import parse
from ppml_ops.broker.jose import public_jwk
from ppml_ops.broker.limits import RateLimit
from ppml_ops.broker.rcar import kbs_v0_4 as kbs
from ppml_ops.broker.rcar.errors import RcarError
from ppml_ops.broker.state import BrokerState
from ppml_ops.errors import DeniedError, TransientError

APPRAISE_RATE, APPRAISE_BURST = 5.0, 20


class AppraiseRequest(kbs.Attestation):
    """Evidence bound to runtime data of the client's own making, and the ticket that it is meant for.

    A dry run proves no freshness: the nonce is the client's, so nothing may be decided by it.
    """

    tee: kbs.Tee
    ticket: str = Field(max_length=kbs.MAX_BODY)


def public_router(
    state: BrokerState, handshake: Handshake, grants: Grants, find_collateral: FindCollateral
) -> APIRouter:
    """Routes that anyone who reaches the broker may use; none gives a key."""
    router = APIRouter(prefix="/ppml/v1")
    limit = RateLimit(APPRAISE_RATE, APPRAISE_BURST)

    @router.get("/info")
    def info() -> Response:
        return JSONResponse(
            {
                "ppml": "broker-info/1",
                "trust_domain": state.domain.id,
                "simulated": state.domain.simulated,
                "broker_key": public_jwk(state.signing),
                "owners": [public_jwk(key) for key in state.owners.all().values()],
                "versions": {"rcar": kbs.VERSION, "ppml_ops": __version__},
            }
        )

    @router.post("/appraise")
    def appraise(body: Body) -> Response:
        if not limit.allow():
            raise TransientError("too many dry runs at once", next_step="try again in a second")
        message = parse(AppraiseRequest, body)
        seen = Appraised()
        try:
            check_tee(message.tee, state.domain, with_ticket=True)
            ticket = handshake.verified(message.ticket)
            appraise_evidence(
                message.tee,
                message.runtime_data,
                message.tee_evidence,
                domain=state.domain,
                find_collateral=find_collateral,
                now=handshake.now(),
                seen=seen,
            )
        except RcarError as error:
            raise DeniedError(error.detail, next_step="see the reason") from None
        assert seen.claims is not None, SAMPLE  # `sample` was refused above
        return JSONResponse(grants.decision(ticket.claims, seen.claims).model_dump(mode="json"))

    @router.get("/releases/{jti}")
    def releases(jti: str) -> Response:
        return JSONResponse([record.model_dump(mode="json") for record in state.audit.releases(jti)])

    return router
