"""Which texts hold several phrases."""

import pytest

from tensorhop.values.phrases import list_parts, split_phrase


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("cup . spoon .", ["cup", "spoon"]),
        ("cup . spoon", ["cup", "spoon"]),
        ("a cup. a spoon.", ["a cup", "a spoon"]),
        ("cup.spoon.", ["cup", "spoon"]),
        (". cup .. spoon . .", ["cup", "spoon"]),
        ("cup; spoon", ["cup", "spoon"]),
        ("cup\r\nspoon\n", ["cup", "spoon"]),
        ("cup | spoon", ["cup", "spoon"]),
        ('["cup", "spoon"]', ["cup", "spoon"]),
        ("st. bernard . cat .", ["st. bernard", "cat"]),
        ("St. Bernard. Dr. Who. cat.", ["St. Bernard", "Dr. Who", "cat"]),
        ("7.5 inch plate. cup.", ["7.5 inch plate", "cup"]),
    ],
)
def test_texts_of_several_phrases(text: str, parts: list[str]) -> None:
    assert split_phrase(text) == parts


@pytest.mark.parametrize(
    "text",
    [
        *(
            "cup",
            "a cup.",
            " cup ",
            "st. bernard",
            "node.js logo",
            "u.s. flag.",
            "salt and pepper mill",
            "black/white cat",
        ),
        *("a small, red cup", ".", " . ", ";", "[cup]", '["cup"', "[" * 10_000, "7.5", '{"a": "b"}', "[1, 2]"),
    ],
)
def test_one_phrase_is_unchanged(text: str) -> None:
    assert split_phrase(text) == [text]


@pytest.mark.parametrize(
    ("phrase", "parts"),
    [
        ("cup and spoon", ["cup", "spoon"]),
        ("cup, spoon, and fork", ["cup", "spoon", "fork"]),
        ("cup/spoon", ["cup", "spoon"]),
        ("Cup & spoon + fork", ["Cup", "spoon", "fork"]),
        ("sand candle", ["sand candle"]),
        ("and", ["and"]),
        ("cup,", ["cup"]),
        (",", [","]),
    ],
)
def test_lists(phrase: str, parts: list[str]) -> None:
    assert list_parts(phrase) == parts
