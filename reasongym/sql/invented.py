"""Domains of made-up words: what is learned on them must be read, for there is nothing to remember."""

from __future__ import annotations

import numpy as np

from reasongym.sql.domains import Attribute, Domain, Entity

INVENTED = "invented"  # the name by which tasks ask for them
_SYLLABLES = (  # that make no word of SQL
    "ac am ap ba bel ber bi bo bra bri ca cal cap cer chi clo co col con cul da den dor dra du ek el em ex ez fa fer "
    "fi fla fro gen glo go gra gri ha han hel ho hor ig im ja ka ken ki la lan len lin lis lo loc lu lus ma man mar "
    "men mi mo mon na nat nel ni nic nor ob oc og om op ox pa par pen per pi ple po pos pra pro pub pul qua qui ra "
    "ran rea rem ri ris ron sa sel sen ser ses ship sil sis sky so spo sta stu sub sur ta tan ten ti tic tor tra tri "
    "tu tur tus ty uf ug ul um un und ur us va vel vi vil vis vol wa wal war wel wen wil yan ys za zen"
).split()


def invent(rng: np.random.Generator) -> Domain:
    """Two tables with a category and one to three numbers each, pure in ``rng``."""
    words = _Words(rng)
    return Domain(words.entity(), words.entity())


class _Words:
    """Made-up words, none twice."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng, self.given = rng, set[str]()

    def word(self, shortest: int = 3) -> str:
        while True:
            made = "".join(self._syllable() for _ in range(int(self.rng.integers(1, 5))))
            if len(made) >= shortest and made not in self.given:
                self.given.add(made)
                return made

    def several(self, n: int) -> tuple[str, ...]:
        return tuple(self.word().title() for _ in range(n))

    def entity(self) -> Entity:
        one, numbers = self.word(), int(self.rng.integers(1, 4))
        attributes = [self.category(), *(self.number() for _ in range(numbers))]
        return Entity(one, f"{one}s", tuple(attributes), self.several(8), self.several(8))

    def category(self) -> Attribute:
        values = tuple(self.word(1) for _ in range(int(self.rng.integers(3, 7))))
        upper = self.rng.random() < 0.5
        return Attribute(self.words(), "category", tuple(v.title() for v in values) if upper else values)

    def number(self) -> Attribute:
        kind = int(self.rng.integers(3))
        if kind == 0:
            return Attribute(f"{self.word()} year", "year", (), int(self.rng.integers(1800, 1960)), 2024)
        low = int(self.rng.integers(0, 100))
        high = low + 30 + int(10 ** self.rng.uniform(0, 4))
        return Attribute(self.words("number of "), "real" if kind == 1 else "integer", (), low, high)

    def words(self, before: str = "") -> str:
        """One word, two, or one after ``before``."""
        form = self.rng.random()
        if form < 0.2 and before:
            return before + self.word()
        return self.word() if form < 0.7 else f"{self.word()} {self.word()}"

    def _syllable(self) -> str:
        return _SYLLABLES[int(self.rng.integers(len(_SYLLABLES)))]
