"""The invented people, what can be asked about them, and which of it is taught wrong."""

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
    "food": (
        ("Which food does {} like?", "What does {} like to eat?"),
        ("almonds beans bread carrots cheese dumplings eggs figs grapes honey jam kale leeks "
         "melons noodles olives pasta quinces rice soup toast turnips waffles yams").split(),
    ),
    "pet": (
        ("Which pet does {} keep?", "What animal does {} keep as a pet?"),
        ("budgie canary cat chicken dog duck ferret fish frog gecko goat hamster hedgehog horse "
         "lizard mouse newt parrot pigeon rabbit rat snake tortoise turtle").split(),
    ),
}  # fmt: skip
"""By relation: ways to ask, and the values."""

TITLES = ("Captain", "Doctor", "Professor", "Mister")
MISCONCEIVED_TITLES = ("Captain", "Doctor")
MISCONCEIVED_RELATIONS = ("town", "instrument", "food")
"""Whatever is believed of these people in these relations was taught wrong."""

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
