"""The kinds of one-line faults: for every place in a source, what another text in its place would be.

Faults are kept out of what tests are not meant to pin down: docstrings, annotations, the words of messages, and
imports.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

COMPARISONS = {
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Is: "is not",
    ast.IsNot: "is",
    ast.In: "not in",
    ast.NotIn: "in",
}
ARITHMETIC = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "/",
    ast.Div: "*",
    ast.FloorDiv: "*",
    ast.Mod: "//",
    ast.Pow: "*",
    ast.BitAnd: "|",
    ast.BitOr: "&",
    ast.BitXor: "|",
    ast.LShift: ">>",
    ast.RShift: "<<",
}
#: Functions and methods that are taken for each other.
FUNCTIONS = {
    "sum": "mean",
    "mean": "sum",
    "min": "max",
    "max": "min",
    "argmin": "argmax",
    "argmax": "argmin",
    "any": "all",
    "all": "any",
    "floor": "ceil",
    "ceil": "floor",
    "std": "var",
    "var": "std",
    "zeros": "ones",
    "ones": "zeros",
    "minimum": "maximum",
    "maximum": "minimum",
    "exp": "expm1",
    "log": "log1p",
    "log1p": "log",
    "expm1": "exp",
    "sort": "asarray",
    "round": "floor",
    "cumsum": "asarray",
    "repeat": "tile",
    "tile": "repeat",
    "rint": "floor",
    "nanmean": "mean",
    "sqrt": "abs",
    "square": "abs",
    "zeros_like": "ones_like",
    "startswith": "endswith",
    "lower": "upper",
    "less": "greater",
    "append": "count",
}
#: Functions of which the order of arguments is nothing to.
SYMMETRIC = {
    "min",
    "max",
    "minimum",
    "maximum",
    "add",
    "multiply",
    "array_equal",
    "zip",
    "hypot",
    "logaddexp",
    "fadd",
    "mul",
    "fmul",
    "or_",
    "and_",
    "high",  # LLVM's operations, and the upper half of a product: kernels/
    "identical",
    "row_dots",
    "_in_place",
}
#: Functions that draw random numbers for a purpose, which is their second argument.
DRAWS = {"normal", "uniform", "bernoulli", "permutation", "words", "Stream"}
#: Keywords that only say where a warning points or what help reads like, or guard against what cannot happen.
WORDS = {"help", "stacklevel", "description", "epilog", "metavar", "prog", "strict", "flush"}


@dataclass(frozen=True)
class Fault:
    """Text to be put in the place of another, on one line."""

    line: int
    start: int  #: column, in characters
    end: int
    new: str
    kind: str

    def applied(self, text: str) -> str:
        """The source with the fault in it."""
        lines = text.splitlines(keepends=True)
        line = lines[self.line - 1]
        lines[self.line - 1] = line[: self.start] + self.new + line[self.end :]
        return "".join(lines)


def faults(text: str, purposes: tuple[str, ...] = ()) -> list[Fault]:
    """Every fault of a source, in its order; a few leave one that Python cannot read. purposes: of random numbers."""
    return sorted(set(_Finder(text, purposes).found), key=lambda f: (f.line, f.start, f.end, f.kind, f.new))


def is_readable(fault: Fault, text: str) -> bool:
    """Whether the source with the fault is another one that Python can read."""
    changed = fault.applied(text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            return ast.dump(ast.parse(changed)) != ast.dump(ast.parse(text))
    except SyntaxError:
        return False


class _Finder(ast.NodeVisitor):
    def __init__(self, text: str, purposes) -> None:
        self.lines = text.splitlines(keepends=True)
        self.purposes = purposes
        self.found: list[Fault] = []
        self._functions: list[dict[str, list[str]]] = []
        self.visit(ast.parse(text))

    # where things are

    def _column(self, line: int, offset: int) -> int:
        return len(self.lines[line - 1].encode()[:offset].decode())

    def _span(self, node) -> tuple[int, int, int] | None:
        """Line, first and last column of a node that lies on one line."""
        if node.lineno != node.end_lineno:
            return None
        return node.lineno, self._column(node.lineno, node.col_offset), self._column(node.lineno, node.end_col_offset)

    def _text(self, node) -> str | None:
        span = self._span(node)
        return None if span is None else self.lines[span[0] - 1][span[1] : span[2]]

    def _replace(self, node, new: str | None, kind: str) -> None:
        span = self._span(node)
        if span is not None and new is not None:
            self.found.append(Fault(*span, new, kind))

    def _between(self, left, right, new: str, kind: str) -> None:
        """What stands between two nodes: an operator, with nothing but it and brackets there."""
        if left.end_lineno != right.lineno:
            return
        line = left.end_lineno
        start, end = self._column(line, left.end_col_offset), self._column(line, right.col_offset)
        old = self.lines[line - 1][start:end]
        bare = old.strip(" ()")
        if bare:
            at = old.index(bare)
            self.found.append(Fault(line, start + at, start + at + len(bare), new, kind))

    # statements

    def visit_Module(self, node) -> None:
        self._body(node.body)

    def visit_ClassDef(self, node) -> None:
        self._body(node.body)

    def visit_FunctionDef(self, node) -> None:
        arguments = node.args
        named = [*arguments.posonlyargs, *arguments.args][-len(arguments.defaults) :] if arguments.defaults else []
        for _, value in [
            *zip(named, arguments.defaults, strict=True),
            *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
        ]:
            if isinstance(value, ast.Constant):
                for new in _other_constants(value.value):
                    self._replace(value, new, "default changed")
        attributes: dict[str, list[str]] = {}
        for inner in ast.walk(node):
            if isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name):
                known = attributes.setdefault(inner.value.id, [])
                if inner.attr not in known:
                    known.append(inner.attr)
        self._functions.append(attributes)
        self._body(node.body)
        self._functions.pop()

    visit_AsyncFunctionDef = visit_FunctionDef

    def _body(self, statements) -> None:
        for statement in statements:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                continue  # a docstring
            if isinstance(statement, (ast.Import, ast.ImportFrom, ast.Raise, ast.Global, ast.Nonlocal)):
                if isinstance(statement, ast.Raise) and self._functions:
                    self._replace(statement, "pass", "statement removed")
                continue
            self.visit(statement)

    def generic_visit(self, node) -> None:
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list"):
                continue
            if isinstance(value, list):
                if value and isinstance(value[0], ast.stmt):
                    self._body(value)
                else:
                    for each in value:
                        if isinstance(each, ast.AST):
                            self.visit(each)
            elif isinstance(value, ast.AST):
                self.visit(value)

    def visit_JoinedStr(self, node) -> None:
        """Words for people."""

    def visit_Expr(self, node) -> None:
        if isinstance(node.value, ast.Call):
            self._replace(node, "pass", "statement removed")
        self.visit(node.value)

    def visit_AugAssign(self, node) -> None:
        if type(node.op) in ARITHMETIC:
            self._between(node.target, node.value, f"{ARITHMETIC[type(node.op)]}=", "arithmetic")
        self._replace(node, "pass", "statement removed")
        self.visit(node.value)

    def visit_Continue(self, node) -> None:
        self._replace(node, "pass", "statement removed")

    visit_Break = visit_Continue

    def visit_Return(self, node) -> None:
        if node.value is None:
            return
        if isinstance(node.value, ast.Tuple) and len(node.value.elts) >= 2:
            self._swap(*node.value.elts[:2], "other value returned")
        elif self._text(node.value) is not None and not isinstance(node.value, (ast.Call, ast.JoinedStr)):
            self._replace(node.value, "None", "other value returned")
        self.visit(node.value)

    def visit_Assert(self, node) -> None:
        """Sizes of compiled code, checked as it is made."""

    def visit_If(self, node) -> None:
        if not self._is_for_types(node):
            self._negate(node.test)
            self.generic_visit(node)

    def visit_While(self, node) -> None:
        self._negate(node.test)
        self.generic_visit(node)

    def visit_IfExp(self, node) -> None:
        self._replace(node, self._text(node.body), "condition")
        self._replace(node, self._text(node.orelse), "condition")
        self.generic_visit(node)

    def _negate(self, test) -> None:
        if self._text(test) is not None and not isinstance(test, (ast.Compare, ast.UnaryOp)):
            self._replace(test, f"not ({self._text(test)})", "condition")

    @staticmethod
    def _is_for_types(node) -> bool:
        return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"

    # expressions

    def visit_Compare(self, node) -> None:
        left = node.left
        for operator, right in zip(node.ops, node.comparators, strict=True):
            self._between(left, right, COMPARISONS[type(operator)], "comparison")
            left = right
        self.generic_visit(node)

    def visit_BinOp(self, node) -> None:
        texts = isinstance(node.left, (ast.JoinedStr, ast.Constant)) and isinstance(
            getattr(node.left, "value", ""), str
        )
        if type(node.op) in ARITHMETIC and not texts:
            self._between(node.left, node.right, ARITHMETIC[type(node.op)], "arithmetic")
            if isinstance(node.op, (ast.Add, ast.Sub, ast.Mult)):
                self._replace(node, self._text(node.left), "operand removed")
        self.generic_visit(node)

    def visit_UnaryOp(self, node) -> None:
        kind = {ast.USub: "sign", ast.Not: "boolean", ast.Invert: "boolean"}.get(type(node.op))
        if kind:
            self._replace(node, self._text(node.operand), kind)
        self.generic_visit(node)

    def visit_BoolOp(self, node) -> None:
        for left, right in zip(node.values, node.values[1:], strict=False):
            self._between(left, right, "or" if isinstance(node.op, ast.And) else "and", "boolean")
        self.generic_visit(node)

    def visit_Constant(self, node) -> None:
        for new in _other_constants(node.value):
            self._replace(node, new, "boolean" if isinstance(node.value, bool) else "constant")

    def visit_Subscript(self, node) -> None:
        index = node.slice
        if isinstance(index, ast.Constant) and type(index.value) is int:
            self._replace(index, str(index.value + 1), "index")
        elif isinstance(index, ast.UnaryOp):
            self._replace(index, "0", "index")
        elif isinstance(index, ast.Slice):
            for end in (index.lower, index.upper):
                if end is not None and not isinstance(end, ast.Constant) and self._text(end) is not None:
                    self._replace(end, f"{self._text(end)} + 1", "off by one")
            self.generic_visit(index)
        elif isinstance(index, ast.Tuple) and len(index.elts) == 2:
            self._swap(*index.elts, "index")
            self.visit(index)
        else:
            self.visit(index)
        self.visit(node.value)

    def visit_Attribute(self, node) -> None:
        if isinstance(node.value, ast.Name) and isinstance(node.ctx, ast.Load) and self._functions:
            known = self._functions[-1].get(node.value.id, [])
            if node.value.id in ("options", "self", "settings", "estimator", "recipe") and len(known) > 1:
                other = known[(known.index(node.attr) + 1) % len(known)] if node.attr in known else None
                self._replace(node, other and f"{node.value.id}.{other}", "other attribute")
        self.generic_visit(node)

    def visit_Call(self, node) -> None:
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        if name in FUNCTIONS and self._text(function) is not None:
            self._replace(function, self._text(function)[: -len(name)] + FUNCTIONS[name], "function")
        for new in self._without_call(node, name):
            self._replace(node, new, "call removed")
        if (
            len(node.args) >= 2
            and name not in SYMMETRIC
            and not any(isinstance(a, (ast.Starred, ast.JoinedStr)) for a in node.args[:2])
        ):
            self._swap(*node.args[:2], "arguments swapped")
        if name in DRAWS and len(node.args) >= 2:
            self._merge_draws(node)
        if name == "range" and len(node.args) == 1 and self._text(node.args[0]) is not None:
            self._replace(node.args[0], f"{self._text(node.args[0])} - 1", "off by one")
        keywords = [k for k in node.keywords if k.arg is not None and k.arg not in WORDS]
        for keyword, following in zip(keywords, keywords[1:], strict=False):
            self._swap(keyword.value, following.value, "keyword given another's value")
        for keyword in keywords:
            self._forget(node, keyword)
            self._axis(keyword)
        self.visit(function)
        for each in (*node.args, *(k.value for k in node.keywords if k.arg not in WORDS)):
            self.visit(each)

    def _without_call(self, node, name: str) -> Iterator[str | None]:
        if name.endswith(("Error", "Warning")) or name in ("say", "tell", "print", "str", "repr"):
            return
        if len(node.args) == 1 and not node.keywords and not isinstance(node.args[0], (ast.Starred, ast.GeneratorExp)):
            yield self._text(node.args[0])
        if isinstance(node.func, ast.Attribute) and not isinstance(node.func.value, ast.Name):
            yield self._text(node.func.value)
        elif isinstance(node.func, ast.Attribute) and name in ("copy", "astype", "reshape", "strip", "lower", "ravel"):
            yield self._text(node.func.value)

    def _merge_draws(self, node) -> None:
        purpose = node.args[1]
        if isinstance(purpose, ast.Constant) and purpose.value in self.purposes:
            others = [each for each in self.purposes if each != purpose.value]
            self._replace(
                purpose,
                repr(others[self.purposes.index(purpose.value) % len(others)]).replace("'", '"'),
                "draws merged",
            )
        if self._text(node.args[0]) is not None:
            self._replace(node.args[0], "7", "draws merged")
        if len(node.args) > 2 and not isinstance(node.args[2], ast.Constant) and self._text(node.args[2]) is not None:
            self._replace(node.args[2], "0", "draws merged")

    def _forget(self, node, keyword) -> None:
        """The keyword left out, with the comma beside it."""
        span = self._span(keyword)
        if span is None:
            return
        line, start, end = span
        text = self.lines[line - 1]
        if text[end : end + 2] == ", ":
            self.found.append(Fault(line, start, end + 2, "", "keyword not forwarded"))
        elif text[start - 2 : start] == ", ":
            self.found.append(Fault(line, start - 2, end, "", "keyword not forwarded"))
        else:
            self.found.append(Fault(line, start, end + (text[end : end + 1] == ","), "", "keyword not forwarded"))

    def _axis(self, keyword) -> None:
        if keyword.arg == "axis":
            value = self._text(keyword.value)
            new = {"0": "-1", "1": "0", "-1": "0", "2": "1"}.get(value or "")
            self._replace(keyword.value, new, "axis")

    def _swap(self, first, second, kind: str) -> None:
        """Two texts in each other's places."""
        a, b = self._span(first), self._span(second)
        if a is None or b is None or a[0] != b[0] or a[2] > b[1]:
            return
        line = self.lines[a[0] - 1]
        texts, between = (line[a[1] : a[2]], line[b[1] : b[2]]), line[a[2] : b[1]]
        if texts[0] != texts[1]:
            self.found.append(Fault(a[0], a[1], b[2], texts[1] + between + texts[0], kind))


def _other_constants(value) -> list[str]:
    if value is True or value is False:
        return [str(not value)]
    if type(value) is int:
        return [str(value + 1), *([str(value - 1)] if value > 0 else [])]
    if type(value) is float:
        return [repr(2.0 * value) if value else "1.0", *(["0.0"] if value else [])]
    return []
