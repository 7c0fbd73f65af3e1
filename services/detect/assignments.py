"""Safe reading of a downloaded configuration: a Python file that only assigns plain values, none of whose code runs."""

import ast
from pathlib import Path
from typing import Any

from tensorhop.errors import InvalidInput


def read(path: Path) -> dict[str, Any]:
    """The values that the file assigns, by name.

    Raises:
        InvalidInput: it is not Python, or a statement does more than assign a plain value (number, text, list, ...) to
            a name.
    """
    try:
        module = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = str(error) or type(error).__name__
        raise InvalidInput("--model", f"{path} cannot be read as Python: {reason}; get it again") from error
    values: dict[str, Any] = {}
    for statement in module.body:
        match statement:
            case ast.Expr(ast.Constant()):  # a docstring
                pass
            case ast.Assign([ast.Name(name)], value):
                values[name] = _literal(path, statement, value)
            case _:
                raise _refused(path, statement)
    return values


def _literal(path: Path, statement: ast.stmt, value: ast.expr) -> Any:
    try:
        return ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        raise _refused(path, statement) from error


def _refused(path: Path, statement: ast.stmt) -> InvalidInput:
    text = ast.unparse(statement).splitlines()[0][:60]
    return InvalidInput(
        "--model",
        f"{path}, line {statement.lineno}, is {text!r}; only plain values may be assigned, since no code of it is run",
    )
