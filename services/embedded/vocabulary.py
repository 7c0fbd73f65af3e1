"""The vocabulary of the embedded models: from phrases to classes of the network, and back."""

import functools
import threading
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tensorhop.services.embedded.phrase_table import PhraseTable
from tensorhop.values.phrases import list_parts

FILE = Path(__file__).parent / "vocabulary.toml"


@dataclass(frozen=True)
class Concept:
    """A word and the classes it covers."""

    word: str
    classes: np.ndarray  # sorted indices into the network's outputs
    sayable: bool = True  # may be a description's text; otherwise it is only a word for phrases

    @functools.cached_property
    def members(self) -> frozenset[int]:
        """The classes as a set."""
        return frozenset(self.classes.tolist())

    def probability(self, probabilities: np.ndarray) -> np.ndarray:
        """The probability of any of the concept's classes: shape ..., from those of all classes, shape ... x 1000."""
        return probabilities[..., self.classes].sum(axis=-1)

    def overlaps(self, other: "Concept") -> bool:
        """Whether the two share a class."""
        return not self.members.isdisjoint(other.members)

    def __lt__(self, other: "Concept") -> bool:
        """Whether the other concept covers all classes of this one, and more."""
        return self.members < other.members


class Vocabulary:
    """The table in vocabulary.toml.

    Attributes:
        names: the name of each of the 1000 classes.
        concepts: the everyday words, then the groups, each with its classes. Every class has one everyday word.
    """

    def __init__(self, path: Path = FILE) -> None:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        self.names: list[str] = []
        classes: dict[str, list[int]] = {}  # by name and synonym
        everyday: dict[str, list[int]] = {}
        for index, line in enumerate(table["classes"]):
            words, _, called = (part.strip() for part in line.partition("|"))
            self.names.append(words.split(", ")[0])
            everyday.setdefault(called or self.names[index], []).append(index)
            for word in words.split(", "):
                classes.setdefault(word, []).append(index)
        self._index = {name: index for index, name in enumerate(self.names)}

        said = {word: _concept(word, members) for word, members in everyday.items()}
        self._groups = {
            word: _concept(word, self._members(group), group.get("say", True))
            for word, group in table["groups"].items()
        }
        self.concepts = [*said.values(), *self._groups.values()]
        self._by_word = np.zeros((len(self.names), len(said)), np.float32)
        for column, concept in enumerate(said.values()):
            self._by_word[concept.classes, column] = 1

        # What a word means: a group of that name, else an everyday word, else another word for either.
        others = [
            (word, self._groups[name]) for name, group in table["groups"].items() for word in group.get("words", [])
        ]
        single = [(word, _concept(word, members)) for word, members in classes.items()]
        self._phrases = PhraseTable([*self._groups.items(), *said.items(), *others, *single])

    def group(self, word: str) -> Concept:
        """The group of that name; it must exist."""
        return self._groups[word]

    def find(self, phrase: str) -> Concept | None:
        """The concept that a phrase names: "coffee mug" for "the red coffee mugs on a table"; None if unknown."""
        return self._phrases.find(phrase)

    def whole(self, phrase: str) -> Concept | None:
        """The concept of a phrase that is a word of the vocabulary, or its plural; None if it is not."""
        return self._phrases.whole(phrase)

    def parts(self, phrase: str) -> list[str]:
        """The phrases that a phrase lists, such as "cup" and "spoon" for "cup and spoon"; otherwise itself.

        It stays one if it is known as a whole, or if its first part is not known: "black and white cat".
        """
        parts = list_parts(phrase)
        return parts if len(parts) > 1 and not self.whole(phrase) and self.find(parts[0]) else [phrase]

    def rival(self, concept: Concept, probabilities: np.ndarray) -> np.ndarray:
        """The probability of the likeliest everyday word that shares no class with a concept.

        Args:
            probabilities: ... x 1000, float32.

        Returns:
            Shape ..., float32.
        """
        by_word = probabilities @ self._by_word
        by_word[..., (self._by_word[concept.classes] > 0).any(axis=0)] = 0
        return by_word.max(axis=-1)

    def _members(self, group: dict[str, Any]) -> list[int]:
        members: set[int] = set()
        for entry in group["classes"]:
            first, _, last = entry.partition(" .. ")
            members.update(range(self._index[first], self._index[last or first] + 1))
        return sorted(members)


_loading = threading.Lock()


def load() -> Vocabulary:
    """The vocabulary, read once in a process."""
    with _loading:  # models are loaded side by side
        return _load()


@functools.cache
def _load() -> Vocabulary:
    return Vocabulary()


def _concept(word: str, members: list[int], sayable: bool = True) -> Concept:
    return Concept(word, np.array(members, np.intp), sayable)
