"""Every fuzz target on its whole corpus, on changed seeds and on random bytes."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz import registry

EDITS = st.lists(st.tuples(st.integers(0, 1 << 15), st.binary(max_size=4)), max_size=4)
FEW = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("name", registry.names())
def test_the_corpus(name: str) -> None:
    run, seeds = registry.load(name), registry.seeds(name)
    assert seeds, f"the target has no seeds in {registry.CORPUS / name}"
    for path in seeds:
        run(path.read_bytes())


@pytest.mark.parametrize("name", registry.names())
def test_random_bytes(name: str) -> None:
    run = registry.load(name)

    @FEW
    @given(st.binary(max_size=300))
    def try_it(data: bytes) -> None:
        run(data)

    try_it()


@pytest.mark.parametrize("name", registry.names())
def test_changed_seeds(name: str) -> None:
    run = registry.load(name)
    seeds = [path.read_bytes() for path in registry.seeds(name)]

    @FEW
    @given(st.sampled_from(seeds), EDITS, st.none() | st.integers(0, 1 << 14))
    def try_it(seed: bytes, edits: list[tuple[int, bytes]], cut: int | None) -> None:
        changed = bytearray(seed)
        for position, new in edits:
            place = position % (len(changed) + 1)
            changed[place : place + len(new)] = new
        run(bytes(changed[:cut]))

    try_it()
