"""The folder that Ollama makes a model from: the GGUF that lies there, and the Modelfile beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.dataset.conversation import Message, message
from trainer.dataset.render import Renderer
from trainer.errors import UserError
from trainer.events import Note
from trainer.export.ollama.go_template import GoTemplate
from trainer.export.ollama.go_words import GoError
from trainer.export.ollama.modelfile import Modelfile, holds, ollama_prompt
from trainer.export.ollama.shape import shape_of
from trainer.export.ollama.writing import go_template
from trainer.export.serve import ollama_name
from trainer.model.gguf_file import read
from trainer.paths import write_atomic

if TYPE_CHECKING:
    from trainer.export.source import Source

MODELFILE = "Modelfile"
# Ollama keeps keys and values for so many tokens; without a number it takes a few thousand, whatever the model can.
MOST_CONTEXT = 8192
_MARK = "\ue0a1\ue0f6"
# generation_config.json's words -> Ollama's.
_DRAWN = {"temperature": "temperature", "top_k": "top_k", "top_p": "top_p", "min_p": "min_p"}


def check(source: Source) -> None:
    """Raises UserError when the chat template cannot be said in Ollama's language. No weight is read."""
    _modelfile(source, "model.gguf", None, 0)


def write(source: Source, folder: Path, gguf: Path, name: str) -> list[Path]:
    """Writes the Modelfile for the GGUF that lies in `folder`; the files written. Raises UserError as `check`.

    `name` is what the model is called; the commands that make it stand in the Modelfile's first lines.
    """
    header = read(gguf)
    begins = bool(header.metadata.get("tokenizer.ggml.add_bos_token", False))
    made = _modelfile(source, f"./{gguf.name}", begins, header.number("context_length") or 0)
    called = ollama_name(name)
    said = (
        f"# In this folder:  ollama create {called} -f {MODELFILE}\n# and then:        ollama run {called}\n"
    )
    path = folder / MODELFILE
    write_atomic(path, said + made.text())
    return [path]


def notes(source: Source) -> list[Note]:
    """What of the chat template Ollama's language cannot do: nothing of it changes a plain conversation."""
    say = inside(source).prompt_text
    padded, thought = f" \n{_MARK} \n", f"<think>\n{_MARK}\n</think>\n\nYes."
    found = []
    if padded not in say([message("user", padded)], ""):
        found.append("ollama_trims")
    if _MARK not in say([message("user", "1"), message("assistant", thought), message("user", "2")], ""):
        found.append("ollama_thoughts")
    if "strftime_now" in source.template:
        found.append("ollama_date")
    return [Note(code=each) for each in found]


def inside(source: Source, default: str = "") -> Renderer:
    """How the run itself speaks, with `default` as the system prompt of chats without one: a Modelfile has SYSTEM."""
    data = source.run_config.data
    # The template that is exported is the tokenizer's own from here on.
    assert source.template
    return Renderer(source.tokenizer, "", replace(data, default_system=default, template=""))


def stop_texts(source: Source) -> list[str]:
    """The texts of all tokens that end an answer."""
    return [str(each) for each in source.tokenizer.convert_ids_to_tokens(list(source.stop_ids))]


def _template(renderer: Renderer, tokenizer: Any, begins: bool | None) -> str:
    """The chat template in Go's language. `begins`: whether the runtime writes the token of the beginning itself.

    None means that it is not known yet. Raises UserError when what it writes is not what the chat template writes.
    """
    special = [str(token) for token in tokenizer.added_tokens_decoder.values() if token.special]
    special += [str(each) for each in tokenizer.all_special_tokens]
    shape = shape_of(renderer.prompt_text, sorted({*special}, key=len, reverse=True))
    bos = str(tokenizer.bos_token or "")
    if begins is None:
        begins = bool(bos) and shape.lead.startswith(bos)
    if begins and bos and shape.lead.startswith(bos):
        shape = replace(shape, lead=shape.lead.removeprefix(bos))
    text = go_template(shape)
    _require_same(renderer, text, bos if begins else "")
    return text


# Texts that trip a template that does more than to repeat what it is given: signs of both languages, several lines.
_HARD = (
    "What is 2 + 2?",
    'First line\nsecond "line" with {{ braces }} and {% more %}\n\n- a list',
    "你好,世界 🌱 — ça va ? <b>&amp;</b> \\n \\\\",
    "$.Messages .System `raw`",
)


def trial_talks() -> list[tuple[list[Message], str]]:
    """Conversations with and without a system prompt, of one to four questions, each with hard texts."""
    talks: list[tuple[list[Message], str]] = []
    for turns in range(1, 5):
        for system in ("", "You are a helpful guide.", _HARD[1]):
            texts = [_HARD[(place + turns) % len(_HARD)] for place in range(2 * turns - 1)]
            roles = ("user", "assistant")
            said = [message(roles[place % 2], text) for place, text in enumerate(texts)]  # type: ignore[arg-type]
            talks.append((said, system))
    return talks


def same_text(
    renderer: Renderer, template: GoTemplate, bos: str, said: Sequence[Message], system: str
) -> bool:
    """Whether Ollama gives the model the text of the chat template; `bos` is what the runtime writes before it."""
    return bos + ollama_prompt(template, said, system) == renderer.prompt_text(said, system)


def _require_same(renderer: Renderer, text: str, bos: str) -> None:
    try:
        template = GoTemplate(text)
        same = all(same_text(renderer, template, bos, said, system) for said, system in trial_talks())
    except GoError as error:
        raise UserError("ollama_template_shape", field="export_format", what=str(error)) from None
    if not same:
        raise UserError("ollama_template_differs", field="export_format")


def _modelfile(source: Source, file: str, begins: bool | None, context: int) -> Modelfile:
    system = source.run_config.data.default_system
    # What SYSTEM cannot hold stands in the template itself, which has strings with escapes.
    apart = holds(system)
    template = _template(inside(source, "" if apart else system), source.tokenizer, begins)
    return Modelfile(file, template, system if apart else "", tuple(_parameters(source, context)))


def _parameters(source: Source, context: int) -> list[tuple[str, str]]:
    """Every stop token, and how tokens are drawn: as the model's own files say, without Ollama's own additions."""
    found = [("stop", text) for text in stop_texts(source)]
    if context:
        found.append(("num_ctx", str(min(context, MOST_CONTEXT))))
    return [*found, *_drawing(source.generation)]


def _drawing(generation: Mapping[str, Any]) -> list[tuple[str, str]]:
    # Ollama would punish repeated words if it were not told otherwise.
    repeated = [("repeat_penalty", str(generation.get("repetition_penalty") or 1.0))]
    if not generation.get("do_sample", False):
        return [("temperature", "0"), *repeated]
    drawn = [(name, str(generation[key])) for key, name in _DRAWN.items() if generation.get(key) is not None]
    return [*drawn, *repeated]
