"""Telling a column that was measured or counted from one that names classes, before a classifier gets one class a
value.

Of numbers there is no proof, so these are the signs, and what they were chosen by (different values, of labelled rows):

    classes                                        measured, counted or numbered
    MNIST 10 of 60,000        0 to 9               diabetes' progression 214 of 442        25 to 346
    letters 26 of 20,000      1 to 26              abalone's rings 28 of 4,177             1 to 29, not 28
    Olivetti's faces 40 of 400     0 to 39         ages of the Adult census 73 of 32,561   17 to 90
    EMNIST 47 of 112,800      0 to 46              Boston's prices 229 of 506              5.0 to 50.0
    CIFAR-100 100 of 50,000   0 to 99              row numbers N of N                      0 to N - 1
    wine's quality 7 of 6,497      3 to 9          names, of persons or things N of N

So classes are numbered without gaps from 0 or 1, or are few. scikit-learn warns where the values are more than half as
many as the rows; that alone sees neither ages nor rings.
"""

from __future__ import annotations

#: So many different numbers are taken for classes, however they are numbered.
FEW_NUMBERS = 20
#: So many different values are taken for classes, however few rows there are.
FEW_VALUES = 10


def why_continuous(labels: list, rows: int) -> str | None:
    """In words, what speaks against ``labels`` as names of classes; None: nothing. Numbers may be texts; rows: with
    those unlabelled.
    """
    numbers = [_number(label) for label in labels]
    numeric = bool(labels) and None not in numbers
    values = set(numbers if numeric else labels)
    if numeric and any(value != value // 1 for value in values):
        shown = next(
            label for label, value in zip(labels, numbers, strict=True) if value is not None and value != value // 1
        )
        return f"it holds numbers that are not whole, such as {shown}"
    numbered = numeric and min(values) in (0, 1) and max(values) - min(values) + 1 == len(values)
    if numeric and not numbered and len(values) > FEW_NUMBERS:
        return f"it holds {len(values)} different numbers from {min(values):g} to {max(values):g}"
    if len(values) > max(FEW_VALUES, len(labels) / 2) and not (numbered and len(labels) < rows):
        return f"it holds {len(values)} different values in {len(labels)} rows"
    return None


def _number(label) -> float | None:
    if isinstance(label, bool):
        return None
    try:
        value = float(label)
    except (TypeError, ValueError, OverflowError):
        return None
    return value if abs(value) < float("inf") else None
