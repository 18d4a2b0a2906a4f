"""The web application behind the proof page; mounted by Airflow's API server, behind Airflow's own login."""

from airflow.api_fastapi.core_api.security import get_user, requires_access_dag
from fastapi import Depends, FastAPI
from fastapi.responses import HTMLResponse

from ppml_ops.airflow.ui.page import proof_page
from ppml_ops.lifecycle.run import find_run
from ppml_ops.receipts.standing import NO_RECEIPT, standing_of
from ppml_ops.settings import Settings

#: Plugin applications have no authentication of their own, hence the dependency for every route.
app = FastAPI(dependencies=[Depends(get_user)], docs_url=None, redoc_url=None, openapi_url=None)
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "Cache-Control": "no-store",
}


@app.get("/runs/{dag_id}/{run_id:path}", dependencies=[Depends(requires_access_dag("GET"))])
def run_proof(dag_id: str, run_id: str) -> HTMLResponse:
    """Whether a run is proven, for those who may see its DAG."""
    run = find_run(Settings().home, dag_id, run_id)
    records = run.records.all() if run else {}
    standing = standing_of(run.home, run.folder, records) if run else NO_RECEIPT
    return HTMLResponse(proof_page(dag_id, run_id, run, standing, list(records.values())), headers=_HEADERS)
