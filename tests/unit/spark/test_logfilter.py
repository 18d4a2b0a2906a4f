import pytest

from ppml_ops.spark.jvm.build import SOURCES
from ppml_ops.spark.logfilter import MAX_LINES, PLUGIN_READY, LifeCycle, Source, exit_code, printable
from ppml_ops.spark.runner import CODE_CHANGED

CANARY = "Canary-Alice-4711"
AT = "26/11/20 10:00:00"
STARTED = "PPML-RUNNER started application=local-1795277310138 spark=4.3.0"


def life(*, running: bool = True) -> LifeCycle:
    cycle = LifeCycle(frozenset({"CAST_INVALID_INPUT", "MALFORMED_RECORD_IN_PARSING.WITHOUT_SUGGESTION"}))
    if running:
        cycle.feed(PLUGIN_READY, "stderr")
        cycle.feed(STARTED, "stdout")
    return cycle


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (f"{AT} INFO SparkContext: Running Spark version 4.3.0", ["Spark 4.3.0 is starting"]),
        (
            f"{AT} INFO DAGScheduler: Submitting 2 missing tasks from ResultStage 1 (RDD[4] at {CANARY})",
            ["stage 1: 2 tasks"],
        ),
        (f"{AT} INFO DAGScheduler: ResultStage 5 ({CANARY}) finished in 11 ms", ["stage 5 finished in 11 ms"]),
        (f"{AT} INFO DAGScheduler: ResultStage 6 ({CANARY}) failed in 9 ms due", ["stage 6 failed after 9 ms"]),
        (
            f"{AT} WARN TaskSetManager: Lost task 1.0 in stage 6.0 (TID 7) (h executor driver): "
            f"org.apache.spark.SparkNumberFormatException: [CAST_INVALID_INPUT] The value '{CANARY}' …",
            [
                "task 1.0 of stage 6.0 was lost",
                "error class org.apache.spark.SparkNumberFormatException",
                "error class [CAST_INVALID_INPUT]",
            ],
        ),
        (
            f"{AT} ERROR TaskSetManager: Task 1 in stage 6.0 failed 4 times; aborting job",
            ["task 1 of stage 6.0 failed 4 times"],
        ),
        (
            f"{AT} ERROR TaskSchedulerImpl: Lost executor 3 on {CANARY}: due to PPML-DENIED: {CANARY}",
            ["executor 3 lost", "PPML-DENIED (the reason is in the sealed log)"],
        ),
        (f"ValueError: {CANARY}", ["error class ValueError"]),
        ("KeyError", ["error class KeyError"]),
        (
            f"pyspark.errors.exceptions.captured.NumberFormatException: {CANARY}",
            ["error class pyspark.errors.exceptions.captured.NumberFormatException"],
        ),
    ],
)  # fmt: skip
def test_life_cycle_lines_have_numbers_and_known_names_only(line: str, shown: list[str]) -> None:
    assert life().feed(line, "stderr") == shown


@pytest.mark.parametrize(
    "line",
    [
        CANARY,
        f"{AT} INFO SparkContext: Submitted application: {CANARY}",
        f"{AT} INFO Canary: {CANARY}",
        f"[{CANARY}] [ALICE_4711]",
        f"AliceError: {CANARY}",
        f"com.example.{CANARY}Exception: x",
        f"\tat org.apache.spark.sql.errors.QueryExecutionErrors.someException({CANARY})",
        "org.apache.spark.sql.invalidInputInCastToNumberError",
        f"{STARTED.replace('local-1795277310138', 'local-' + CANARY)}",
        STARTED,
        f"{AT} INFO DAGScheduler: Submitting {CANARY} missing tasks from ResultStage 1 (x)",
        "",
    ],
)
def test_everything_else_is_kept_back(line: str) -> None:
    assert life().feed(line, "stdout") == life().feed(line, "stderr") == []


def test_reason_of_a_refusal_passes_until_the_plugin_is_ready_and_only_its_class_afterwards() -> None:
    cycle = life(running=False)
    refusal = "PPML-DENIED: policy wants tdx, got none"
    assert cycle.feed(refusal, "stderr") == [refusal]
    assert cycle.feed(PLUGIN_READY, "stderr") == []
    assert cycle.feed(f"PPML-DENIED: {CANARY}", "stderr") == ["PPML-DENIED (the reason is in the sealed log)"]
    assert cycle.feed(STARTED, "stdout") == ["application local-1795277310138 runs on Spark 4.3.0"]
    assert cycle.feed(f"PPML-INTEGRITY: {CANARY}", "stdout") == [
        "PPML-INTEGRITY (the reason is in the sealed log)"
    ]
    assert (cycle.application_id, cycle.ppml_class) == ("local-1795277310138", "PPML-INTEGRITY")


