"""A conversation -> the text of the chat template, and where in it the model itself would speak."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from trainer.dataset.chat_template import ChatTemplate, Unusable
from trainer.dataset.conversation import Conversation, Message
from trainer.dataset.expand import Expander
from trainer.dataset.labels import Written
from trainer.dataset.manners import ANSWER, QUESTION, content, learn, learn_tools
from trainer.dataset.placeholders import find_places, moved
from trainer.dataset.said import Speaker
from trainer.dataset.spans import Render, Said, Span, TurnWords, ask, found_spans, marked_spans
from trainer.dataset.tool_spans import called_spans, has_calls, require_written
from trainer.options import DataOptions


class Writer:
    """Writes for one chat template and one set of data options. Threads may share it.

    `special` are the texts of the tokenizer's special tokens, `bos` the one among them that begins a text. Raises
    Unusable when the template refuses a question and an answer.
    """

    def __init__(
        self,
        template: ChatTemplate,
        special: tuple[str, ...],
        bos: str | None,
        data: DataOptions,
        expander: Expander | None,
    ) -> None:
        self._template = template
        self._special = special
        self._data = data
        self._expander = expander
        self._manners = learn(template.write)
        self._speaker = Speaker(
            self._manners, partial(learn_tools, template.write, self._manners.lists), data
        )
        self.words, self.openings, self.sample = self._learn_words([each for each in special if each != bos])

    @property
    def folds_system(self) -> bool:
        """Whether the template has no system turn, so that a system prompt opens the first question."""
        return self._manners.folds_system

    @property
    def forgets_thoughts(self) -> bool:
        """Whether the template takes the thoughts out of all answers, so that none is trained."""
        return self._manners.forgets

    def system(self, conversation: Conversation) -> str:
        """The system prompt that a row gets."""
        return self._speaker.system(conversation.system)

    def seen_by(self, expander: Expander) -> Writer:
        """The same writer with pictures of other sizes."""
        other = copy.copy(self)
        other._expander = expander
        return other

    def write(self, conversation: Conversation) -> Written:
        """A row's text. Raises Unusable when the template refuses it, leaves something out, or answers are unclear."""
        media = conversation.media
        if media and not self._expander:
            raise Unusable("row_no_eyes")
        said = self._speaker.say(conversation)
        tools = self._speaker.tools(conversation.functions) if conversation.tools else None
        if tools and not self._speaker.tool_manners.declared:
            raise Unusable("row_tools_dropped")
        text, spans = self._find(said, tools)
        if not self._expander:
            return Written(text, spans)
        expanded = self._expander.expand(text, media)
        places = find_places(text, expanded.text, expanded.spans, media)
        spans = [
            each._replace(start=moved(each.start, places), end=moved(each.end, places)) for each in spans
        ]
        return Written(expanded.text, spans, media, expanded.spans)

    def prompt(
        self, messages: Sequence[Message | Mapping[str, Any]], system: str, functions: Sequence[Any]
    ) -> str:
        """The text of a chat up to where the model begins to write. Raises Unusable when the template refuses it."""
        said = self._speaker.repeat(messages, system)
        text = ask(self._render(self._speaker.tools(list(functions))), said)
        if not self._expander:
            return text
        media = [each for one in messages if isinstance(one, Message) for each in one.media]
        return self._expander.expand(text, media).text

    def _render(self, tools: list[Any] | None) -> Render:
        def write(said: Said, asks: bool) -> str:
            return self._template.write(said, asks, tools)

        return write

    def _find(self, said: Said, tools: list[Any] | None) -> tuple[str, list[Span]]:
        """The text, and where the answers stand in it."""
        render = self._render(tools)
        text, marks = self._template.write_marked(said, tools)
        calls = has_calls(said)
        if calls:
            require_written(render, said)
        spans = (
            marked_spans(text, marks, [each for each in said if each["role"] == "assistant"])
            if marks
            else None
        )
        if spans is not None:
            spans = [self._closed(text, span) for span in spans]
            if not self._data.enable_thinking:
                spans = self._without_prompts(render, said, text, spans)
        elif calls:
            spans = called_spans(render, said, text, self.words)
        else:
            spans = found_spans(render, said, text, self.words)
        if spans is None:
            raise Unusable("row_answers_unclear")
        return text, spans

    def _closed(self, text: str, span: Span) -> Span:
        """A template's mark may leave out the end of the turn, without which no answer would ever end."""
        if text[span.start : span.end].rstrip().endswith(self._special):
            return span
        mark = self.words.special.match(text, span.end)
        return span._replace(end=mark.end()) if mark else span

    def _without_prompts(self, render: Render, said: Said, text: str, spans: list[Span]) -> list[Span]:
        """A template's mark may hold the empty thought that the prompt writes when thoughts are off."""
        places = [place for place, each in enumerate(said) if each["role"] == "assistant"]
        found: list[Span] = []
        for span in spans:
            asked = render(said[: places[span.answer]], True)
            inside = text.startswith(asked) and span.start < len(asked) <= span.end
            found.append(span._replace(start=len(asked)) if inside else span)
        return found

    def _learn_words(self, special: Sequence[str]) -> tuple[TurnWords, list[str], str]:
        """What stands around an answer; all words that open one, the longest first; a conversation made up for it."""
        lists = self._manners.lists
        user = {"role": "user", "content": content(QUESTION, lists)}
        answer = {"role": "assistant", "content": content(ANSWER, lists)}
        asked, waiting = ask(self._template.write, [user]), self._template.write([user], False)
        opens = self._template.write([user], True) != waiting
        told = self._template.write([user, answer, user], False)
        end_mark = re.compile(r"\s*(?:" + ("|".join(map(re.escape, special)) or r"\b\B") + ")")
        closing = end_mark.match(told, told.rfind(ANSWER) + len(ANSWER)) if ANSWER in told else None
        opening = asked.rpartition(QUESTION)[2]
        header = asked[len(waiting) :] if asked.startswith(waiting) else opening
        # An earlier answer may be opened in fewer words: without the thought that the prompt begins.
        before = told.partition(ANSWER)[0].rpartition(QUESTION)[2]
        plain = next((header[:end] for end in range(len(header), 0, -1) if header[:end] in before), "")
        headers = [each for each in dict.fromkeys((header, plain)) if each.strip()]
        ending = closing.group().strip() if closing else ""
        words = TurnWords(opens, tuple(headers), ending, tuple(special), end_mark)
        return words, [each for each in dict.fromkeys((opening, *headers)) if each], told
