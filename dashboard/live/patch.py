"""The difference between two JSON values as a short list of operations, and its application.

Charts move by a few rows a second: long lists lose rows at the front and gain or change rows at the tail. An
operation is one of

    ["set", path, value]               put a value at a path
    ["del", path]                      remove the key of an object
    ["rows", path, drop, keep, tail]   list = list[drop : drop + keep] + tail
    ["cells", path, indices, values]   replace some items of a list

A path is a list of keys and indices. One step of it may be a list of indices: what is alike in several traces is said
once, and the last argument is then a list with one value each, or with one for all. `follow.js` applies the same
operations in the browser.
"""

from collections.abc import Iterator
from itertools import chain
from typing import Any, TypeGuard

import numpy as np

Path = tuple[str | int, ...]
Operation = list[Any]

# Shorter lists (ranges, domains, dashes) are sent whole.
SHORT = 8
LEAVES, PARTS = (str, int, float), (dict, list, np.ndarray)
FOLDED = ("set", "rows")


def plain(value: Any) -> Any:
    """JSON-ready copy: arrays become lists; NaN and infinities, which JSON has not, become None."""
    match value:
        case str() | bool() | None:
            return value
        case dict():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case np.ndarray():
            return _plain_array(value)
        case np.generic():
            return plain(value.item())
        case float():
            return value if value - value == 0 else None
    return value


def _plain_array(array: np.ndarray) -> list[Any]:
    if array.ndim > 1:
        return [_plain_array(row) for row in array]
    if array.dtype.kind != "f":
        return array.tolist()
    finite = np.isfinite(array)
    if finite.all():
        return array.tolist()
    return [item if kept else None for item, kept in zip(array.tolist(), finite.tolist(), strict=True)]


def diff(old: Any, new: Any) -> list[Operation]:
    """Operations, plain, that turn `old` into `new`; empty where they are equal.

    Both are JSON values that may hold arrays, NaN for None; nobody may change either afterwards. What is one object in
    both is not looked into, and an array becomes a list only where it has changed.
    """
    found: list[Operation] = []
    _walk(old, new, (), found, None)
    return _folded(found)


