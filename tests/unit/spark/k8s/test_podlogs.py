from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from ppml_ops.spark.k8s.http import CutError
from ppml_ops.spark.k8s.podlogs import read_log

FIRST, SECOND = "2026-11-20T10:00:00.000000001Z", "2026-11-20T10:00:00.000000002Z"
TEXT = f"{FIRST} one\n{SECOND} PPML-DENIED: two\n".encode()


def lines(*pieces: bytes, cut: bool = False, since: str = "") -> list[tuple[str, str]]:
    def stream(*_a: Any, **_k: Any) -> Iterator[bytes]:
        yield from pieces
        if cut:
            raise CutError

    cluster: Any = SimpleNamespace(transport=SimpleNamespace(stream=stream))
    return [tuple(line) for line in read_log(cluster, "w", "p", "c", since=since)]


def test_lines_come_whole_however_they_are_cut_into_pieces() -> None:
    for size in range(1, len(TEXT)):
        pieces = [TEXT[start : start + size] for start in range(0, len(TEXT), size)]
        assert lines(*pieces) == [(FIRST, "one"), (SECOND, "PPML-DENIED: two")]


def test_a_cut_anywhere_loses_nothing_and_remembers_no_half_of_a_time() -> None:
    for end in range(len(TEXT)):
        before = lines(TEXT[:end], cut=True)
        since = before[-1][0] if before else ""
        assert before + lines(TEXT, since=since) == [(FIRST, "one"), (SECOND, "PPML-DENIED: two")]


def test_the_last_line_of_a_container_may_have_no_end() -> None:
    assert lines(TEXT.removesuffix(b"\n"))[-1] == (SECOND, "PPML-DENIED: two")


def test_what_has_no_time_is_no_line() -> None:
    assert lines(b"unable to retrieve container logs\n" + TEXT)[0] == (FIRST, "one")