@pytest.mark.parametrize("first", ["stdout", "stderr"])
def test_what_user_code_prints_gives_no_text_whichever_stream_is_read_first(first: Source) -> None:
    """Each stream in its own order; the other one may not have been read at all yet."""
    refusal = f"PPML-DENIED: {CANARY}"
    streams: dict[Source, list[str]] = {
        "stdout": [STARTED, refusal, STARTED, CODE_CHANGED, PLUGIN_READY, refusal],
        "stderr": [PLUGIN_READY, refusal, STARTED, CODE_CHANGED, PLUGIN_READY, refusal],
    }
    cycle = life(running=False)
    second: Source = "stderr" if first == "stdout" else "stdout"
    shown = [
        words for source in (first, second) for line in streams[source] for words in cycle.feed(line, source)
    ]
    assert CANARY not in str(shown)
    assert CODE_CHANGED not in shown


def test_standard_output_gives_no_text_but_that_the_code_changed() -> None:
    cycle = life(running=False)
    assert cycle.feed(f"PPML-DENIED: {CANARY}", "stdout") == ["PPML-DENIED (the reason is in the sealed log)"]
    assert CANARY not in str(cycle.feed(f"{CODE_CHANGED} {CANARY}", "stdout"))
    assert cycle.feed(CODE_CHANGED, "stdout") == [CODE_CHANGED]
    assert cycle.ppml_class == "PPML-DENIED"


def test_a_refusal_inside_another_line_gives_no_text() -> None:
    assert CANARY not in str(life(running=False).feed(f"{AT} ERROR X: PPML-DENIED: {CANARY}", "stderr"))


def test_a_user_can_not_start_again_to_get_reasons_through() -> None:
    cycle = life()
    assert cycle.feed(STARTED, "stdout") == []
    assert CANARY not in str(cycle.feed(f"PPML-DENIED: {CANARY}", "stderr"))


def test_the_plugin_says_what_the_filter_waits_for() -> None:
    source = SOURCES / "io/github/ppmlops/spark/DriverSide.java"
    assert f'"{PLUGIN_READY}"' in source.read_text()


def test_each_error_class_is_shown_once() -> None:
    cycle = life()
    assert [cycle.feed("ValueError: x", "stdout") for _ in range(3)] == [["error class ValueError"], [], []]


def test_output_is_bounded() -> None:
    cycle = life()
    line = f"{AT} INFO DAGScheduler: ResultStage 5 (x) finished in 110 ms"
    assert sum(len(cycle.feed(line, "stderr")) for _ in range(MAX_LINES + 100)) < MAX_LINES


@pytest.mark.parametrize(
    ("submit", "ppml_class", "wanted"),
    [
        (0, None, 0),
        (0, "PPML-DENIED", 0),
        (1, None, 70),
        (70, None, 70),
        (77, "PPML-DENIED", 77),
        (76, "PPML-INTEGRITY", 76),
        (78, "PPML-CONFIG", 78),
        (75, "PPML-TRANSIENT", 75),
        (77, None, 70),
        (75, "PPML-DENIED", 70),
        (-9, None, 70),
        (137, "PPML-INTEGRITY", 70),
    ],
)
def test_exit_codes(submit: int, ppml_class: str | None, wanted: int) -> None:
    assert exit_code(submit, ppml_class) == wanted


def test_printable_has_no_control_characters_and_an_end() -> None:
    assert printable("a\x1b[31mb\n\u202ec" + "x" * 5000).startswith("a [31mb  c")
    assert len(printable("x" * 5000)) == 1000


def test_spark_own_list_of_conditions_is_found() -> None:
    from ppml_ops.spark.conditions import error_conditions
    from ppml_ops.spark.tools import spark_home

    conditions = error_conditions(spark_home())
    assert "CAST_INVALID_INPUT" in conditions
    assert any("." in name for name in conditions)


def test_where_user_code_may_print_from_the_first_line_on_no_text_passes() -> None:
    life = LifeCycle(frozenset(), user_code=True)
    assert life.feed("PPML-DENIED: name=Alice", "stderr") == ["PPML-DENIED (the reason is in the sealed log)"]
    assert life.feed("PPML-RUNNER started application=local-abc spark=4.3.0", "stdout") == []
    assert life.ppml_class == "PPML-DENIED"