def _walk(old: Any, new: Any, path: Path, found: list[Operation], drop: int | None) -> None:
    if old is new or (isinstance(old, LEAVES) and isinstance(new, LEAVES) and old == new):
        return
    if isinstance(old, dict) and isinstance(new, dict):
        _walk_object(old, new, path, found)
    elif _is_rows(old) and _is_rows(new):
        found.extend(_rows(_column(old), _column(new), list(path), drop))
    elif _is_parts(old) and _is_parts(new) and len(old) == len(new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            _walk(before, after, (*path, index), found, None)
    elif (value := plain(new)) != plain(old):
        found.append(["set", list(path), value])


def _walk_object(old: dict[str, Any], new: dict[str, Any], path: Path, found: list[Operation]) -> None:
    if old.keys() != new.keys():
        found.extend(["del", [*path, key]] for key in old if key not in new)
    drop = None
    if "x" in old and "x" in new and _is_rows(old["x"]) and _is_rows(new["x"]):
        drop = _dropped(_column(old["x"]), _column(new["x"]))
    for key, after in new.items():
        if key in old:
            _walk(old[key], after, (*path, key), found, drop)
        else:
            found.append(["set", [*path, key], plain(after)])


def _is_rows(value: Any) -> TypeGuard[list[Any] | np.ndarray]:
    """Numbers, texts and None: one attribute of a trace."""
    if isinstance(value, np.ndarray):
        return value.ndim == 1 and value.size > SHORT
    return isinstance(value, list) and len(value) > SHORT and not isinstance(value[0], PARTS)


def _is_parts(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.ndim > 1 and len(value) > 0
    return isinstance(value, list) and bool(value) and isinstance(value[0], PARTS)


def _column(values: list[Any] | np.ndarray) -> np.ndarray:
    """Rows as an array."""
    if isinstance(values, np.ndarray):
        return values
    column = np.empty(len(values), object)
    column[:] = plain(values)
    return column


def _same(old: np.ndarray, new: Any) -> np.ndarray:
    """Which rows are equal; missing ones are."""
    same = old == new
    if old.dtype.kind == "f" and isinstance(new, np.ndarray) and new.dtype.kind == "f":
        same |= np.isnan(old) & np.isnan(new)
    return np.asarray(same, bool)


def _dropped(old: np.ndarray, new: np.ndarray) -> int:
    """Rows gone from the front: where the first new row stood before."""
    if old[0] == new[0]:
        return 0
    places = np.flatnonzero(_same(old, new[:1]))
    return int(places[0]) if places.size else old.size


def _rows(old: np.ndarray, new: np.ndarray, path: list[str | int], hint: int | None) -> list[Operation]:
    """The rows that left, came and changed; a few changed ones in the middle, as of a repaired gap, on their own."""
    drop = _dropped(old, new) if hint is None else min(hint, old.size)
    common = min(old.size - drop, new.size)
    changed = np.flatnonzero(~_same(old[drop : drop + common], new[:common]))
    if not changed.size and drop == 0 and common == old.size == new.size:
        return []
    first = int(changed[0]) if changed.size else common
    if 2 * changed.size >= common - first:  # most of the rest is new
        return [["rows", path, drop, first, plain(new[first:])]]
    cells = ["cells", path, changed.tolist(), plain(new[changed])]
    if drop == 0 and common == old.size == new.size:
        return [cells]
    return [["rows", path, drop, common, plain(new[common:])], cells]


def _folded(operations: list[Operation]) -> list[Operation]:
    """Operations that differ in one index and the last argument alone become one, at the place of the first.

    That is safe: but for the cells of a list, which follow its rows, no two are about the same part of the value.
    """
    alike: dict[Any, list[Operation]] = {}
    for number, operation in enumerate(operations):
        kind, path, *rest = operation
        at = _last_index(path)
        same = (kind, *path[:at], None, *path[at + 1 :], *rest[:-1]) if at >= 0 and kind in FOLDED else number
        alike.setdefault(same, []).append(operation)
    return [group[0] if len(group) == 1 else _fold(group) for group in alike.values()]


def _fold(group: list[Operation]) -> Operation:
    kind, path, *rest = group[0]
    at = _last_index(path)
    values = [operation[-1] for operation in group]
    if kind == "rows" and all(value == values[0] for value in values):
        values = values[:1]
    indices = [operation[1][at] for operation in group]
    return [kind, [*path[:at], indices, *path[at + 1 :]], *rest[:-1], values]


def _last_index(path: list[str | int]) -> int:
    """Where the last index of a list stands in a path; -1 where there is none."""
    return max((at for at, step in enumerate(path) if isinstance(step, int)), default=-1)


def unfolded(operation: Operation) -> Iterator[Operation]:
    """The operations that a folded one stands for."""
    kind, path, *rest = operation
    at = next((at for at, step in enumerate(path) if isinstance(step, list)), -1)
    if at < 0:
        yield operation
        return
    *rest, values = rest
    for number, index in enumerate(path[at]):
        yield [kind, [*path[:at], index, *path[at + 1 :]], *rest, values[number if len(values) > 1 else 0]]


def apply(value: Any, operations: list[Operation]) -> Any:
    """The value after the operations; the value given is changed in place where it can be."""
    holder = {"root": value}
    for kind, path, *rest in chain.from_iterable(map(unfolded, operations)):
        parent: Any = holder
        steps = ["root", *path]
        for step in steps[:-1]:
            parent = parent[step]
        last = steps[-1]
        if kind == "set":
            parent[last] = rest[0]
        elif kind == "del":
            del parent[last]
        elif kind == "rows":
            drop, keep, tail = rest
            parent[last] = parent[last][drop : drop + keep] + tail
        else:
            for index, item in zip(*rest, strict=True):
                parent[last][index] = item
    return holder["root"]
