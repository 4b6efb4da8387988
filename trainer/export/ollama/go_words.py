"""The words of a Go template: texts, and actions cut into tokens.

The language: https://pkg.go.dev/text/template. Only what Ollama's chat templates need is known here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:\\.|[^"\\\n])*")|(?P<raw>`[^`]*`)|(?P<number>-?\d+)|(?P<field>(?:\$\w*|\.)?(?:\.?\w+)+|\$\w*|\.)"""
    r"""|(?P<sign>:=|=|\(|\)|,|\|))"""
)
# A string inside an action may hold the signs that end one.
_STRING = re.compile(r'"(?:\\.|[^"\\\n])*"|`[^`]*`')


class GoError(ValueError):
    """Text that is no Go template, or uses a word that is not known here."""


class Token(NamedTuple):
    """`kind` is string, number, field or sign; a string's `text` is what it stands for."""

    kind: str
    text: str


class Piece(NamedTuple):
    """A text as it stands, or the tokens of an action."""

    text: str
    action: tuple[Token, ...] | None = None


def pieces(source: str) -> Iterator[Piece]:
    """Texts and actions in turn, blanks trimmed where the template asks for it. Raises GoError for half an action."""
    at = 0
    trims = False
    while (begin := source.find("{{", at)) >= 0:
        end = _end_of(source, begin)
        inside = source[begin + 2 : end]
        text = source[at:begin]
        yield Piece(_trimmed(text, trims, _left(inside)))
        if not inside.strip("- \n\t").startswith("/*"):
            yield Piece("", tuple(_tokens(inside[1:] if _left(inside) else inside)))
        trims = len(inside) > 1 and inside.endswith("-") and inside[-2].isspace()
        at = end + 2
    yield Piece(_trimmed(source[at:], trims, False))


_SIGNS = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}
_ESCAPED = {sign: f"\\{letter}" for letter, sign in _SIGNS.items()}
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))")


def is_printable(sign: str) -> bool:
    """Whether Go's `strconv.IsPrint` is true: letters, marks, numbers, punctuation, symbols, and the plain space."""
    return sign == " " or unicodedata.category(sign)[0] in "LMNPS"


def quoted(text: str) -> str:
    """The text as a Go string, on one line and without signs that cannot be seen."""
    return (
        '"'
        + "".join(_ESCAPED.get(sign) or (sign if is_printable(sign) else _code(sign)) for sign in text)
        + '"'
    )


def _code(sign: str) -> str:
    return f"\\u{ord(sign):04x}" if ord(sign) < 0x10000 else f"\\U{ord(sign):08x}"


def _unquoted(text: str) -> str:
    def plain(found: re.Match[str]) -> str:
        code = found[1] or found[2]
        if not code and found[3] not in _SIGNS:
            raise GoError(f"{found[0]} is not known in a string")
        return chr(int(code, 16)) if code else _SIGNS[found[3]]

    return _ESCAPE.sub(plain, text[1:-1])


def _left(inside: str) -> bool:
    return len(inside) > 1 and inside[0] == "-" and inside[1].isspace()


def _trimmed(text: str, left: bool, right: bool) -> str:
    # Go trims these four and no other blanks.
    text = text.lstrip(" \t\r\n") if left else text
    return text.rstrip(" \t\r\n") if right else text


def _end_of(source: str, begin: int) -> int:
    """Where the `}}` of the action at `begin` stands."""
    at = begin + 2
    while True:
        end = source.find("}}", at)
        if end < 0:
            raise GoError(f"an action has no end: {source[begin : begin + 40]!r}")
        string = _STRING.search(source, at)
        if string is None or string.start() > end:
            return end
        at = string.end()


def _tokens(inside: str) -> Iterator[Token]:
    if len(inside) > 1 and inside.endswith("-") and inside[-2].isspace():
        inside = inside[:-1]
    at, end = 0, len(inside.rstrip())
    while at < end:
        found = _TOKEN.match(inside, at)
        if not found:
            raise GoError(f"not known in an action: {inside[at:].strip()!r}")
        kind = str(found.lastgroup)
        text = found.group(kind)
        if kind == "string":
            yield Token("string", _unquoted(text))
        elif kind == "raw":
            yield Token("string", text[1:-1])
        else:
            yield Token(kind, text)
        at = found.end()
