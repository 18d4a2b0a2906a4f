"""One target under atheris in a process of its own: `python -m tests.fuzz.child NAME [libFuzzer options]`."""

import random
import sys

import atheris

from tests.fuzz import registry
from tests.fuzz.mutate import mutate_json


def mutator(data: bytes, max_size: int, seed: int) -> bytes:
    """Half of the time a change that keeps JSON JSON, else libFuzzer's own."""
    rng = random.Random(seed)
    changed = mutate_json(data, rng) if rng.random() < 0.5 else None
    if changed is not None and len(changed) <= max_size:
        return changed
    found: bytes = atheris.Mutate(data, max_size)
    return found


def main(arguments: list[str]) -> None:
    """Never returns: libFuzzer ends the process."""
    name, *options = arguments
    atheris.enabled_hooks.add("str")  # not "RegEx": its pattern proxy breaks the standard library's json
    with atheris.instrument_imports(include=["ppml_ops", "rfc8785"]):
        run = registry.load(name)
    atheris.Setup([sys.argv[0], *options], run, custom_mutator=mutator)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
