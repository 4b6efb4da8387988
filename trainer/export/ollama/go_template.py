"""A small reader of Go templates: what a Modelfile's TEMPLATE writes for a conversation, as Ollama would write it.

Known are texts, comments, fields, variables, if, range and the functions that compare; anything else is refused, so that
a rendering that comes out is Go's. Proved against Go itself when it was written; the tests keep what Go wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from trainer.export.ollama.go_words import GoError, Piece, Token, pieces

Scope = dict[str, Any]


class _Branch(NamedTuple):
    """`if`: the conditions with their blocks; the last may have none, which is `else`."""

    cases: list[tuple[tuple[Token, ...] | None, list[Any]]]


class _Range(NamedTuple):
    """`range $place, $item := over`."""

    names: tuple[str, ...]
    over: tuple[Token, ...]
    block: list[Any]


class GoTemplate:
    """A template that was read. Raises GoError for one that is broken or uses what is not known here."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._block = _Reader(list(pieces(source))).read()

    def render(self, data: Mapping[str, Any]) -> str:
        """The text for the fields of `data`. Raises GoError where Go would stop with a mistake."""
        out: list[str] = []
        _Run(data, out).block(self._block, data, [{"$": data}])
        return "".join(out)


@dataclass
class _Reader:
    pieces: list[Piece]
    at: int = 0

    def read(self) -> list[Any]:
        block, ended = self._block()
        if ended:
            raise GoError(f"{ended[0].text} without a beginning")
        return block

    def _block(self) -> tuple[list[Any], tuple[Token, ...]]:
        """Everything up to `else`, `end` or the end of the text, and that action."""
        block: list[Any] = []
        while self.at < len(self.pieces):
            piece = self.pieces[self.at]
            self.at += 1
            if piece.action is None:
                block.append(piece.text)
                continue
            if not piece.action:
                raise GoError("an empty action")
            word = piece.action[0].text if piece.action[0].kind == "field" else ""
            if word in ("else", "end"):
                return block, piece.action
            if word == "if":
                block.append(self._branch(piece.action[1:]))
            elif word == "range":
                block.append(self._range(piece.action[1:]))
            else:
                block.append(piece.action)
        return block, ()

    def _branch(self, condition: tuple[Token, ...]) -> _Branch:
        cases: list[tuple[tuple[Token, ...] | None, list[Any]]] = []
        wanted: tuple[Token, ...] | None = condition
        while True:
            block, ended = self._block()
            cases.append((wanted, block))
            if not ended:
                raise GoError("if without an end")
            if ended[0].text == "end":
                return _Branch(cases)
            if wanted is None or (len(ended) > 1 and ended[1].text != "if"):
                raise GoError("else where none is possible")
            wanted = ended[2:] if len(ended) > 1 else None

    def _range(self, action: tuple[Token, ...]) -> _Range:
        texts = [each.text for each in action]
        split = texts.index(":=") if ":=" in texts else -1
        names = tuple(each for each in texts[: max(split, 0)] if each != ",")
        block, ended = self._block()
        if not ended or ended[0].text != "end":
            raise GoError("range without an end")
        return _Range(names, action[split + 1 :], block)


@dataclass
class _Run:
    root: Mapping[str, Any]
    out: list[str] = field(default_factory=list)

    def block(self, block: Sequence[Any], dot: Any, scopes: list[Scope]) -> None:
        for node in block:
            if isinstance(node, str):
                self.out.append(node)
            elif isinstance(node, _Branch):
                self._branch(node, dot, scopes)
            elif isinstance(node, _Range):
                self._range(node, dot, scopes)
            else:
                self._action(node, dot, scopes)

    def _branch(self, node: _Branch, dot: Any, scopes: list[Scope]) -> None:
        for condition, block in node.cases:
            if condition is None or self._value(condition, dot, scopes):
                return self.block(block, dot, [*scopes, {}])

    def _range(self, node: _Range, dot: Any, scopes: list[Scope]) -> None:
        for place, item in enumerate(self._value(node.over, dot, scopes) or ()):
            values = (place, item) if len(node.names) == 2 else (item,)
            inner = dict(zip(node.names, values, strict=False))
            self.block(node.block, item, [*scopes, inner])

    def _action(self, action: tuple[Token, ...], dot: Any, scopes: list[Scope]) -> None:
        if len(action) > 2 and action[1].text in (":=", "="):
            name, value = action[0].text, self._value(action[2:], dot, scopes)
            known = [each for each in scopes if name in each]
            if action[1].text == ":=":
                scopes[-1][name] = value
            elif not known:
                raise GoError(f"{name} is not declared")
            else:
                known[-1][name] = value
            return
        self.out.append(_printed(self._value(action, dot, scopes)))

    def _value(self, tokens: tuple[Token, ...], dot: Any, scopes: list[Scope]) -> Any:
        terms: list[Any] = []
        at = 0
        while at < len(tokens):
            token = tokens[at]
            if token == ("sign", "("):
                end = _closing(tokens, at)
                terms.append(self._value(tokens[at + 1 : end], dot, scopes))
                at = end + 1
                continue
            if token.kind == "sign":
                raise GoError(f"{token.text!r} is not known here")
            terms.append(self._term(token, dot, scopes, first=not terms))
            at += 1
        if terms and callable(terms[0]):
            return terms[0](*terms[1:])
        if len(terms) != 1:
            raise GoError("one value was expected")
        return terms[0]

    def _term(self, token: Token, dot: Any, scopes: list[Scope], first: bool) -> Any:
        if token.kind == "string":
            return token.text
        if token.kind == "number":
            return int(token.text)
        if token.text in ("true", "false"):
            return token.text == "true"
        head, *fields = token.text.split(".")
        if head.startswith("$"):
            found: Any = next((each[head] for each in reversed(scopes) if head in each), _NOTHING)
        elif head:
            if first and not fields and head in _FUNCTIONS:
                return _FUNCTIONS[head]
            found = _NOTHING
        else:
            found = dot
        for name in fields if found is not _NOTHING else ():
            if not name:
                continue
            found = found.get(name, _NOTHING) if isinstance(found, Mapping) else _NOTHING
        if found is _NOTHING:
            raise GoError(f"{token.text!r} is not known here")
        return found


_NOTHING = object()


def _closing(tokens: tuple[Token, ...], begin: int) -> int:
    depth = 0
    for at in range(begin, len(tokens)):
        depth += {"(": 1, ")": -1}.get(tokens[at].text, 0) if tokens[at].kind == "sign" else 0
        if depth == 0:
            return at
    raise GoError("a bracket is not closed")


def _printed(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int)):
        return str(value)
    raise GoError(f"{type(value).__name__} cannot be written")


def _equal(first: Any, *others: Any) -> bool:
    if any(type(each) is not type(first) for each in others) or not others:
        raise GoError("values of different kinds are compared")
    return any(first == each for each in others)


def _both(*values: Any) -> Any:
    return next((each for each in values if not each), values[-1])


def _either(*values: Any) -> Any:
    return next((each for each in values if each), values[-1])


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "eq": _equal,
    "ne": lambda one, other: not _equal(one, other),
    "gt": lambda one, other: one > other,
    "lt": lambda one, other: one < other,
    "not": lambda value: not value,
    "and": _both,
    "or": _either,
    "len": len,
    "slice": lambda items, begin, end=None: items[begin:end],
}
