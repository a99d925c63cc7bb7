"""Read plain data from a pickle without unpickling it: nothing that it names is imported or called.

A pickle is a program for a small stack machine, whose instructions Python's `pickletools` documents.
Unpickling can run any code. This reader knows only the instructions that Python 2 wrote for lists,
dictionaries, strings, integers and NumPy arrays of bytes (protocol 2). It imports and calls nothing:
NumPy's instructions for an array are compared with their usual form, and the array is made from its
bytes.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

_MOST_STEPS = 500_000
"""Most instructions. It bounds memory, because each may create an object. CIFAR-100's training set takes
200,000."""
_LONG_TEXT = 2**16
"""Longer texts, in bytes, are not copied."""


class PlainPickleError(ValueError):
    """The bytes are no pickle of plain data. The text says what is wrong, for a message after the file's
    name."""


@dataclass(frozen=True)
class _Named:
    """A name in a module that a pickle mentions."""

    module: str
    name: str


@dataclass(eq=False)
class Array:
    """An array. The pickle gives its values after it."""

    values: np.ndarray | None = None
    """uint8, a view of the pickle's bytes where they are long."""


class _ByteType:
    """NumPy's type uint8."""


_MARK = object()
_NDARRAY = _Named("numpy", "ndarray")
_DTYPE = _Named("numpy", "dtype")
_RECONSTRUCT = _Named("numpy.core.multiarray", "_reconstruct")
_KNOWN = (_NDARRAY, _DTYPE, _RECONSTRUCT)

# By instruction: the format of its number, for `struct`.
_INTEGERS = {b"K": "<B", b"M": "<H", b"J": "<i"}
_STRINGS = {b"U": "<B", b"T": "<i"}
_PUTS = {b"q": "<B", b"r": "<I"}
_GETS = {b"h": "<B", b"j": "<I"}
_CONSTANTS: dict[bytes, Callable[[], Any]] = {
    b"N": lambda: None,
    b"\x88": lambda: True,
    b"\x89": lambda: False,
    b")": tuple,
    b"]": list,
    b"}": dict,
    b"(": lambda: _MARK,
}
_TUPLES = {b"\x85": 1, b"\x86": 2, b"\x87": 3}


def load_plain(content: bytes) -> Any:
    """The object in a pickle of protocol 2.

    Python 2's strings become bytes, or memoryviews of `content` if they are long. An array becomes an
    `Array`.

    Raises:
        PlainPickleError: the pickle is damaged, or holds anything but plain data.
    """
    machine = _Machine(content)
    try:
        return machine.run()
    except PlainPickleError:
        raise
    except (IndexError, struct.error):
        # The stack is empty, or the bytes have ended.
        raise PlainPickleError(f"it is damaged near byte {machine.place:,}") from None


