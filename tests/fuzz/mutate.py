"""Changes of JSON documents that keep them JSON: bytes at random seldom get past the first parser."""

import json
import random
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from ppml_ops.canonical import canonical_json

#: What parsers stumble over: limits of number types, no numbers, half characters, wrong kinds, depth.
NASTY: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**53, 2**63, 2**64, -(2**63), 10**400, 0.5, 1e308, float("nan"),
    float("inf"), "", "\0", "\ud800", "\uffff", "\u202e", "a" * 5000, "../../etc/passwd", "0" * 64, "\u0661",
    [], {}, [[]], {"": None}, {"__proto__": {}}, "2026-13-45", "file:///", "https://", "AAAA", "=",
)  # fmt: skip


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _places(inner, (*path, key))


def mutate_json(data: bytes, rng: random.Random) -> bytes | None:
    """`data` with one to three members changed, mostly as canonical JSON; None for what is no JSON.

    A first byte that is no JSON stays: some targets choose by it.
    """
    for start in (0, 1):
        try:
            document = json.loads(data[start:])
        except (ValueError, RecursionError):
            continue
        try:
            for _ in range(rng.randint(1, 3)):
                document = _change(document, rng)
            return data[:start] + _encode(document, rng)
        except RecursionError:
            return None
    return None


def _change(document: Any, rng: random.Random) -> Any:
    *parents, last = path = (None, *rng.choice(list(_places(document))))
    root = {None: document}
    holder: Any = root
    for key in parents:
        holder = holder[key]
    old = holder[last]
    what = rng.randrange(6)
    if what == 0 and len(path) > 1:
        del holder[last]
    elif what == 1 and isinstance(holder, dict) and len(path) > 1:
        holder[f"{last}x"] = holder.pop(last)
    elif what == 2 and isinstance(old, list) and old:
        old.append(deepcopy(rng.choice(old)))
    elif what == 3:
        for _ in range(rng.choice((1, 50, 2000))):
            old = [old]
        holder[last] = old
    elif what == 4 and isinstance(old, str) and old:
        place = rng.randrange(len(old))
        holder[last] = old[:place] + rng.choice(("", "0", "\n", "é", "\ud83d", old)) + old[place + 1 :]
    elif what == 5 and isinstance(old, int):
        holder[last] = old + rng.choice((-1, 1, 2**32, -(2**64)))
    else:
        holder[last] = deepcopy(rng.choice(NASTY))
    return root[None]


def _encode(document: Any, rng: random.Random) -> bytes:
    if rng.random() < 0.8:
        try:
            return canonical_json(document)
        except (ValueError, RecursionError):
            pass
    return json.dumps(document).encode()
