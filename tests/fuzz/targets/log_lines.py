"""What Spark and user code print: the filter lets life-cycle lines through and never stumbles."""

from ppml_ops.spark.logfilter import LifeCycle, Source


def run(data: bytes) -> None:
    """Feed every line, of both streams."""
    text = data.decode("utf-8", "replace")
    sources: tuple[Source, ...] = ("stdout", "stderr")
    for source in sources:
        lines = LifeCycle(frozenset({"TABLE_OR_VIEW_NOT_FOUND"}))
        for line in text.splitlines():
            for shown in lines.feed(line, source):
                assert shown.isprintable()
