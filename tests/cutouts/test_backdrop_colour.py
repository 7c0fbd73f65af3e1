"""A backdrop and the output's background are one colour, whichever the caller gave."""

import pytest

from tensorhop.orchestrator.cutouts.request import with_backdrop
from tensorhop.values.finish_options import BACKDROP, Finish
from tensorhop.values.output_options import Output


@pytest.mark.parametrize(
    ("backdrop", "background", "drawn_for", "behind"),
    [
        ("", "", "", BACKDROP),
        ("#ddd", "", "#ddd", "#ddd"),
        ("", "#eef0f2", "#eef0f2", "#eef0f2"),
        ("#ddd", "red", "#ddd", "red"),
        ("", "transparent", "white", "transparent"),
    ],
)
def test_one_colour(backdrop: str, background: str, drawn_for: str, behind: str) -> None:
    finish, output = with_backdrop(Finish(shadow="backdrop", backdrop=backdrop), Output(background=background))
    assert (finish.backdrop, output.background) == (drawn_for, behind)


@pytest.mark.parametrize(
    ("backdrop", "background", "drawn_for"),
    [("", "", "white"), ("#ddd", "", "#ddd"), ("", "#eef0f2", "white"), ("#ddd", "red", "#ddd")],
)
def test_on_a_picture_the_background_stays(backdrop: str, background: str, drawn_for: str) -> None:
    given = Finish(shadow="backdrop", backdrop=backdrop), Output(background=background)
    finish, output = with_backdrop(*given, on_picture=True)
    assert (finish.backdrop, output.background) == (drawn_for, background)


def test_other_shadows_have_none() -> None:
    given = Finish(), Output("jpeg")
    assert with_backdrop(*given) == given