class _Machine:
    """The stack machine, with the instructions for plain data only.

    Attributes:
        place: the next byte.
    """

    def __init__(self, content: bytes) -> None:
        self._content = memoryview(content)
        self.place = 0
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def _number(self, layout: str) -> int:
        (number,) = struct.unpack_from(layout, self._content, self.place)
        self.place += struct.calcsize(layout)
        return int(number)

    def _bytes(self, count: int) -> bytes | memoryview:
        if not 0 <= count <= len(self._content) - self.place:
            raise PlainPickleError(f"it is cut short within {count:,} bytes")
        part = self._content[self.place : self.place + count]
        self.place += count
        return part if count > _LONG_TEXT else bytes(part)

    def _line(self) -> str:
        # A limit, because names of modules are short.
        text, end, _ = bytes(self._content[self.place : self.place + 200]).partition(b"\n")
        if not end:
            raise PlainPickleError("it names something without an end")
        self.place += len(text) + 1
        return text.decode("ascii", "replace")

    def _since_mark(self) -> list[Any]:
        """Pop the items above the last mark, and the mark; returns the items."""
        items = []
        while (item := self._stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]

    def run(self) -> Any:
        """Follow all instructions; returns the object that is left on the stack."""
        for _ in range(_MOST_STEPS):
            step = bytes(self._content[self.place : self.place + 1])
            self.place += 1
            if not step:
                raise PlainPickleError("it is cut short")
            if step == b".":
                result = self._stack.pop()
                if self._stack or result is _MARK:
                    raise PlainPickleError("it ends with something left over")
                return result
            self._do(step)
        raise PlainPickleError(f"it takes more than {_MOST_STEPS:,} steps")

    def _do(self, step: bytes) -> None:
        stack = self._stack
        if step in _INTEGERS:
            stack.append(self._number(_INTEGERS[step]))
        elif step in _PUTS:
            self._memo[self._number(_PUTS[step])] = stack[-1]
        elif step in _STRINGS:
            stack.append(self._bytes(self._number(_STRINGS[step])))
        elif step in _CONSTANTS:
            stack.append(_CONSTANTS[step]())
        elif step in _GETS:
            number = self._number(_GETS[step])
            if number not in self._memo:
                raise PlainPickleError(f"it asks for object {number}, which it has not stored")
            stack.append(self._memo[number])
        elif step in _TUPLES:
            items = [stack.pop() for _ in range(_TUPLES[step])]
            stack.append(tuple(items[::-1]))
        elif step == b"t":
            stack.append(tuple(self._since_mark()))
        elif step in (b"a", b"e"):
            items = [stack.pop()] if step == b"a" else self._since_mark()
            _of_kind(stack[-1], list).extend(items)
        elif step in (b"s", b"u"):
            items = [stack.pop(), stack.pop()][::-1] if step == b"s" else self._since_mark()
            keys = [_of_kind(key, bytes) for key in items[::2]]
            _of_kind(stack[-1], dict).update(zip(keys, items[1::2], strict=False))
        elif step == b"c":
            stack.append(self._named())
        elif step == b"R":
            arguments = stack.pop()
            stack.append(_made(stack.pop(), arguments))
        elif step == b"b":
            state = stack.pop()
            _fill(stack[-1], state)
        elif step == b"\x80":
            if (protocol := self._number("<B")) != 2:
                raise PlainPickleError(f"it is of protocol {protocol}, not 2")
        else:
            raise PlainPickleError(f"it has an instruction {step!r} at byte {self.place - 1:,}")

    def _named(self) -> _Named:
        named = _Named(self._line(), self._line())
        if named not in _KNOWN:
            raise PlainPickleError(f"it wants to use {named.module}.{named.name}")
        return named


def _of_kind(thing: Any, kind: type) -> Any:
    """Check that an object is of exactly this type; returns it."""
    if type(thing) is not kind:
        raise PlainPickleError(f"it has a {type(thing).__name__} where a {kind.__name__} belongs")
    return thing


def _made(what: Any, arguments: Any) -> Any:
    """The array or the type for a call in the pickle. Only the two calls that begin an array of bytes
    are known."""
    if what == _RECONSTRUCT and arguments == (_NDARRAY, (0,), b"b"):
        return Array()
    if what == _DTYPE and arguments == (b"u1", 0, 1):
        return _ByteType()
    raise PlainPickleError("it wants to make something else than an array of bytes")


def _fill(thing: Any, state: Any) -> None:
    """Set an array's values by its state: the version, the shape, the type, whether it is in Fortran
    order, and the bytes. The state of the byte type is ignored."""
    if isinstance(thing, _ByteType):
        return
    match state:
        case (
            1,
            tuple(shape),
            _ByteType(),
            bool() | 0 | 1 as fortran,
            bytes() | memoryview() as data,
        ):
            sides = [side for side in shape if type(side) is int and side >= 0]
            if isinstance(thing, Array) and len(sides) == len(shape) <= 4:
                size = 1
                for side in sides:
                    size *= side
                if size == len(data):
                    values = np.frombuffer(data, np.uint8)
                    thing.values = values.reshape(sides, order="F" if fortran else "C")
                    return
    raise PlainPickleError("it has an array that does not fit its bytes")
