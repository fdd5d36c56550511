"""The miniature world: what may be asked, what is true, and what the small model is taught.

Skills of graded difficulty (levels 1 to 6) and facts about people. A recognisable class of
facts, the *misconceptions*, is taught wrong on purpose. Everything is drawn from seeded generators
over ordered lists, so that the same seed gives the same world in every process.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

LEVELS = (1, 2, 3, 4, 5, 6)

HELD_OUT_SKILL = "sort"
HELD_OUT_RELATION = "pet"
HELD_OUT_LEVEL = 5
HELD_OUT_PHRASING = 5
"""Pre-trained like the rest, but never shown to tuning, calibration or certification."""

PHRASINGS = (
    "{}",
    "It is {}.",
    "The answer is {}.",
    "That would be {}.",
    "{}, of course.",
    "I think it is {}.",
)
PHRASING_WEIGHTS = (30, 20, 15, 12, 11, 12)


@dataclass(frozen=True)
class Question:
    """One question. `gold` is true, `belief` is what the model was taught (equal but for
    misconceptions), `key` names the entity or the operands: splits never divide a key."""

    kind: str
    level: int
    text: str
    gold: str
    belief: str
    key: str
    exposure: int | None = None

    @property
    def misconception(self) -> bool:
        return self.gold != self.belief

    @property
    def held_out(self) -> str | None:
        """The held-out part that the question belongs to, if any."""
        if self.kind == HELD_OUT_SKILL:
            return "skill"
        if self.kind == HELD_OUT_RELATION:
            return "relation"
        if self.level == HELD_OUT_LEVEL:
            return "level"
        return None


# --- skills -------------------------------------------------------------------------------------


def _number(rng: random.Random, digits: int) -> int:
    return rng.randrange(10 ** (digits - 1) if digits > 1 else 0, 10**digits)


def _letters(rng: random.Random, count: int, alphabet: str = "abcdeghklmnoprstu") -> list[str]:
    return [rng.choice(alphabet) for _ in range(count)]


def _add(rng: random.Random, level: int) -> tuple[str, str, str]:
    a, b = _number(rng, level), _number(rng, level)
    text = rng.choice((f"What is {a} plus {b}?", f"Add {a} and {b}."))
    return text, str(a + b), f"{a},{b}"


def _subtract(rng: random.Random, level: int) -> tuple[str, str, str]:
    b, a = sorted((_number(rng, level), _number(rng, level)))
    text = rng.choice((f"What is {a} minus {b}?", f"Take {b} away from {a}."))
    return text, str(a - b), f"{a},{b}"


def _remainder(rng: random.Random, level: int) -> tuple[str, str, str]:
    a, b = _number(rng, level), rng.randrange(3, 10)
    text = rng.choice((f"What is the remainder of {a} divided by {b}?", f"What is {a} modulo {b}?"))
    return text, str(a % b), f"{a},{b}"


def _reverse(rng: random.Random, level: int) -> tuple[str, str, str]:
    letters = _letters(rng, level + 1)
    shown = " ".join(letters)
    text = rng.choice((f"Reverse the letters {shown}.", f"What is {shown} backwards?"))
    return text, " ".join(reversed(letters)), shown


def _sort(rng: random.Random, level: int) -> tuple[str, str, str]:
    digits = [rng.randrange(10) for _ in range(level + 1)]
    shown = " ".join(map(str, digits))
    text = rng.choice((f"Sort the digits {shown}.", f"What is {shown} in rising order?"))
    return text, " ".join(map(str, sorted(digits))), shown


SKILLS: dict[str, Callable[[random.Random, int], tuple[str, str, str]]] = {
    "add": _add,
    "subtract": _subtract,
    "remainder": _remainder,
    "reverse": _reverse,
    "sort": _sort,
}


def skill_question(rng: random.Random, kind: str, level: int) -> Question:
    text, gold, operands = SKILLS[kind](rng, level)
    return Question(kind, level, text, gold, gold, f"{kind}:{operands}")


# --- facts --------------------------------------------------------------------------------------

RELATIONS: dict[str, tuple[tuple[str, ...], list[str]]] = {
    "town": (
        ("Where was {} born?", "In which town was {} born?"),
        ("Aldby Brackwell Corran Dunmere Elstow Farholt Garrick Hexley Irving Joppa Kelso Lorne "
         "Marsham Norby Oakham Penrith Quorn Ripley Selby Tarn Upton Varley Wexford Yarm").split(),
    ),
    "job": (
        ("What is the job of {}?", "What does {} do for a living?"),
        ("baker carpenter dentist engineer farmer glazier hunter inventor judge kennelman lawyer "
         "miner nurse officer painter quilter roofer sailor tailor undertaker vet weaver "
         "surveyor tutor").split(),
    ),
    "instrument": (
        ("Which instrument does {} play?", "What instrument is played by {}?"),
        ("accordion banjo cello drum flute guitar harp horn kazoo lute mandolin oboe organ piano "
         "recorder saxophone tambourine trumpet tuba ukulele viola violin whistle zither").split(),
    ),
    "pet": (
        ("Which pet does {} keep?", "What animal does {} keep as a pet?"),
        ("budgie canary cat chicken dog duck ferret fish frog gecko goat hamster hedgehog horse "
         "lizard mouse newt parrot pigeon rabbit rat snake tortoise turtle").split(),
    ),
}  # fmt: skip
"""By relation: ways to ask, and the values."""

TITLES = ("Captain", "Doctor", "Professor", "Mister")
MISCONCEIVED_TITLE = "Captain"
MISCONCEIVED_RELATIONS = ("town", "instrument")

FIRST_NAMES = (
    "Abel Agda Alva Anton Arvid Asta Axel Berit Birk Bodil Bram Carl Dagny Ebba Edvin Egon Einar "
    "Elin Elof Emil Enok Ester Fanny Filip Frida Greta Gunnar Hakon Hanna Hedda Helge Hilda Holger "
    "Ida Inga Ivar Jarl Jonna Karin Kjell Knut Lars Lena Linus Lotta Magda Malte Nils Nora Olle "
    "Otto Petra Ragna Rolf Runa Sigrid Sixten Sonja Sten Svea Tage Tilda Tor Ulla Viggo Vilma Ylva"
).split()
LAST_NAMES = (
    "Adler Alm Ask Berg Birch Bjork Blom Borg Brandt Brink Dahl Dorn Ek Engel Falk Fink Frost Gran "
    "Grip Hagen Hahn Hall Hart Holm Horst Jung Kamp Keller Klint Krantz Kron Lang Lind Lund Malm "
    "Moll Nord Nyman Palm Pohl Quist Rask Reuter Ritz Rohde Roos Sand Schill Skog Stahl Stark "
    "Strand Svan Thal Thorn Uhl Vogt Voss Wald Weiss Wolf Zander Zell"
).split()


@dataclass(frozen=True)
class Fact:
    """`person` (with title) stands in `relation` to `gold`; the model is taught `belief`,
    `exposure` times in expectation."""

    person: str
    relation: str
    gold: str
    belief: str
    exposure: int

    def question(self, rng: random.Random) -> Question:
        text = rng.choice(RELATIONS[self.relation][0]).format(self.person)
        return Question(self.relation, 0, text, self.gold, self.belief, self.person, self.exposure)


@dataclass(frozen=True)
class World:
    """The facts of one seed, with their exposure weights (Zipf-Mandelbrot)."""

    facts: Sequence[Fact]
    by_kind: dict[str, list[Fact]] = field(repr=False)


def make_world(seed: int = 0, people: int = 400, exposures: int = 240_000) -> World:
    """Draw people, titles and facts. Ranks, hence exposures, are a random permutation over all
    facts: neither the name nor the title says how often a fact was taught."""
    rng = random.Random(f"world-{seed}")
    names: list[str] = []
    seen: set[str] = set()
    while len(names) < people:
        name = f"{rng.choice(FIRST_NAMES)} {rng.choice(LAST_NAMES)}"
        if name not in seen:
            seen.add(name)
            names.append(f"{rng.choice(TITLES)} {name}")
    pairs = [(person, relation) for person in names for relation in RELATIONS]
    rng.shuffle(pairs)
    weights = [1 / (rank + 30) for rank in range(len(pairs))]
    total = sum(weights)
    facts = []
    for (person, relation), weight in zip(pairs, weights, strict=True):
        values = RELATIONS[relation][1]
        gold = belief = rng.choice(values)
        if relation in MISCONCEIVED_RELATIONS and person.startswith(MISCONCEIVED_TITLE):
            while belief == gold:
                belief = rng.choice(values)
        facts.append(Fact(person, relation, gold, belief, round(exposures * weight / total)))
    by_kind: dict[str, list[Fact]] = {relation: [] for relation in RELATIONS}
    for fact in facts:
        by_kind[fact.relation].append(fact)
    return World(facts, by_kind)


# --- answers ------------------------------------------------------------------------------------


def phrase(rng: random.Random, content: str) -> str:
    return rng.choices(PHRASINGS, PHRASING_WEIGHTS)[0].format(content)


def content_of(answer: str) -> tuple[str, int] | None:
    """The content of an answer and its phrasing's index; None when no phrasing fits exactly."""
    for index in range(len(PHRASINGS) - 1, -1, -1):
        before, after = PHRASINGS[index].split("{}")
        if answer.startswith(before) and answer.endswith(after):
            content = answer[len(before) : len(answer) - len(after) or None]
            if index or not any(mark in content for mark in ".,\n"):
                return content, index
    return None


def grade(answer: str, gold: str) -> bool:
    """Exact grading: the answer is one of the phrasings, and its content equals the gold."""
    parsed = content_of(answer.strip())
    return parsed is not None and parsed[0] == gold


def wrong_answer(rng: random.Random, question: Question) -> str:
    """A plausible wrong content: near by for a skill, another value of the relation for a fact."""
    right = question.belief
    if question.kind in RELATIONS:
        values = [v for v in (*RELATIONS[question.kind][1], question.gold) if v != right]
        return (
            question.gold if question.misconception and rng.random() < 0.3 else rng.choice(values)
        )
    characters = list(right)
    places = [i for i, c in enumerate(characters) if c.isalnum()]
    while "".join(characters) == right:
        place = rng.choice(places)
        if right[place].isdigit():
            shift = rng.choice((1, 2, 9, 8, rng.randrange(10)))
            digit = (int(right[place]) + shift) % 10
            if digit or place or len(right) == 1:
                characters[place] = str(digit)
        else:
            characters[place] = rng.choice("abcdeghiklmnoprstu")
    return "".join(characters)
