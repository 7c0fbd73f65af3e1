"""A table of words in which phrases are looked up: articles, adjectives and plurals do not hinder."""

import re
from collections.abc import Iterable
from typing import Generic, TypeVar

V = TypeVar("V")

_ARTICLES = {
    "a", "an", "the", "this", "these", "those", "my", "your", "his", "her", "its", "our", "their", "some", "one",
}  # fmt: skip
# The words after one of these say where the object is or what is with it: "a dog with a hat".
_PREPOSITIONS = {
    "with", "on", "in", "at", "by", "from", "near", "under", "behind", "beside", "above", "against", "between", "next",
    "wearing", "holding", "sitting", "standing", "lying", "looking", "and", "for", "inside", "without", "that", "which",
}  # fmt: skip
_IRREGULAR = {
    "people": "person", "men": "man", "women": "woman", "children": "child", "mice": "mouse", "geese": "goose",
    "oxen": "ox", "knives": "knife", "wolves": "wolf", "leaves": "leaf", "loaves": "loaf", "shelves": "shelf",
    "calves": "calf", "scarves": "scarf", "wives": "wife", "feet": "foot", "teeth": "tooth", "fungi": "fungus",
    "cacti": "cactus", "firemen": "fireman", "policemen": "policeman",
}  # fmt: skip


class PhraseTable(Generic[V]):
    """Values by words, such as "coffee mug". Where a word comes twice, its first value counts."""

    def __init__(self, entries: Iterable[tuple[str, V]]) -> None:
        self._values: dict[str, V] = {}
        for word, value in entries:
            self._values.setdefault(_key(word), value)

    def whole(self, phrase: str) -> V | None:
        """The value of a phrase that is one of the words, or its plural, but for articles; None if it is not."""
        return self._find(_words(phrase))

    def find(self, phrase: str) -> V | None:
        """The value of the word that a phrase names: "coffee mug" for "the red coffee mugs on a table"; or None."""
        words = _words(phrase)
        if (whole := self._find(words)) or not words:
            return whole
        cut = next((place for place, word in enumerate(words) if place and word in _PREPOSITIONS), len(words))
        after, words = words[cut:], words[:cut]
        # "a glass of wine", "a bunch of bananas": the whole if it is known, else the contents, else the container.
        if "of" in words:
            place = words.index("of")
            return self._find(words) or self._shorten(words[place + 1 :]) or self._shorten(words[:place])
        doing = next((place for place, word in enumerate(words) if place and word.endswith("ing")), 0)
        found = self._shorten(words) or self._shorten(words[:doing])  # "a dog running"
        return found or (self._shorten(after) if after[:1] == ["and"] else None)  # "a black and white cat"

    def _shorten(self, words: list[str]) -> V | None:
        """The value of the longest known ending of the words. In English, adjectives stand before the noun."""
        return next((found for start in range(len(words)) if (found := self._find(words[start:]))), None)

    def _find(self, words: list[str]) -> V | None:
        if not words:
            return None
        return next(
            (
                self._values[key]
                for last in _singulars(words[-1])
                if (key := _key(" ".join([*words[:-1], last]))) in self._values
            ),
            None,
        )


def _words(phrase: str) -> list[str]:
    return [word for word in re.findall(r"[\w'-]+", phrase.lower().replace("\u2019", "'")) if word not in _ARTICLES]


def _key(phrase: str) -> str:
    """The key of a phrase in a table: "T-shirt", "t shirt" and "tshirt" have the same one."""
    return re.sub(r"[^\w]", "", phrase.lower())


def _singulars(word: str) -> list[str]:
    """The word, then the words that it can be the plural of."""
    found = [word, _IRREGULAR.get(word, word)]
    if word.endswith("ies"):
        found.append(word[:-3] + "y")
    if word.endswith("es"):
        found.append(word[:-2])
    if word.endswith("s") and not word.endswith("ss"):
        found.append(word[:-1])
    return found
