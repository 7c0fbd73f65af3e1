"""Options that are the run's own: no request has them."""

from tensorhop.options.kinds import BOOLEAN
from tensorhop.options.table import OUTPUT, Option

JOBS = 3  # photos at once, unless the command line says another number
OVERLAY = Option(
    "overlay",
    "",
    BOOLEAN,
    "Write an overview with boxes and labels too.",
    panel=OUTPUT,
    default_text="on for a directory",
)
