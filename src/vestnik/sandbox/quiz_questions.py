"""The questions that the sandbox's quiz source has: made up for it, most of them clean, some of them as dirty as real
sources are, so that screening and moderators have work.

They stand as plain text; the source encodes them for the wire.
"""

from __future__ import annotations

from dataclasses import dataclass

CATEGORIES = {
    9: "General Knowledge",
    17: "Science & Nature",
    18: "Science: Computers",
    22: "Geography",
    23: "History",
}


@dataclass(frozen=True, slots=True)
class Asked:
    category: int
    difficulty: str
    text: str
    correct: str
    incorrect: tuple[str, ...]

    @property
    def type(self) -> str:
        return "boolean" if self.correct in ("True", "False") else "multiple"


def _clean() -> list[Asked]:
    return [
        Asked(9, "easy", "How many minutes are there in a quarter of an hour?", "15", ("20", "25", "30")),
        Asked(9, "easy", "Which colour do you get by mixing blue and yellow?", "Green", ("Purple", "Orange", "Brown")),
        Asked(9, "easy", "How many strings does a standard violin have?", "Four", ("Three", "Five", "Six")),
        Asked(9, "easy", "What is a baby sheep called?", "Lamb", ("Kid", "Calf", "Foal")),
        Asked(9, "easy", "A dozen is more than ten.", "True", ("False",)),
        Asked(9, "easy", "Which tool drives a nail into wood?", "Hammer", ("Chisel", "Plane", "Saw")),
        Asked(9, "easy", "How many sides does a hexagon have?", "Six", ("Five", "Seven", "Eight")),
        Asked(9, "easy", "Which of these is a citrus fruit?", "Lime", ("Plum", "Fig", "Quince")),
        Asked(9, "medium", "What does a sommelier advise on?", "Wine", ("Cheese", "Music", "Carpets")),
        Asked(9, "medium", "Which board game ends with a checkmate?", "Chess", ("Draughts", "Go", "Backgammon")),
        Asked(9, "medium", "How many cards of each suit are in a pack of 52?", "13", ("12", "14", "11")),
        Asked(9, "medium", "Origami is the art of folding paper.", "True", ("False",)),
        Asked(9, "medium", "What do you call a word that reads the same backwards?", "Palindrome",
              ("Anagram", "Acronym", "Homonym")),
        Asked(9, "hard", "How many pips are there on a whole standard die?", "21", ("18", "24", "20")),
        Asked(9, "hard", "Which letter stands left of “S” on a QWERTY keyboard?", "A", ("D", "W", "Z")),
        Asked(9, "hard", "What does a campanologist ring?", "Bells", ("Birds", "Trees", "Telephones")),
        Asked(17, "easy", "Which planet is known for its bright rings?", "Saturn", ("Mars", "Venus", "Mercury")),
        Asked(17, "easy", "What gas do plants take in to grow?", "Carbon dioxide", ("Helium", "Neon", "Argon")),
        Asked(17, "easy", "Spiders are insects.", "False", ("True",)),
        Asked(17, "easy", "How many legs does a crab have, its claws counted?", "Ten", ("Six", "Eight", "Twelve")),
        Asked(17, "medium", "Which metal is liquid at room temperature?", "Mercury", ("Tin", "Zinc", "Silver")),
        Asked(17, "medium", "Which unit is electrical resistance measured in?", "Ohm", ("Volt", "Watt", "Tesla")),
        Asked(17, "medium", "Which acid gives vinegar its taste?", "Acetic acid",
              ("Citric acid", "Lactic acid", "Formic acid")),
        Asked(17, "medium", "Sound travels faster in water than in air.", "True", ("False",)),
        Asked(17, "medium", "What is measured on the Beaufort scale?", "Wind", ("Earthquakes", "Hardness", "Spice")),
        Asked(17, "hard", "Which element has the symbol W?", "Tungsten", ("Bismuth", "Antimony", "Rhodium")),
        Asked(17, "hard", "How many chromosomes does a human body cell usually have?", "46", ("44", "48", "42")),
        Asked(18, "easy", "How many bits make up one byte?", "8", ("4", "10", "16")),
        Asked(18, "easy", "HTML is a markup language.", "True", ("False",)),
        Asked(18, "medium", "Which HTTP status says “Not Found”?", "404", ("301", "500", "418")),
        Asked(18, "medium", "Which port does HTTPS use when none is given?", "443", ("80", "22", "8080")),
        Asked(18, "medium", "What does the “A” in “ACID” stand for?", "Atomicity",
              ("Availability", "Accuracy", "Access")),
        Asked(18, "hard", "Which tag marks a list item in HTML?", "<li>", ("<ol>", "<ul>", "<dl>")),
        Asked(18, "hard", "How is 255 written in hexadecimal?", "FF", ("F0", "EE", "1F")),
        Asked(18, "hard", "In C, what is the value of -7 / 2?", "-3", ("-4", "3", "-3.5")),
        Asked(22, "easy", "On which continent is Kenya?", "Africa", ("Asia", "Europe", "South America")),
        Asked(22, "easy", "Iceland is an island.", "True", ("False",)),
        Asked(22, "easy", "Which river flows through Vienna?", "Danube", ("Rhine", "Elbe", "Oder")),
        Asked(22, "medium", "What is the capital of Estonia?", "Tallinn", ("Riga", "Vilnius", "Tartu")),
        Asked(22, "medium", "Which sea has no coast?", "Sargasso Sea", ("Black Sea", "Red Sea", "Caspian Sea")),
        Asked(22, "medium", "Which strait parts Spain from Morocco?", "Strait of Gibraltar",
              ("Bosporus", "Strait of Messina", "Kattegat")),
        Asked(22, "hard", "Which is the largest lake of Latvia?", "Lubāns", ("Rāzna", "Engure", "Burtnieks")),
        Asked(22, "hard", "Into which sea does the Ural river flow?", "Caspian Sea",
              ("Aral Sea", "Black Sea", "Kara Sea")),
        Asked(23, "easy", "Which ship struck an iceberg in April 1912?", "Titanic", ("Vasa", "Mary Rose", "Bounty")),
        Asked(23, "easy", "The Great Wall was built in China.", "True", ("False",)),
        Asked(23, "medium", "Which city was buried by Vesuvius in AD 79?", "Pompeii", ("Ostia", "Ravenna", "Capua")),
        Asked(23, "medium", "In which century did Gutenberg print his Bible?", "15th", ("13th", "14th", "17th")),
        Asked(23, "medium", "Who was the first human in space?", "Yuri Gagarin",
              ("Alan Shepard", "Gherman Titov", "John Glenn")),
        Asked(23, "hard", "Which city was called Byzantion before it was Constantinople?", "Istanbul",
              ("Izmir", "Edirne", "Sinop")),
    ]  # fmt: skip


