"""Dates, times and durations as numbers of days, and back: no finer than the others of their column.

    days = (t - 1970-01-01) / 1 day         in UTC where the times have a zone; of a duration its own length

A column whose times are all whole days, hours, minutes, seconds, ... is filled in with such ones.
"""

from __future__ import annotations

import datetime

import numpy as np

#: How many of a NumPy unit make a day.
PER_DAY = {"D": 1, "h": 24, "m": 1440, "s": 86_400, "ms": 86_400 * 10**3, "us": 86_400 * 10**6, "ns": 86_400 * 10**9}
#: Days from 1970 to the first and to the last day of Python's calendar.
FIRST_DAY, LAST_DAY = -719_162, 2_932_896


def to_days(times: np.ndarray) -> np.ndarray:
    """(N,) float64 of an array (N,) of dates or durations; of NaT anything."""
    units, per_day = _in_units(times)
    return units.view(np.int64) / per_day


def from_days(days: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Times (n,) of the type of ``like``, which are the observed ones of the column."""
    units, per_day = _in_units(like)
    observed = units.view(np.int64)
    steps = [per_day // count for count in PER_DAY.values() if count <= per_day]
    step = next(step for step in steps if (observed % step == 0).all()) if len(observed) else 1
    farthest = 2.0**62 if per_day > PER_DAY["s"] else 4e6 * per_day  # years that int64 or Python's calendar still has
    counts = np.rint(np.clip(np.asarray(days, np.float64) * per_day, -farthest, farthest) / step)
    return (counts.astype(np.int64) * step).view(units.dtype).astype(like.dtype)


def as_array(objects: list) -> np.ndarray:
    """An array of dates, of times without or all with a zone, or of durations, which are Python's.

    ValueError: some have a zone and some have not.
    """
    first = objects[0]
    if isinstance(first, datetime.timedelta):
        return np.array([datetime.timedelta(one.days, one.seconds, one.microseconds) for one in objects], "m8[us]")
    if not isinstance(first, datetime.datetime):
        return np.array(objects, "M8[D]")
    if len({one.tzinfo is None for one in objects}) > 1:
        raise ValueError("times with and without a zone")
    if first.tzinfo is not None:
        objects = [one.astimezone(datetime.timezone.utc).replace(tzinfo=None) for one in objects]
    return np.array([_plain(one) for one in objects], "M8[us]")


def _plain(one) -> datetime.datetime:
    """The same as a plain time of Python: a Timestamp is one of nanoseconds."""
    return datetime.datetime(one.year, one.month, one.day, one.hour, one.minute, one.second, one.microsecond)


def as_objects(times: np.ndarray, like) -> list:
    """Python's dates, times or durations of an array, of the type and in the zone of ``like``."""
    if isinstance(like, datetime.timedelta):
        found = times.tolist()
    else:
        bounds = np.array([FIRST_DAY, LAST_DAY], "M8[D]").astype(times.dtype)
        found = np.clip(times, *bounds).tolist()
        if getattr(like, "tzinfo", None) is not None:
            found = [one.replace(tzinfo=datetime.timezone.utc).astimezone(like.tzinfo) for one in found]
    plain = (datetime.date, datetime.datetime, datetime.timedelta)
    return found if type(like) in plain else [type(like)(one) for one in found]


def in_python(days: np.ndarray, form: str, whole: bool) -> np.ndarray:
    """Python's dates (whole days), times or durations, objects (n,), where no other cell of the column says of which
    type they are.
    """
    unit = "D" if whole else "s"
    found = from_days(days, np.zeros(0, f"{'M' if form == 'date' else 'm'}8[{unit}]")).tolist()
    return np.array([*found, None], object)[:-1]


def _in_units(times: np.ndarray) -> tuple[np.ndarray, int]:
    """The times in a unit that a day has a whole number of, and that number."""
    unit, count = np.datetime_data(times.dtype)
    if unit in ("Y", "M", "W"):
        unit = "D"
    elif unit in ("ps", "fs", "as"):
        unit = "ns"
    return np.ascontiguousarray(times.astype(f"{times.dtype.kind}8[{unit}]")), PER_DAY[unit]
