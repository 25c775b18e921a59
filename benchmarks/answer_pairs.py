r"""Labelled pairs of gold and given answers, by rule: a value and two spellings (right), or two values (wrong).

The spellings are written out here and know nothing of the checker. Wrong answers are the usual ones: off by one, the
sign, a digit, the reciprocal, a decimal that is only near, another bracket, another order, the question itself.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import NamedTuple

EACH = 400  # values of each kind, fewer where algebra is needed


class Pair(NamedTuple):
    kind: str
    gold: str
    answer: str
    right: bool


# Spellings of a number: each is given a value that it can say, and says it exactly.


def grouped(n: int, separator: str) -> str:
    return f"{n:,}".replace(",", separator)


def integer(r: random.Random, n: int) -> str:
    return r.choice(
        [
            str(n), grouped(n, ","), grouped(n, "{,}"), grouped(n, r",\!"), f"${n}$", f"{n}.0", f"{n}.", f" {n} ",
            f"${grouped(n, ',')}$", rf"{n} \text{{ apples}}", rf"{n}\text{{ cm}}", f"{n} dollars", rf"\({n}\)",
            f"x = {n}", f"**{n}**", f"({n})", rf"\frac{{{3 * n}}}{{3}}", f"{2 * n}/2", rf"{n}\,", f"{n}.00",
            rf"\text{{Total}} = {n}", f"−{-n}" if n < 0 else f"+{n}",
            rf"\${n}" if n >= 0 else rf"-\${-n}", f"${n}" if n >= 0 else f"-${-n}", rf"{n}\%", f"{n}%", rf"{n}^\circ",
        ]
    )  # fmt: skip


def decimal(r: random.Random, value: Fraction) -> str:
    """``value`` has at most 4 decimals."""
    scaled = value * 10**4
    assert scaled.denominator == 1
    sign, units = "-" if value < 0 else "", abs(int(scaled))
    full = f"{units // 10**4}.{units % 10**4:04d}"
    short = full.rstrip("0").rstrip(".")
    bare = short.removeprefix("0") if short.startswith("0.") else short
    over = rf"\frac{{{abs(value.numerator)}}}{{{value.denominator}}}"
    return sign + r.choice(
        [short, full, short, bare, over, f"{abs(value.numerator)}/{value.denominator}", rf"{short} \text{{ m}}",
         rf"{units} \times 10^{{-4}}", f"{units}e-4"]
    )  # fmt: skip


def fraction(r: random.Random, value: Fraction) -> str:
    sign, a, b = "-" if value < 0 else "", abs(value.numerator), value.denominator
    k = r.randint(2, 9)
    ways = [
        rf"{sign}\frac{{{a}}}{{{b}}}", rf"{sign}\dfrac{{{a}}}{{{b}}}", rf"{sign}\tfrac{{{a}}}{{{b}}}", f"{sign}{a}/{b}",
        rf"\frac{{{sign}{a}}}{{{b}}}", rf"{sign}\frac{{{k * a}}}{{{k * b}}}", f"{sign}{k * a}/{k * b}",
        f"${sign}{a}/{b}$",
        rf"$\frac{{{sign}{a}}}{{{b}}}$", rf"x = {sign}\frac{{{a}}}{{{b}}}", rf"{sign} \frac{{{a}}}{{{b}}}.",
        rf"{sign}\frac {{{a}}} {{{b}}}",
    ]  # fmt: skip
    if a < 10 and b < 10:
        ways += [rf"{sign}\frac{a}{b}", rf"{sign}\frac {a}{b}"]
    if a > b > 1:
        whole = f"{sign}{a // b}"
        ways += [rf"{whole}\frac{{{a % b}}}{{{b}}}", f"{whole} {a % b}/{b}", rf"{whole} \frac{{{a % b}}}{{{b}}}"]
    if b in (2, 4, 5, 8, 10, 20, 25, 50):
        ways.append(sign + f"{a / b:.5f}".rstrip("0").rstrip("."))
    return r.choice(ways)


def near(value: Fraction, digits: int) -> str:
    """A decimal that is not ``value``, only near: asserted, not hoped."""
    text = f"{float(value):.{digits}f}"
    assert Fraction(text) != value
    return text


# Kinds: each yields right and wrong pairs for one value.


def integers(r: random.Random) -> Iterator[Pair]:
    n = r.choice([r.randint(0, 20), r.randint(-50, 999), r.randint(1000, 10**7), -r.randint(1000, 10**6)])
    gold = r.choice([str(n), grouped(n, ","), grouped(n, r",\!")])
    yield Pair("integer", gold, integer(r, n), True)
    for other in {n + 1, n - 1, -n, 10 * n, n + 10 ** r.randint(0, 5)} - {n}:
        yield Pair("integer", gold, integer(r, other), False)
    yield Pair("integer", gold, f"{n}.5", False)
    no_integers = [f"{n}, {n + 1}", f"{n} or {n + 1}", rf"{n}x", rf"{n}\pi", f"({n}, {n})", "", f"{n - 1} + 1"]
    yield Pair("integer", gold, r.choice(no_integers), False)


def decimals(r: random.Random) -> Iterator[Pair]:
    value = Fraction(r.choice([-1, 1, 1]) * r.randint(1, 10 ** r.randint(2, 7)), 10 ** r.randint(1, 4))
    if value.denominator == 1:
        value += Fraction(1, 10)
    gold = f"{float(value):.4f}".rstrip("0")
    yield Pair("decimal", gold, decimal(r, value), True)
    for other in (value + Fraction(1, 10**4), -value, value * 10, Fraction(round(value))):
        yield Pair("decimal", gold, decimal(r, other), False)


def fractions(r: random.Random) -> Iterator[Pair]:
    value = Fraction(r.choice([-1, 1, 1]) * r.randint(1, 90), r.randint(2, 60))
    gold = (
        rf"\frac{{{value.numerator}}}{{{value.denominator}}}"
        if value > 0 or r.random() < 0.5
        else (rf"-\frac{{{-value.numerator}}}{{{value.denominator}}}")
    )
    yield Pair("fraction", gold, fraction(r, value), True)
    for other in {value + 1, -value, 1 / value, value + Fraction(1, value.denominator)} - {value}:
        yield Pair("fraction", gold, fraction(r, other), False)
    third = Fraction(r.randint(1, 40) * 3 + r.choice([1, 2]), r.choice([3, 9, 11, 7, 21, 33]))
    if third.denominator not in (1, 2, 5):
        exact = rf"\frac{{{third.numerator}}}{{{third.denominator}}}"
        yield Pair("fraction", exact, near(third, r.randint(1, 9)), False)
        yield Pair("fraction", near(third, r.randint(2, 6)), f"{third.numerator}/{third.denominator}", False)


def percents(r: random.Random) -> Iterator[Pair]:
    n, m = r.sample(range(1, 200), 2)
    ways = [lambda v: rf"{v}\%", lambda v: f"{v}%", lambda v: f"{v} percent", lambda v: rf"{v} \text{{ percent}}", str]
    gold = r.choice([rf"{n}\%", f"{n}%"])
    yield Pair("percent", gold, r.choice(ways)(n), True)
    yield Pair("percent", gold, r.choice(ways)(m), False)
    yield Pair("percent", str(n), r.choice(ways)(n), True)
    yield Pair("percent", str(n), r.choice(ways)(m), False)


def letters(r: random.Random) -> Iterator[Pair]:
    ways: list[Callable[[str], str]] = [
        str, lambda c: f"({c})", lambda c: f"{c}.", lambda c: f"{c})", lambda c: rf"\text{{{c}}}",
        lambda c: rf"\text{{({c})}}",
        lambda c: f"**{c}**", lambda c: f"Option {c}", lambda c: rf"\textbf{{({c})}}", lambda c: rf"\mathrm{{{c}}}",
        lambda c: rf"\textbf{{({c})}} 12",
    ]  # fmt: skip
    right, wrong = r.sample("ABCDE", 2)
    gold = r.choice([right, f"({right})", rf"\text{{({right})}}"])
    yield Pair("letter", gold, r.choice(ways)(right), True)
    yield Pair("letter", gold, r.choice(ways)(wrong), False)
    yield Pair(
        "letter", gold, r.choice([f"{right} or {wrong}", f"{right}, {wrong}", f"{right}{wrong}", "ABCDE"]), False
    )


def scalar(r: random.Random, value: Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else fraction(r, value).strip("$.").removeprefix("x = ")


def values(r: random.Random, n: int) -> list[Fraction]:
    found: list[Fraction] = []
    while len(found) < n:
        value = Fraction(r.randint(-30, 30), r.choice([1, 1, 1, 2, 3, 5, 7]))
        if value not in found:
            found.append(value)
    return found


def tuples(r: random.Random) -> Iterator[Pair]:
    items = values(r, r.randint(2, 4))

    def write(v: list[Fraction]) -> str:
        brackets = r.choice(["({})", r"\left({}\right)", r"\left( {} \right)", "$({})$"])
        return brackets.replace("{}", r.choice([", ", ",", r",\,"]).join(scalar(r, x) for x in v))

    gold = write(items)
    yield Pair("tuple", gold, write(items), True)
    swapped = [items[1], items[0], *items[2:]]
    for other in (swapped, [items[0] + 1, *items[1:]], [*items, Fraction(1)], items[:-1] or [Fraction(0)]):
        yield Pair("tuple", gold, write(other), False)
    yield Pair("tuple", gold, "[" + ", ".join(scalar(r, x) for x in items) + "]", False)


def intervals(r: random.Random) -> Iterator[Pair]:
    low, high = sorted(values(r, 2))
    opening, closing = r.choice("(["), r.choice("])")

    def write(o: str, a: str, b: str, c: str) -> str:
        return r.choice([f"{o}{a}, {b}{c}", rf"\left{o}{a}, {b}\right{c}", rf"x \in {o}{a},{b}{c}"])

    lt, le = "<", r.choice([r"\le", r"\leq", "≤", "<="])
    a, b = scalar(r, low), scalar(r, high)
    gold = write(opening, a, b, closing)
    said = f"{a} {lt if opening == '(' else le} x {lt if closing == ')' else le} {b}"
    yield Pair("interval", gold, r.choice([write(opening, scalar(r, low), scalar(r, high), closing), said]), True)
    flip = {"(": "[", "[": "(", ")": "]", "]": ")"}
    yield Pair("interval", gold, write(flip[opening], a, b, closing), False)
    yield Pair("interval", gold, write(opening, a, b, flip[closing]), False)
    yield Pair("interval", gold, write(opening, a, scalar(r, high + 1), closing), False)
    yield Pair("interval", gold, f"{a} < x", False)
    sign = r.choice([">", r"\ge"])
    ray = rf"({b}, \infty)" if sign == ">" else rf"[{b}, \infty)"
    yield Pair("interval", ray, rf"x {sign} {b}", True)
    yield Pair("interval", ray, rf"x < {b}", False)
    two = rf"(-\infty, {a}) \cup ({b}, \infty)"
    yield Pair("interval", two, rf"({b}, \infty) \cup (-\infty, {a})", True)
    yield Pair("interval", two, rf"(-\infty, {a}] \cup ({b}, \infty)", False)


def sets(r: random.Random) -> Iterator[Pair]:
    items = values(r, r.randint(2, 5))

    def write(v: list[Fraction]) -> str:
        texts = [scalar(r, x) for x in r.sample(v, len(v))]
        comma = ", ".join(texts)
        ways = [comma, rf"\{{{comma}\}}", rf"\left\{{ {comma} \right\}}", ", ".join(texts[:-1]) + " and " + texts[-1]]
        return r.choice([*ways, ", ".join(f"x = {t}" for t in texts), r" \text{ or } ".join(texts)])

    gold = write(items)
    yield Pair("set", gold, write(items), True)
    yield Pair("set", gold, write([*items[1:], items[0] + 100]), False)
    yield Pair("set", gold, write([*items, Fraction(77)]), False)
    if len(items) > 2:
        yield Pair("set", gold, write(items[1:]), False)
    n, d = r.randint(1, 40), r.randint(1, 20)
    yield Pair("set", rf"{n} \pm {d}", rf"{n} - {d}, {n} + {d}", True)
    yield Pair("set", rf"\pm {d}", f"{d}, -{d}", True)
    yield Pair("set", rf"\pm {d}", f"{d}", False)


def angles(r: random.Random) -> Iterator[Pair]:
    value = Fraction(r.choice([-1, 1, 1]) * r.randint(1, 24), r.randint(1, 12))
    a, b, sign = abs(value.numerator), value.denominator, "-" if value < 0 else ""
    one = "" if a == 1 else str(a)
    ways = [rf"\frac{{{a}\pi}}{{{b}}}", rf"\frac{{{a}}}{{{b}}}\pi", rf"{a}\pi/{b}", rf"\frac{{{one}\pi}}{{{b}}}",
            f"{a}*pi/{b}",
            rf"\frac{{{2 * a}\pi}}{{{2 * b}}}", rf"\dfrac{{\pi \cdot {a}}}{{{b}}}"]  # fmt: skip
    gold = sign + ways[3]
    yield Pair("pi", gold, sign + r.choice(ways), True)
    yield Pair("pi", gold, rf"{sign}\frac{{{a + 1}\pi}}{{{b}}}", False)
    yield Pair("pi", gold, sign + f"{a / b * 3.14159265358979:.{r.randint(2, 12)}f}", False)
    yield Pair("pi", gold, r.choice([f"{sign}{a}/{b}", rf"{sign}\frac{{{a}\pi^2}}{{{b}}}"]), False)
    if (180 * value).denominator == 1:
        degrees = int(180 * value)
        yield Pair("pi", gold, rf"{degrees}^\circ", True)
        yield Pair("pi", rf"{degrees}^\circ", r.choice([f"{degrees}", f"{degrees}°", f"{degrees} degrees", gold]), True)
        yield Pair("pi", rf"{degrees}^\circ", rf"{degrees + 1}^\circ", False)


def radicals(r: random.Random) -> Iterator[Pair]:
    a, b, c = r.randint(2, 12), r.choice([2, 3, 5, 6, 7, 10, 11, 13]), r.randint(1, 20)
    gold = rf"{a}\sqrt{{{b}}}"
    ways = [rf"\sqrt{{{a * a * b}}}", f"{a}*sqrt({b})", rf"\sqrt{{{b}}} \cdot {a}", f"{a}√{b}"]
    wrong = [rf"\sqrt{{{a * a * b + 1}}}", rf"{a + 1}\sqrt{{{b}}}", f"{a * b**0.5:.6f}"]
    yield Pair("radical", gold, r.choice(ways), True)
    yield Pair("radical", gold, r.choice(wrong), False)
    yield Pair("radical", rf"\frac{{{c}\sqrt{{{b}}}}}{{{b}}}", rf"\frac{{{c}}}{{\sqrt{{{b}}}}}", True)
    yield Pair("radical", rf"\frac{{{c}\sqrt{{{b}}}}}{{{b}}}", rf"\frac{{{c}}}{{{b}\sqrt{{{b}}}}}", False)
    gold = rf"{c} + {a}\sqrt{{{b}}}"
    yield Pair("radical", gold, rf"{a}\sqrt{{{b}}} + {c}", True)
    yield Pair("radical", gold, rf"{c} - {a}\sqrt{{{b}}}", False)


def complexes(r: random.Random) -> Iterator[Pair]:
    a, b = r.randint(-20, 20), r.randint(2, 20)
    gold = f"{a} + {b}i"
    ways = [f"{a}+{b}i", f"{b}i + {a}" if a >= 0 else f"{b}i - {-a}", rf"{a} + {b} \cdot i"]
    yield Pair("complex", gold, r.choice(ways), True)
    yield Pair("complex", gold, r.choice([f"{a} - {b}i", f"{a} + {b + 1}i", f"{a}", f"{a + b}"]), False)


def polynomial(coefficients: list[int], order: list[int], x: str = "x") -> str:
    """The terms of these powers (``coefficients[p]`` is that of x^p), in this order."""
    terms = [
        f"{'-' if c < 0 else '+'} {'' if abs(c) == 1 and p else abs(c)}{'' if p == 0 else x if p == 1 else f'{x}^{p}'}"
        for p in order
        if (c := coefficients[p])
    ]
    return " ".join(terms).removeprefix("+ ").replace("- ", "-", 1) if terms else "0"


def polynomials(r: random.Random) -> Iterator[Pair]:
    x = r.choice("xytnR")
    s, t, k = r.randint(1, 9), r.randint(-9, -1), r.randint(1, 5)
    coefficients = [k * s * t, -k * (s + t), k]  # k (x - s)(x - t)
    gold = polynomial(coefficients, [2, 1, 0], x)
    factored = f"{k}({x} - {s})({x} + {-t})" if k > 1 else f"({x} - {s})({x} + {-t})"
    yield Pair("polynomial", gold, r.choice([factored, polynomial(coefficients, [0, 2, 1], x)]), True)
    other = [coefficients[0] + 1, *coefficients[1:]]
    yield Pair("polynomial", gold, r.choice([polynomial(other, [2, 1, 0], x), f"({x} + {s})({x} + {-t})"]), False)
    yield Pair("polynomial", gold, polynomial(coefficients, [2, 1, 0], "u"), False)
    yield Pair("polynomial", gold, polynomial(coefficients, [2, 1, 0], x.swapcase()), False)
    yield Pair("polynomial", gold, str(sum(coefficients)), False)


def equations(r: random.Random) -> Iterator[Pair]:
    m, b = r.randint(2, 12), r.randint(1, 20)
    gold = f"y = {m}x + {b}"
    ways = [f"y={m}x+{b}", f"{m}x + {b}", f"y = {b} + {m}x", f"{m}x - y + {b} = 0", f"{2 * m}x - 2y = -{2 * b}"]
    yield Pair("equation", gold, r.choice(ways), True)
    wrong = [f"y={m}x-{b}", f"{m}x + {b + 1}", f"x = {m}y + {b}", f"{m}x + y + {b} = 0", f"{m}x + {b} = 0", str(b)]
    yield Pair("equation", gold, r.choice(wrong), False)
    n = r.randint(1, 99)
    yield Pair("equation", f"x={n}", r.choice([str(n), f"x = {n}", f"$x = {n}$"]), True)
    yield Pair("equation", f"x={n}", r.choice([f"y={n}", f"x={n + 1}", str(n + 1), f"x^2={n}", f"x>{n}"]), False)


WORDS = ["Evelyn", "east", "west", "north", "ellipse", "circle", "even", "odd", "Navin", "Tuesday", "yes", "no", "on",
         "listen", "silent", "seat", "hyperbola", "true", "false", "red", "none of these"]  # fmt: skip


def words(r: random.Random) -> Iterator[Pair]:
    right, wrong = r.sample(WORDS, 2)
    ways: list[Callable[[str], str]] = [
        str, str.upper, str.capitalize, lambda w: rf"\text{{{w}}}", lambda w: rf"\textbf{{{w}}}", lambda w: f"{w}.",
        lambda w: rf"\mathrm{{{w}}}", lambda w: f"**{w}**", lambda w: rf"\text{{ {w} }}",
    ]  # fmt: skip
    gold = r.choice([right, rf"\text{{{right}}}"])
    yield Pair("word", gold, r.choice(ways)(right), True)
    yield Pair("word", gold, r.choice(ways)(wrong), False)
    yield Pair("word", gold, rf"\text{{not {right}}}", False)


def matrices(r: random.Random) -> Iterator[Pair]:
    rows, columns = r.choice([(2, 1), (3, 1), (2, 2), (2, 3)])
    cells = [[Fraction(r.randint(-20, 20), r.choice([1, 1, 3, 5])) for _ in range(columns)] for _ in range(rows)]

    def write(m: list[list[Fraction]], short: bool = False) -> str:
        kind = r.choice("pb")
        cell = str if short else lambda v: scalar(r, v)
        body = r" \\ ".join(" & ".join(map(cell, row)) for row in m)
        return rf"\begin{{{kind}matrix}} {body} \end{{{kind}matrix}}"

    gold = write(cells, short=True)
    yield Pair("matrix", gold, write(cells), True)
    yield Pair("matrix", gold, write([[cells[0][0] + 1, *cells[0][1:]], *cells[1:]]), False)
    flipped = [list(column) for column in zip(*cells, strict=True)]
    if flipped != cells:
        yield Pair("matrix", gold, write(flipped), False)


def bases(r: random.Random) -> Iterator[Pair]:
    digits, base = "".join(r.choices("1234", k=r.randint(2, 4))), r.randint(5, 9)
    gold = r.choice([f"{digits}_{base}", f"{digits}_{{{base}}}"])
    yield Pair("base", gold, r.choice([f"{digits}_{base}", f"{digits}_{{{base}}}", f"${digits}_{{{base}}}$"]), True)
    yield Pair("base", gold, r.choice([f"{digits}_{base - 1}", f"{digits}1_{base}", f"{digits[::-1]}0_{base}"]), False)
    yield Pair("base", gold, f"{int(digits, base)}", False)


KINDS = (integers, decimals, fractions, percents, letters, tuples, intervals, sets, angles, radicals, complexes,
         polynomials,
         equations, words, matrices, bases)  # fmt: skip
SLOW = {angles, radicals, complexes, polynomials, equations}


def pairs(seed: int) -> list[Pair]:
    r = random.Random(seed)
    return [pair for kind in KINDS for _ in range(EACH // (2 if kind in SLOW else 1) // 2) for pair in kind(r)]


def response(r: random.Random, answer: str) -> str:
    """A response that gives ``answer``, with other numbers and an earlier guess before it."""
    thought = f"First I get {r.randint(1, 99)}, perhaps \\boxed{{{r.randint(100, 999)}}}, but that is wrong.\n"
    box = rf"\boxed{{{answer}}}"
    return r.choice(["", thought]) + r.choice([f"So the answer is ${box}$.", box, rf"\[ {box} \]"])
