"""What is read out of the reply of a chat model, and what the operator's prompt may be."""

from pathlib import Path

import pytest

from tensorhop.errors import InvalidInput
from tensorhop.services.quality.embedded import EmbeddedScorer
from tensorhop.services.quality.prompt import DEFAULT, read_prompt
from tensorhop.services.quality.reply import read_reply
from tensorhop.services.runtime.answers import printable


@pytest.mark.parametrize(
    ("reply", "score", "scores"),
    [
        ("Sharpness: 0.8\nNoise: 0.75\nFinal Score: [0.7]", 0.7, {"Sharpness": 0.8, "Noise": 0.75}),
        ("Final Score: 0.7", 0.7, {}),
        ("final score : [ .5 ]", 0.5, {}),
        ("**Final Score:** [0.91]", 0.91, {}),
        ("**Final Score**: 1", 1, {}),
        (
            "## Scores\n- *Sharpness*: 0.5 (soft)\n1. Noise: 1.0.\n> Final Score: (0.25)",
            0.25,
            {"Sharpness": 0.5, "Noise": 1},
        ),
        ("The views fit together well. Final Score: [0.6]", 0.6, {}),
        ("Sharpness: 0.7, Noise: 0.4; Final Score: 0.5", 0.5, {"Sharpness": 0.7, "Noise": 0.4}),
        ("Final Score: [7/10]\nNoise: 3 / 4", 0.7, {"Noise": 0.75}),
        ("Final Score (0 to 1): 0.3", 0.3, {}),
        ("Final Score: 0.2\nNo, that is too strict.\nFinal Score: 0.4", 0.4, {}),
        ("\x1b[31mFinal\x14 Score: [0.7]\x1b[0m\r\nNoise\x07: 0.1", 0.7, {"Noise": 0.1}),
        ("", None, {}),
        ("A fine picture of a cat.", None, {}),
        ("Final Score: high", None, {}),
        ("Final Score: 8\nNoise: 0.5", None, {"Noise": 0.5}),
        ("Final Score: -0.5", None, {}),
        ("Final Score: 0,8", None, {}),
        ("Final Score: 0.8.1", None, {}),
        ("Final Score: 5/0", None, {}),
        ("Note: 1 object is cut off\nTime: 12:30\nN: 0.5x", None, {}),
        (f"{'so long a sentence ' * 9}: 0.5", None, {}),
    ],
)
def test_scores_are_read_by_lines(reply: str, score: float | None, scores: dict[str, float]) -> None:
    found = read_reply(reply)
    assert found.score == score
    assert found.scores == scores


def test_values_are_divided_by_the_operator_s_scale() -> None:
    found = read_reply("Sharpness: 40\nNoise: 5/10\nExposure: 101\nFinal Score: [85]", 100)
    assert (found.score, found.scores) == (0.85, {"Sharpness": 0.4, "Noise": 0.5})


def test_the_text_of_a_reply_commands_no_terminal() -> None:
    found = read_reply("\x1b[2JA\x14 cat\u202e\r\nFinal\tScore: 0.5\x9b\n")
    assert found.text == "[2JA  cat \nFinal\tScore: 0.5"
    assert found.score == 0.5


def test_printable_leaves_what_joins_characters() -> None:
    text = "naïve 猫 👩\u200d🚀"
    assert printable(text) == text


def test_the_default_prompt_asks_for_what_is_read() -> None:
    asked = read_prompt("")
    assert asked == DEFAULT.strip()
    found = read_reply(asked.replace(": N", ": 0.5").replace("[N]", "[0.25]"))
    assert found.score == 0.25
    assert {*found.scores} == {"Sharpness", "Noise", "Exposure", "Naturalness", "Content"}


def test_a_prompt_is_a_text_file(tmp_path: Path) -> None:
    file = tmp_path / "prompt.txt"
    file.write_text("\ufeff Judge.\n", encoding="utf-8")
    assert read_prompt(str(file)) == "Judge."
    for content, said in ((b"\xff\xfe\x00", "is no text in UTF-8"), (b" \n", "is empty")):
        file.write_bytes(content)
        with pytest.raises(InvalidInput, match=f"--quality-prompt names .*prompt.txt, which {said}"):
            read_prompt(str(file))
    with pytest.raises(InvalidInput, match="cannot be read: No such file"):
        read_prompt(str(tmp_path / "none"))


def test_the_embedded_model_takes_no_prompt(limit) -> None:
    limit(quality_prompt="prompt.txt")
    with pytest.raises(InvalidInput, match="--quality-prompt is given, but the embedded model of quality takes no"):
        EmbeddedScorer()