def _dirty() -> list[Asked]:
    """What screening puts right or refuses; what is wrong stands behind it."""
    return [
        Asked(9, "easy", "How many minutes are there in a quarter of an hour", "15", ("20", "25", "40")),  # known
        Asked(17, "hard", "What is shown in this picture of a flower?", "A tulip",
              ("A rose", "A lily", "An iris")),  # no picture comes with it
        Asked(18, "easy", "What does   CPU\tstand for ?", "Central\u00a0processing unit ",
              ("Core power unit", "Central program utility", "Computer part unit")),  # spaces of all kinds
        Asked(23, "easy", "In whіch city stood the wall that fell in 1989?", "Berlin",
              ("Prague", "Warsaw", "Budapest")),  # one letter of "which" is Cyrillic
        Asked(23, "hard", "?!", "…", ("—", "-", "!")),  # nothing in it
    ]  # fmt: skip


def _doubtful() -> list[Asked]:
    """What waits for a moderator."""
    return [
        Asked(9, "easy", "Which of these is a musical instrument?", "All of the above",
              ("Oboe", "Viola", "Harp")),  # an option about options
        Asked(9, "medium", "Which fruit is a banana?", "A banana", ("A pear", "An apple", "A cherry")),  # tells it
        Asked(9, "medium", "Why?", "Because", ("So", "Thus", "Hence")),  # too short to be a question
        Asked(9, "hard", "Who is the current champion of the village fair?", "Nobody",
              ("Everybody", "The baker", "The miller")),  # true for how long?
        Asked(17, "easy", "Which animal says moo?", "Cow", ("Cat", "Cat", "Dog")),  # twice the same wrong option
        Asked(17, "medium", "What do bees make from nectar?", "Honey", ("honey", "Wax", "Milk")),  # right and wrong
        Asked(18, "medium", "Which of these is <b>not</b> an operating system?", "Kernighan",
              ("Haiku", "Plan 9", "Minix")),  # markup
        Asked(18, "hard", "Which symbol starts a comment in Python?", "#", ("", "//", "--")),  # an empty option
        Asked(22, "easy", "Which ocean lies between Europe and America?", "Atlantic",
              ("Pacific",)),  # too few options
        Asked(22, "medium", "Which city is known as CittÃ\u00a0 Eterna?", "Rome",
              ("Milan", "Turin", "Naples")),  # decoded with the wrong table
        Asked(22, "hard", "Which country has the most lakes" + ", counted one by one" * 20 + "?", "Canada",
              ("Finland", "Russia", "Sweden")),  # longer than anybody reads
    ]  # fmt: skip


#: Of these a source gives some at every turn, so that there is always something to decide.
DOUBTFUL = frozenset(_doubtful())
QUESTIONS: tuple[Asked, ...] = (*_clean(), *_dirty(), *_doubtful())
