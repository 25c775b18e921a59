"""What the embedded questions are about: things, their columns and what these may hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["category", "integer", "real", "year"]


@dataclass(frozen=True)
class Attribute:
    """A column: its name in words, and its values (a category) or their range."""

    words: str
    kind: Kind
    values: tuple[str, ...] = ()
    low: int = 0
    high: int = 0


@dataclass(frozen=True)
class Entity:
    """A table: what one row and many rows are called, its columns, and words to make names of."""

    one: str
    many: str
    attributes: tuple[Attribute, ...]
    first: tuple[str, ...]
    last: tuple[str, ...]


@dataclass(frozen=True)
class Domain:
    """Two tables, of which each row of the second belongs to one row of the first."""

    parent: Entity
    child: Entity


def _c(words: str, values: str) -> Attribute:
    return Attribute(words, "category", tuple(values.split(", ")))


def _n(words: str, low: int, high: int, kind: Kind = "integer") -> Attribute:
    return Attribute(words, kind, (), low, high)


def _e(one: str, many: str, names: tuple[str, str], *attributes: Attribute) -> Entity:
    return Entity(one, many, attributes, tuple(names[0].split()), tuple(names[1].split()))


_PEOPLE = (
    "Ada Bela Carl Dina Emil Fay Gita Hugo Ines Jon Kira Liam Mona Nils Olga Pia Ravi Sara Tom Uma",
    "Abbott Berg Costa Diaz Evans Fischer Green Hansen Ito Jones Keller Lopez Meyer Novak Okoye Patel",
)
_FIRMS = ("Alpha Bright Cedar Delta Eagle Falcon Golden Harbor Iron Jade", "Group Lines Works Trade House Partners")
_PLACES = ("North South East West Upper Lower Old New", "Hill Lake Valley Field Bridge Forest Bay Ridge")
_TITLES = (
    "Silent Hidden Broken Distant Golden Winter Last First Lost Bitter",
    "River Garden Letter House Song Road Star",
)
_THINGS = ("Red Blue Green Small Large Round Light Heavy Plain Fine", "Lamp Chair Table Box Clock Mirror Kettle Basket")
_DISHES = ("Spicy Grilled Baked Cold Sweet Smoked Fresh Creamy", "Soup Pasta Salad Curry Pie Stew Rice Tart")

_COUNTRY = _c("country", "France, Japan, Brazil, Kenya, Norway, Canada")
_CITY = _c("city", "Oslo, Lima, Cairo, Porto, Kyoto, Quito")

DOMAINS: dict[str, Domain] = {
    "library": Domain(
        _e("author", "authors", _PEOPLE, _COUNTRY, _n("birth year", 1920, 1999, "year"), _n("number of awards", 0, 40)),
        _e("book", "books", _TITLES, _c("genre", "novel, poetry, history, science, travel"),
           _n("number of pages", 60, 900),
           _n("price", 5, 60, "real"), _n("publication year", 1950, 2024, "year")),
    ),
    "school": Domain(
        _e("teacher", "teachers", _PEOPLE, _c("subject", "maths, biology, art, music, physics"),
           _n("salary", 2000, 9000)),
        _e("student", "students", _PEOPLE, _CITY, _n("age", 10, 60), _n("test score", 10, 100, "real"),
           _c("house", "red, blue, green, yellow")),
    ),
    "flights": Domain(
        _e("airline", "airlines", _FIRMS, _COUNTRY, _n("fleet size", 5, 400), _n("founding year", 1930, 2015, "year")),
        _e("flight", "flights", _PLACES, _c("destination", "Rome, Delhi, Tokyo, Accra, Dublin"),
           _n("distance", 200, 9000),
           _n("fare", 40, 900, "real"), _n("number of seats", 50, 400)),
    ),
    "clinic": Domain(
        _e("doctor", "doctors", _PEOPLE, _c("specialty", "surgery, cardiology, neurology, paediatrics"),
           _n("years of service", 1, 40)),
        _e("patient", "patients", _PEOPLE, _CITY, _n("age", 1, 99), _n("bill", 50, 5000, "real"),
           _c("blood type", "A, B, AB, O")),
    ),
    "music": Domain(
        _e("band", "bands", _PLACES, _c("style", "jazz, rock, folk, soul"), _n("founding year", 1960, 2015, "year"),
           _n("number of members", 2, 60)),
        _e("album", "albums", _TITLES, _c("label", "Apex, Orbit, Tempo, Vista"), _n("number of tracks", 4, 60),
           _n("rating", 1, 10, "real"), _n("release year", 1970, 2024, "year")),
    ),
    "football": Domain(
        _e("club", "clubs", _PLACES, _CITY, _n("stadium capacity", 1000, 90000),
           _n("founding year", 1880, 1990, "year")),
        _e("player", "players", _PEOPLE, _c("position", "goalkeeper, defender, midfielder, forward"), _n("age", 16, 60),
           _n("number of goals", 0, 90), _n("weekly wage", 1, 50, "real")),
    ),
    "restaurants": Domain(
        _e("restaurant", "restaurants", _FIRMS, _CITY, _n("number of tables", 5, 80), _n("rating", 1, 10, "real")),
        _e("dish", "dishes", _DISHES, _c("course", "starter, main, dessert, side"), _n("price", 4, 50, "real"),
           _n("number of calories", 80, 1500)),
    ),
    "museums": Domain(
        _e("museum", "museums", _PLACES, _COUNTRY, _n("number of visitors", 1000, 90000),
           _n("opening year", 1800, 2010, "year")),
        _e("exhibit", "exhibits", _THINGS, _c("material", "wood, glass, bronze, clay, paper"),
           _n("weight", 1, 300, "real"),
           _n("insured value", 100, 99000), _n("acquisition year", 1850, 2024, "year")),
    ),
    "shops": Domain(
        _e("supplier", "suppliers", _FIRMS, _COUNTRY, _n("delivery time", 1, 60), _n("number of employees", 3, 900)),
        _e("product", "products", _THINGS, _c("category", "kitchen, office, garden, bath"), _n("price", 1, 300, "real"),
           _n("number in stock", 0, 500)),
    ),
    "research": Domain(
        _e("laboratory", "laboratories", _PLACES, _c("field", "chemistry, robotics, geology, optics"),
           _n("budget", 100, 9000), _n("founding year", 1950, 2015, "year")),
        _e("project", "projects", _TITLES, _c("status", "planned, running, paused, finished"),
           _n("number of members", 2, 60),
           _n("cost", 10, 800, "real"), _n("start year", 1990, 2024, "year")),
    ),
}  # fmt: skip
