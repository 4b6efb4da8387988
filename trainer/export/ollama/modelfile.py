"""A Modelfile: written, and read again as Ollama reads it.

The language: https://github.com/ollama/ollama/blob/main/docs/modelfile.md. A value in three double quotes may have several
lines and has no escapes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from trainer.dataset.conversation import Message
from trainer.errors import UserError
from trainer.export.ollama.go_template import GoTemplate
from trainer.export.ollama.go_words import is_printable

_LINE = re.compile(
    r"^(?P<word>FROM|TEMPLATE|SYSTEM|PARAMETER)[ \t]+(?:(?P<name>[a-z_]+)[ \t]+)?"
    r'(?:"""(?P<long>.*?)"""|"(?P<quoted>[^"\n]*)"|(?P<bare>[^\n]*?))[ \t]*$',
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Modelfile:
    """What a Modelfile says. `source` is the model's file, `parameters` are names with values, `stop` one for each."""

    source: str
    template: str
    system: str = ""
    parameters: tuple[tuple[str, str], ...] = field(default=())

    def text(self) -> str:
        """The file's text. Raises UserError when its language cannot hold something of it."""
        lines = [f"FROM {self.source}", f'TEMPLATE """{self.template}"""']
        if self.system:
            lines.append(f'SYSTEM """{self.system}"""')
        lines += [f"PARAMETER {name} {_value(value)}" for name, value in self.parameters]
        text = "\n".join(lines) + "\n"
        if read(text) != self:
            raise UserError("ollama_modelfile", field="export_format")
        return text

    def prompt(self, messages: Sequence[Message], system: str = "") -> str:
        """The text that Ollama gives the model for a chat, as its server does: the SYSTEM where the chat has none."""
        return ollama_prompt(GoTemplate(self.template), messages, system or self.system)


def ollama_prompt(template: GoTemplate, messages: Sequence[Message], system: str = "") -> str:
    """The text of a chat as Ollama's server writes it: the system prompt is both a field and the first message."""
    said = [{"Role": each.role, "Content": each.text} for each in messages]
    if system:
        said.insert(0, {"Role": "system", "Content": system})
    return template.render({"System": system, "Messages": said})


def holds(system: str) -> bool:
    """Whether a Modelfile's SYSTEM can hold this text."""
    made = Modelfile("m", "", system)
    try:
        return read(made.text()) == made
    except UserError:
        return False


def read(text: str) -> Modelfile:
    """The Modelfile of a text, without the signs that Ollama loses; what is no line of a known kind is passed over.

    What is lost: https://github.com/ollama/ollama/blob/main/parser/parser.go
    """
    text = "".join(sign for sign in text if sign in "\n\r\t" or is_printable(sign))
    source = template = system = ""
    parameters: list[tuple[str, str]] = []
    for found in _LINE.finditer(text):
        word, name = found["word"], found["name"]
        value = next(
            (each for each in (found["long"], found["quoted"], found["bare"]) if each is not None), ""
        )
        if word == "PARAMETER":
            parameters.append((name or "", value))
            continue
        value = f"{name} {value}" if name and found["bare"] is not None else value
        if word == "FROM":
            source = value
        elif word == "TEMPLATE":
            template = value
        else:
            system = value
    return Modelfile(source, template, system, tuple(parameters))


def _value(value: str) -> str:
    if re.fullmatch(r"-?[\d.]+", value):
        return value
    return f'"""{value}"""' if '"' in value or "\n" in value else f'"{value}"'
