"""The labels of a detector with a fixed list, and the phrases that name them."""

from collections.abc import Mapping

from tensorhop.services.embedded import vocabulary
from tensorhop.services.embedded.phrase_table import PhraseTable

_NONE = ("", "n/a")  # numbers without a label, as some lists have them


class Labels:
    """The labels of a network by their numbers, such as "person" and "Cabinet/shelf"."""

    def __init__(self, names: Mapping[int, str]) -> None:
        self._words = vocabulary.load()
        known = {index: name for index, name in names.items() if name.strip().lower() not in _NONE}
        by_word: dict[str, set[int]] = {}
        for index, name in known.items():
            for word in name.replace("_", " ").split("/"):
                by_word.setdefault(word.strip().lower(), set()).add(index)
        self._count = len(known)
        self._table = PhraseTable((word, frozenset(indices)) for word, indices in by_word.items())
        self._concepts = [
            (concept, indices) for word, indices in by_word.items() if (concept := self._words.whole(word)) is not None
        ]

    def __len__(self) -> int:
        return self._count

    def find(self, phrase: str) -> frozenset[int]:
        """The numbers of the labels that a phrase names; none if it names none.

        A phrase is a label, or by the embedded vocabulary another word for one, such as "man" for "person". Otherwise
        it names the label in it, such as "cup" in "a cup of tea", if it is no word of the vocabulary as a whole.
        """
        if (whole := self._table.whole(phrase)) is not None:
            return whole
        concept = self._words.find(phrase)
        if concept is not None:
            same = [indices for other, indices in self._concepts if other.members == concept.members]
            if same or self._words.whole(phrase):
                return frozenset().union(*same)
        return self._table.find(phrase) or frozenset()
