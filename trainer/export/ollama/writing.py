"""The words around turns -> a chat template in Go's language, as Ollama takes it.

Ollama hands over all system prompts joined as `.System`, and every message, those of the system among them, as
`.Messages`: https://github.com/ollama/ollama/blob/main/docs/template.md. A last message that is an answer is one that the
model is to continue, so nothing is written behind it.
"""

from __future__ import annotations

from trainer.export.ollama.go_words import is_printable, quoted
from trainer.export.ollama.shape import Shape

_LAST = "{{ $last := eq (len (slice $.Messages $i)) 1 }}"


def go_template(shape: Shape) -> str:
    """The text of the template."""
    opening, closed = map(_plain, shape.question)
    answering, ended = map(_plain, shape.answer)
    before = _plain(shape.lead)
    first = ""
    if shape.system.last:
        first = _told("and $last $.System", "$.System", shape)
    elif shape.first == shape.question[0]:
        before += _told(".System", ".System", shape)
    else:
        # The first question is opened in words of its own, with the system prompt inside of them.
        own = _told("$.System", "$.System", shape) + _plain(shape.first)
        before += "{{ $begun := false }}"
        if opening:
            opening = f"{{{{ if $begun }}}}{opening}{{{{ else }}}}{own}{{{{ end }}}}"
        else:
            opening = f"{{{{ if not $begun }}}}{own}{{{{ end }}}}"
        opening += "{{ $begun = true }}"
    asking = f"{{{{ if $last }}}}{_plain(shape.asking)}{{{{ end }}}}" if shape.asking else ""
    close = f"{{{{ if not $last }}}}{ended}{{{{ end }}}}" if ended else ""
    return (
        f"{before}{{{{ range $i, $m := .Messages }}}}{_LAST}"
        f'{{{{ if eq $m.Role "user" }}}}{opening}{first}{{{{ $m.Content }}}}{closed}{asking}'
        f'{{{{ else if eq $m.Role "assistant" }}}}{answering}{{{{ $m.Content }}}}{close}'
        "{{ end }}{{ end }}"
    )


def _told(condition: str, value: str, shape: Shape) -> str:
    """The system prompt in its words, or what stands in its place where there is none."""
    system = f"{_plain(shape.system.before)}{{{{ {value} }}}}{_plain(shape.system.after)}"
    other = f"{{{{ else }}}}{_plain(shape.none)}" if shape.none else ""
    return f"{{{{ if {condition} }}}}{system}{other}{{{{ end }}}}"


def _plain(text: str) -> str:
    """A text that a template writes as it stands.

    As a string where it holds braces or quotes that would end something, or signs that a Modelfile loses.
    """
    lost = any(not is_printable(sign) and sign not in "\n\t" for sign in text)
    if lost or "{{" in text or '"""' in text or text.endswith(("{", '"')) or text.startswith('"'):
        return f"{{{{ {quoted(text)} }}}}"
    return text
