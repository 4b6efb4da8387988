"""What a person is told when something cannot be done.

A sentence is declared once, in English, in `sentences/<area>.json`, under a code: what was given, what is allowed
(`text`), what to do (`hint`). The page shows the same code in its own language; logs and the terminal show the English.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import NamedTuple

Values = dict[str, str | int | float]


class Sentence(NamedTuple):
    """A sentence with `{placeholders}`; `hint` may be empty."""

    text: str
    hint: str = ""


@cache
def sentences() -> dict[str, Sentence]:
    """Every English sentence by its code. Raises ValueError when two areas declare the same code."""
    found: dict[str, Sentence] = {}
    for path in sorted((Path(__file__).parent / "sentences").glob("*.json")):
        for code, entry in json.loads(path.read_text(encoding="utf-8")).items():
            if code in found:
                raise ValueError(f"the sentence {code!r} is declared twice, the second time in {path.name}")
            found[code] = Sentence(entry["text"], entry.get("hint", ""))
    return found


def tell(code: str, values: Values) -> Sentence:
    """The English sentence for `code` with its placeholders filled in. Raises KeyError for an unknown code."""
    sentence = sentences()[code]
    return Sentence(sentence.text.format(**values), sentence.hint.format(**values))


class UserError(Exception):
    """A mistake or a limit that a person can do something about. Never shown with a traceback.

    `field` names the option the mistake belongs to, so that the page can put the sentence beside its control.
    """

    def __init__(self, code: str, *, field: str = "", **values: str | int | float) -> None:
        self.code = code
        self.field = field
        self.values: Values = values
        self.text, self.hint = tell(code, values)
        super().__init__(f"{self.text}\nhint: {self.hint}" if self.hint else self.text)


class UserErrors(UserError):
    """Several mistakes found in one look, all of them at once."""

    def __init__(self, problems: list[UserError]) -> None:
        self.problems = tuple(problems)
        super().__init__("several_problems", count=len(problems))
        self.args = ("\n".join(str(problem) for problem in problems),)


def problems_of(error: UserError) -> tuple[UserError, ...]:
    """The single mistakes in `error`, one or several."""
    return error.problems if isinstance(error, UserErrors) else (error,)
