"""Tokens to text, one at a time, without half characters."""

from __future__ import annotations

from typing import Any

HALF = "\N{REPLACEMENT CHARACTER}"


class Decoder:
    """Grows a text token by token. Bytes of a character that is not complete yet are held back."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        self._text = ""
        # Decoding starts some tokens before the new ones: many tokenizers write the first token without its space.
        self._start = self._read = 0

    @property
    def tokens(self) -> int:
        return len(self._ids)

    def push(self, token: int) -> str:
        """The text so far, with one more token."""
        self._ids.append(token)
        known = self._decode(self._ids[self._start : self._read])
        window = self._decode(self._ids[self._start :])
        if len(window) > len(known) and not window.endswith(HALF):
            self._text += window[len(known) :]
            self._start, self._read = self._read, len(self._ids)
        return self._text

    def finish(self) -> str:
        """The whole text, with whatever was held back."""
        return self._decode(self._ids)

    def _decode(self, ids: list[int]) -> str:
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text
