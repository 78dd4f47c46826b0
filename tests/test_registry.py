"""Objects by name, by mapping, or as they are."""

import numpy as np
import pytest

from npvae.errors import InputError, InputTypeError, UnknownNameError
from npvae.support import registry


class Shape:
    def config(self):
        return {}


class Circle(Shape):
    name = "circle"

    def __init__(self, radius=1.0):
        self.radius = radius

    def config(self):
        return {"radius": self.radius}


class Point(Shape):
    name = "point"

    def __init__(self):
        pass


KNOWN = {"circle": Circle, "point": Point}


def build(choice):
    return registry.build("shape", choice, KNOWN, Shape)


def test_three_forms():
    circle = Circle(3.0)
    assert build(circle) is circle
    assert build("circle").radius == 1.0 and type(build("point")) is Point
    assert build({"name": "circle", "radius": 2.0}).radius == 2.0


def test_the_mapping_is_not_modified_and_comes_back():
    choice = {"name": "circle", "radius": 2.0}
    made = build(choice)
    assert choice == {"name": "circle", "radius": 2.0} == registry.to_config(made)
    assert registry.to_config(build("point")) == {"name": "point"}


def test_errors_say_what_is_known():
    for choice, shown in [("square", "'square'"), ({"name": "square"}, "'square'"), ({"radius": 1}, "None")]:
        with pytest.raises(UnknownNameError, match=f"^unknown shape {shown}; known: 'circle', 'point'$"):
            build(choice)
    with pytest.raises(InputError, match="^shape 'circle' takes no argument 'side'; it takes: radius$"):
        build({"name": "circle", "side": 1})
    with pytest.raises(InputError, match="^shape 'point' takes no argument 'x'; it takes: none$"):
        build({"name": "point", "x": 1})
    for choice in (None, 3, ["circle"], Circle):
        with pytest.raises(InputTypeError, match="^shape must be a name, a mapping or an object of Shape, got "):
            build(choice)


def test_values_as_json_holds_them():
    class Named:
        name = "of its own"

    value = {
        1: (np.float32(0.5), range(2), np.arange(2)),
        "circle": Circle(3.0),
        "inner": Circle((1,)),
        "named": Named(),
        "none": np.random.default_rng(),
        "flag": True,
    }
    assert registry.plain(value) == {
        "1": [0.5, [0, 1], [0, 1]],
        "circle": {"name": "circle", "radius": 3.0},
        "inner": {"name": "circle", "radius": [1]},
        "named": "of its own",
        "none": None,
        "flag": True,
    }
    assert type(registry.plain(np.int64(3))) is int and registry.plain(None) is None and registry.plain("x") == "x"


def test_an_argument_without_a_default_is_needed():
    class Square(Shape):
        def __init__(self, side, colour="red"):
            self.side = side

    with pytest.raises(InputError, match="^shape 'square' needs the argument 'side'$"):
        registry.build("shape", {"name": "square", "colour": "blue"}, {"square": Square}, Shape)
    assert registry.build("shape", {"name": "square", "side": 2}, {"square": Square}, Shape).side == 2
