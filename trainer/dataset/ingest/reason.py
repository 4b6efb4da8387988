"""A sentence that explains rather than complains."""

from __future__ import annotations

from dataclasses import dataclass, field

from trainer.errors import Values, tell


@dataclass(frozen=True)
class Reason:
    """A sentence's code and its values; the page shows it in its own language."""

    code: str
    values: Values = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The English sentence."""
        return tell(self.code, self.values).text

    @property
    def hint(self) -> str:
        """What to do, in English; may be empty."""
        return tell(self.code, self.values).hint
