"""Texts -> tokens for pre-training: what the tokenizer says of a text, and the token that ends it; no chat template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any, NamedTuple

from trainer.dataset.chat_template import Unusable, special_tokens
from trainer.dataset.conversation import Conversation, Message
from trainer.dataset.expand import Expander
from trainer.dataset.labels import Ids, Offsets, Rendered, Tokens
from trainer.dataset.render import Renderer, own_templates
from trainer.dataset.templates import pick
from trainer.errors import UserError
from trainer.options import DataOptions


def renderer_of(
    tokenizer: Any, template: str, data: DataOptions, processor: Any = None, whole: bool = False
) -> Renderer:
    """What renders the rows of the stage that the options name. Raises UserError as the two kinds do."""
    kind = TextRenderer if data.stage == "pt" else Renderer
    return kind(tokenizer, template, data, processor, whole)


class _Document(NamedTuple):
    """A text as tokens, and the characters of `text` that each stands for; marks around it are written out there."""

    ids: Ids
    text: str
    offsets: Offsets


class TextRenderer(Renderer):
    """Renders conversations of one answer, which is a text: its tokens as `tokenizer(text)` gives them, then the end.

    Every token is trained; a text longer than the cutoff stays whole here, and is cut into rows by `blocks`, or with
    `cut` loses its end. `chat_template` is what the result is given for later chats, empty for a model without one.
    Raises UserError for an unknown template, and for a tokenizer that has no token for the end of a text.
    """

    def __init__(
        self,
        tokenizer: Any,
        template: str,
        data: DataOptions,
        processor: Any = None,
        whole: bool = False,
        cut: bool = False,
    ) -> None:
        if not getattr(tokenizer, "is_fast", False):
            raise UserError("data_tokenizer_slow", field="model_name_or_path")
        if tokenizer.eos_token_id is None:
            raise UserError("pretraining_no_end", field="model_name_or_path")
        self._tokenizer, self._data, self._processor, self._cut = tokenizer, data, processor, cut
        self._expander = Expander(processor, data, whole) if processor is not None else None
        self._special = special_tokens(tokenizer)
        own, _ = own_templates(tokenizer, processor)
        self.chat_template = pick(own, template) if own or template.strip() else ""
        usual = list(tokenizer("a")["input_ids"])
        # Some tokenizers end every text by themselves.
        self._end = [] if usual[-1:] == [tokenizer.eos_token_id] else [int(tokenizer.eos_token_id)]
        self._start = list(takewhile(self.special_ids.__contains__, usual))

    @property
    def fingerprint(self) -> str:
        """Whatever decides which tokens a text becomes."""
        return repr(("pt", self._tokenizer.backend_tokenizer.to_str(), self._end, self._cut and self.cutoff))

    @property
    def stop_ids(self) -> list[int]:
        """The token that ends a text."""
        return [int(self._tokenizer.eos_token_id)]

    @property
    def folds_system(self) -> bool:
        """No: nothing is put before a text."""
        return False

    def folds(self, conversation: Conversation) -> bool:
        """No: nothing is put before a text."""
        return False

    def forgets(self, conversation: Conversation) -> bool:
        """No: nothing of a text is left out."""
        return False

    def explain(self, conversation: Conversation) -> Tokens:
        """As `render`, with the text of each token."""
        self._require_text(conversation)
        text = conversation.messages[-1].text
        document = self._document(self._read([text])[0], text)
        rendered = self._rendered(document.ids)
        return Tokens(rendered, document.text, document.offsets[: len(rendered.input_ids)])

    def prompt_text(
        self, messages: Sequence[Message | Mapping[str, Any]], system: str = "", tools: Sequence[Any] = ()
    ) -> str:
        """The beginning of a text, for the model to go on with."""
        return "\n".join(
            each.text if isinstance(each, Message) else str(each["content"]) for each in messages
        )

    def prompt(
        self, messages: Sequence[Message | Mapping[str, Any]], system: str = "", tools: Sequence[Any] = ()
    ) -> list[int]:
        """The ids of the beginning of a text, and what stands before every text."""
        text = self.prompt_text(messages, system, tools)
        return [*self._start, *self._tokenizer(text, add_special_tokens=False)["input_ids"]]

    def _render_batch(self, batch: Sequence[Conversation]) -> list[Rendered | Unusable]:
        found: list[Rendered | Unusable] = []
        encodings = self._read([each.messages[-1].text for each in batch])
        for conversation, encoding in zip(batch, encodings, strict=True):
            try:
                self._require_text(conversation)
                found.append(self._rendered([*encoding.ids, *self._end]))
            except Unusable as why:
                found.append(why)
        return found

    def _read(self, texts: Sequence[str]) -> list[Any]:
        # A text longer than the model's limit is cut into rows: there is nothing to warn of.
        found = self._tokenizer(list(texts), return_attention_mask=False, verbose=False)
        return list(found.encodings)

    def _require_text(self, conversation: Conversation) -> None:
        """A place for a picture without one would be refused by the model in the middle of the training."""
        for kind in self._expander.kinds if self._expander else ():
            mark = self._expander.mark(kind) if self._expander else ""
            if mark and mark in conversation.messages[-1].text:
                raise Unusable("pretraining_mark", mark=mark)

    def _rendered(self, ids: Ids) -> Rendered:
        if len(ids) < 2:
            raise Unusable("row_untrained")
        length, cut = len(ids), self._cut and len(ids) > self.cutoff
        kept = ids[: self.cutoff] if cut else ids
        return Rendered(kept, list(kept), len(kept) - 1, length, cut, True)

    def _document(self, encoding: Any, text: str) -> _Document:
        """The text with the marks that the tokenizer puts around it, each at its place."""
        names = self._tokenizer.convert_ids_to_tokens([*encoding.ids, *self._end])
        added = [bool(each) for each in encoding.special_tokens_mask] + [True] * len(self._end)
        places = [*encoding.offsets, *[(0, 0)] * len(self._end)]
        before = list(takewhile(lambda at: added[at] and places[at][0] == places[at][1], range(len(names))))
        offsets: Offsets = []
        written = ""
        for at in before:
            offsets.append((len(written), len(written) + len(names[at])))
            written += names[at]
        shift = len(written)
        written += text
        for at in range(len(before), len(names)):
            if added[at] and places[at][0] == places[at][1]:
                offsets.append((len(written), len(written) + len(names[at])))
                written += names[at]
            else:
                offsets.append((places[at][0] + shift, places[at][1] + shift))
        return _Document([*encoding.ids, *self._end], written, offsets)
