"""What may leave the TEE of all that Spark and user code print: life-cycle lines built from an allow-list.

A line is never passed on. Patterns pick numbers, ids and names of known classes out of it and make a new line.
Names count as known when they come from Spark, Hadoop, Java, Scala, PySpark or us, or are Python's built-in
exceptions; error conditions when Spark's own list has them.

The text of a refusal (`PPML-DENIED: …`) passes in one place only: on the JVM's standard error until the plugin
has said there that it has the keys. It says so before SparkContext is made and therefore before user code, on
the same stream; so nothing that user code prints can come earlier, however the readers of the two streams are
scheduled. Standard output, which has all of Python's lines, gives no text but for one constant.
"""

import builtins
import re
import threading
from collections.abc import Callable
from typing import Literal

from ppml_ops.spark.runner import CODE_CHANGED

MAX_LINES = 5_000
MAX_TEXT = 1_000
RUNNER_STARTED = "PPML-RUNNER started"
#: Printed by the plugin (DriverSide.java) on standard error.
PLUGIN_READY = "PPML-PLUGIN ready"

Source = Literal["stdout", "stderr"]

EXIT_OF_CLASS = {"PPML-DENIED": 77, "PPML-INTEGRITY": 76, "PPML-CONFIG": 78, "PPML-TRANSIENT": 75}

_PPML = re.compile(r"(?<![A-Z-])(PPML-(?:DENIED|INTEGRITY|CONFIG|TRANSIENT))(?![A-Z-])(?:: ?(.*))?")
_RUNNER = re.compile(
    rf"^{RUNNER_STARTED} application=((?:local|app|spark|application)[-_][0-9a-f_-]{{1,64}})"
    r" spark=([0-9.]{1,20})$"
)
_LOG = re.compile(r"^\d\d/\d\d/\d\d \d\d:\d\d:\d\d (?:INFO|WARN|ERROR) ([A-Za-z0-9.$]+): (.*)$")
_CLASS = re.compile(
    r"(?<![\w.$])((?:org\.apache\.(?:spark|hadoop)|javax?|scala|io\.github\.ppmlops|pyspark\.errors|py4j)"
    r"(?:\.[a-z_][\w]{0,80}){0,12}\.[A-Z][\w$]{0,80}(?:Exception|Error))(?![\w.$])"
)
_STACK_FRAME = re.compile(r"^\s+(?:at |File |\.\.\. \d)")
_PYTHON = re.compile(r"^([A-Z][A-Za-z]{2,40})(?::|$)")
_CONDITION = re.compile(r"\[([A-Z][A-Z0-9_]*(?:\.[A-Z0-9_]+)*)\]")
_BUILTIN = frozenset(
    name for name, item in vars(builtins).items() if isinstance(item, type) and issubclass(item, BaseException)
)

# (logger, pattern of the message, words of the life-cycle line; {} are the pattern's groups: digits only)
_EVENTS: tuple[tuple[str, re.Pattern[str], str], ...] = tuple(
    (logger, re.compile(pattern), words)
    for logger, pattern, words in (
        ("SparkContext", r"Running Spark version (\d+(?:\.\d+){1,3})", "Spark {} is starting"),
        ("DAGScheduler", r"Submitting (\d+) missing tasks from \w+Stage (\d+) ", "stage {1}: {0} tasks"),
        ("DAGScheduler", r"\w+Stage (\d+) \(.*\) finished in (\d+) ms", "stage {} finished in {} ms"),
        ("DAGScheduler", r"\w+Stage (\d+) \(.*\) failed in (\d+) ms", "stage {} failed after {} ms"),
        ("TaskSetManager", r"Lost task (\d+\.\d+) in stage (\d+\.\d+) ", "task {} of stage {} was lost"),
        ("TaskSetManager", r"Task (\d+) in stage ([\d.]+) failed (\d+)", "task {} of stage {} failed {} times"),
        ("", r"Registered executor .* with ID (\d+)", "executor {} added"),
        ("", r"Lost executor (\d+) on ", "executor {} lost"),
        ("", r"Max number of executor failures \((\d+)\) reached", "{} executors failed, the limit"),
    )
)  # fmt: skip


class LifeCycle:
    """Reads what Spark and user code print line by line and gives back the lines that may be shown.

    Args:
        conditions: Spark's error conditions, e.g. `CAST_INVALID_INPUT`; see `ppml_ops.spark.conditions`.
        user_code: whether it may print from the first line on, as in executors: no text passes then.
    """

    def __init__(self, conditions: frozenset[str], *, user_code: bool = False) -> None:
        self._conditions = conditions
        self._shown: set[str] = set()
        self._count = 0
        self._lock = threading.Lock()
        self._user_code = user_code
        self._plugin_ready = False
        self.ppml_class: str | None = None
        self.application_id: str | None = None

    def feed(self, line: str, source: Source) -> list[str]:
        """Zero or more life-cycle lines for one printed line (without line end); for several threads.

        The lines of each source come in the order in which they were printed.
        """
        with self._lock:
            lines = self._lines(line, source)
            self._count += len(lines)
            return lines if self._count <= MAX_LINES else []

    def _lines(self, line: str, source: Source) -> list[str]:
        if source == "stdout" and not self._user_code and (started := _RUNNER.match(line)):
            self._user_code = True
            self.application_id = started[1]
            return [f"application {started[1]} runs on Spark {started[2]}"]
        if source == "stderr" and PLUGIN_READY in line:
            self._plugin_ready = True
        found = self._event(line)
        if ours := _PPML.search(line):
            found.append(self._refusal(ours, source))
        return [*found, *self._errors(line)]

    def _event(self, line: str) -> list[str]:
        if not (entry := _LOG.match(line)):
            return []
        logger, message = entry[1].rpartition(".")[2], entry[2]
        for wanted, pattern, words in _EVENTS:
            if wanted in ("", logger) and (hit := pattern.match(message)):
                return [words.format(*hit.groups())]
        return []

    def _refusal(self, hit: re.Match[str], source: Source) -> str:
        self.ppml_class = hit[1]
        if not self._user_code:
            if hit.string == CODE_CHANGED and source == "stdout":
                return CODE_CHANGED
            if source == "stderr" and not self._plugin_ready and hit.start() == 0 and hit[2]:
                return f"{hit[1]}: {printable(hit[2])}"
        return f"{hit[1]} (the reason is in the sealed log)"

    def _errors(self, line: str) -> list[str]:
        if _STACK_FRAME.match(line):
            return []
        names = list(_CLASS.findall(line))
        if (python := _PYTHON.match(line)) and python[1] in _BUILTIN:
            names.append(python[1])
        names += [f"[{name}]" for name in _CONDITION.findall(line) if name in self._conditions]
        return self._once(names, lambda name: f"error class {name}")

    def _once(self, names: list[str], words: Callable[[str], str]) -> list[str]:
        new = [name for name in dict.fromkeys(names) if name not in self._shown]
        self._shown.update(new)
        return [words(name) for name in new]


def printable(text: str) -> str:
    """`text` without control and invisible characters, at most 1000 characters."""
    return "".join(c if c.isprintable() else " " for c in text)[:MAX_TEXT].strip()


def exit_code(submit: int, ppml_class: str | None) -> int:
    """The entry point's exit code for spark-submit's.

    Codes 75 to 78 count only when the line that goes with them was seen: a user's script that happens to exit
    with 77 has not been denied anything. Every other failure, signals included, is the workload's: 70.
    """
    if submit == 0:
        return 0
    if ppml_class is not None and EXIT_OF_CLASS[ppml_class] == submit:
        return submit
    return 70
