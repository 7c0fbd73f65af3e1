"""What a chat model is told before it scores pictures."""

from pathlib import Path

from tensorhop.errors import InvalidInput

OPTION = "--quality-prompt"
PICTURE = "Score this picture."  # what the user says beside the picture
PAIR = "Score this pair of views: the left half of the picture is one view, the right half is the other."
DEFAULT = """\
You judge the technical quality of pictures. You are shown one picture, or a pair of views of the same scene, \
beside each other in one picture.

Judge each of these from 0 (worst) to 1 (best):
- Sharpness: fine details are clear, without blur.
- Noise: surfaces are clean, without grain and compression blocks.
- Exposure: neither dark nor light parts have lost their details.
- Naturalness: nothing is stretched, broken, or out of place.
- Content: the picture shows something that is worth looking at, not a blank wall or sky.

For a pair, judge the worse of the two views.

Answer with these six lines and nothing else. Put a number from 0 to 1, such as 0.65, in place of each N:
Sharpness: N
Noise: N
Exposure: N
Naturalness: N
Content: N
Final Score: [N]
"""


def read_prompt(file: str) -> str:
    """The prompt in an operator's file (UTF-8), without space around it; DEFAULT if `file` is empty.

    Raises:
        InvalidInput: the file cannot be read, is no text, or is empty.
    """
    if not file:
        return DEFAULT.strip()
    try:
        text = Path(file).read_text(encoding="utf-8-sig").strip()
    except OSError as error:
        raise InvalidInput(OPTION, f"names {file}, which cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(OPTION, f"names {file}, which is no text in UTF-8") from error
    if not text:
        raise InvalidInput(OPTION, f"names {file}, which is empty")
    return text
