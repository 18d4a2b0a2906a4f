"""SimpleQuery: developers aged 20 to 40 out of people.csv, computed by Spark in a TEE on encrypted data.

    open_run → preflight → generate_key → encrypt_upload → issue_ticket → distribute → attest
             → submit → gather (once per node) → merge → decrypt → verify_run
    teardowns, also after failure: retire_ticket and clean_up → receipt, which fails unless the run is proven

Trigger it by hand (the form asks for the parameters), let it run every night, or `ppml-ops run simple_query`.
"""

from airflow.sdk import DAG, CronDataIntervalTimetable, Param, chain

from ppml_ops.airflow.orchestrator import (
    Attest,
    CleanUp,
    Distribute,
    Gather,
    Merge,
    OpenRun,
    Preflight,
    VerifyRun,
)
from ppml_ops.airflow.owner import Decrypt, EncryptUpload, GenerateKey, IssueTicket, RetireTicket, RowCheck
from ppml_ops.airflow.receipt import WriteReceipt
from ppml_ops.airflow.stage import BY_INDEX
from ppml_ops.airflow.submit import Submit
from ppml_ops.settings import Settings
from ppml_ops.spark.profiles import profile_names
from ppml_ops.workloads import path_of
from ppml_ops.workloads.people import check_people_params, expected_people, people_generator

PEOPLE, RESULT = "sim-people", "sim-simple-query"  # on real hardware: names without "sim-"
PURPOSE = "simple-query"
COLUMNS = ["name", "age", "job"]

SETTINGS = Settings()

PARAMS = {
    "rows": Param(
        500, type="integer", minimum=0, maximum=1_000_000_000, title="Rows",
        description="How many people to generate when no input is given.",
    ),
    "seed": Param(
        None, type=["null", "integer"], title="Seed",
        description="Same seed, same people. Empty: the day is the seed.",
    ),
    "input_url": Param(
        None, type=["null", "string"], maxLength=2000, title="Input",
        description="CSV file, folder or URL with the columns name, age, job; {date} stands for the day. "
        "Empty: people are generated.",
    ),
    "input_key": Param(
        None, type=["null", "string"], maxLength=1000, title="Key of the input",
        description="The input is a data set of BigDL PPML: its primary key file, simple:/folder/name.",
    ),
    "export_key": Param(
        None, type=["null", "string"], maxLength=1000, title="Key of an export",
        description="Write the result for BigDL PPML too, under this primary key file: simple:/folder/name.",
    ),
    "min_age": Param(20, type="integer", minimum=0, maximum=150, title="Youngest"),
    "max_age": Param(40, type="integer", minimum=0, maximum=150, title="Oldest"),
    "job": Param("Developer", type="string", minLength=1, maxLength=100, title="Job title"),
    "partitions": Param(
        2, type="integer", minimum=1, maximum=1000, title="Output partitions",
        description="How many files the result has.",
    ),
    "profile": Param(
        SETTINGS.profile, type="string", enum=profile_names(SETTINGS.home / "profiles"), title="Profile",
        description="Where the job runs and which TEE it attests.",
    ),
    "date": Param(
        None, type=["null", "string"], format="date", title="Day",
        description="Day of the data, for manual runs. Empty: yesterday.",
    ),
}  # fmt: skip

with DAG(
    "simple_query",
    schedule=CronDataIntervalTimetable("30 2 * * *", "UTC"),
    catchup=False,
    max_active_runs=4,
    params=PARAMS,
    tags=["ppml-ops", "spark"],
    doc_md=__doc__,
):
    open_run = OpenRun(task_id="open_run", check=check_people_params)
    preflight = Preflight(task_id="preflight")
    generate_key = GenerateKey(
        task_id="generate_key",
        datasets=[PEOPLE, RESULT],
        purpose=PURPOSE,
        export_key="{{ params.export_key or '' }}",
    )
    encrypt_upload = EncryptUpload(
        task_id="encrypt_upload",
        dataset=PEOPLE,
        table="people",
        columns=COLUMNS,
        source="{{ params.input_url or '' }}",
        source_key="{{ params.input_key or '' }}",
        generator=people_generator,
    )
    issue_ticket = IssueTicket(
        task_id="issue_ticket",
        name="simple-query",
        application=str(path_of("simple_query.py")),
        arguments=[
            "--input", f"sealed://{PEOPLE}/people",
            "--output", f"sealed://{RESULT}/developers",
            "--min-age", "{{ params.min_age }}",
            "--max-age", "{{ params.max_age }}",
            "--job", "{{ params.job }}",
            "--partitions", "{{ params.partitions }}",
        ],
        reads=[PEOPLE],
        writes=[RESULT],
        purpose=PURPOSE,
    ).as_setup()  # fmt: skip
    distribute = Distribute(task_id="distribute")
    attest = Attest(task_id="attest")
    submit = Submit(task_id="submit")
    gather = Gather.partial(task_id="gather", map_index_template=BY_INDEX).expand(node=submit.output)
    merge = Merge(task_id="merge")
    decrypt = Decrypt(
        task_id="decrypt",
        rows={RESULT: RowCheck(COLUMNS, expected_people)},
        export_key="{{ params.export_key or '' }}",
    )
    verify_run = VerifyRun(task_id="verify_run")

    retire_ticket = RetireTicket(task_id="retire_ticket").as_teardown(setups=issue_ticket)
    clean_up = CleanUp(task_id="clean_up").as_teardown(setups=issue_ticket)
    receipt = WriteReceipt(task_id="receipt").as_teardown(setups=open_run, on_failure_fail_dagrun=True)

    chain(
        open_run, preflight, generate_key, encrypt_upload, issue_ticket, distribute, attest,
        submit, gather, merge, decrypt, verify_run, [retire_ticket, clean_up], receipt,
    )  # fmt: skip
    verify_run >> receipt
