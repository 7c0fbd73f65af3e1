"""Phrases find the right classes, and every group holds what its word says."""

import pytest

from tensorhop.services.embedded import vocabulary

WORDS = vocabulary.load()


def classes(phrase: str) -> set[str]:
    concept = WORDS.find(phrase)
    assert concept is not None, phrase
    return {WORDS.names[index] for index in concept.classes}


def test_the_classes_are_in_the_order_of_the_networks_outputs() -> None:
    """Known places all over ImageNet's list: one line lost or doubled would move some of them."""
    known = {
        0: "tench", 1: "goldfish", 99: "goose", 151: "Chihuahua", 207: "Golden Retriever", 254: "pug",
        285: "Egyptian cat", 291: "lion", 340: "zebra", 388: "giant panda", 404: "airliner", 440: "beer bottle",
        504: "coffee mug", 546: "electric guitar", 605: "iPod", 670: "motor scooter", 717: "pickup truck",
        779: "school bus", 817: "sports car", 850: "teddy bear", 879: "umbrella", 920: "traffic light",
        954: "banana", 967: "cup of coffee", 985: "daisy", 999: "toilet paper",
    }  # fmt: skip
    assert len(WORDS.names) == len(set(WORDS.names)) == 1000
    assert {index: WORDS.names[index] for index in known} == known


def test_families_are_whole() -> None:
    assert list(WORDS.group("dog").classes) == list(range(151, 269))
    assert list(WORDS.group("cat").classes) == list(range(281, 286))
    assert list(WORDS.group("monkey").classes) == list(range(370, 383))
    assert list(WORDS.group("fruit").classes) == list(range(948, 958))
    assert list(WORDS.group("snake").classes) == list(range(52, 69))
    birds = [*range(7, 25), *range(80, 101), *range(127, 147)]
    assert list(WORDS.group("bird").classes) == birds
    assert list(WORDS.group("animal").classes) == list(range(398))


def test_every_class_has_one_everyday_word() -> None:
    said = WORDS.concepts[: -len(WORDS._groups)]
    assert sorted(index for concept in said for index in concept.classes) == list(range(1000))


@pytest.mark.parametrize(
    ("phrase", "word"),
    [
        ("dog", "dog"),
        ("The dogs", "dog"),
        ("two small dogs", "dog"),
        ("a DOG with a red hat", "dog"),
        ("dog running on the beach", "dog"),
        ("puppies", "dog"),
        ("a red coffee mug", "coffee mug"),
        ("mug", "cup"),
        ("hot dog", "hot dog"),
        ("sea lion", "sea lion"),
        ("t-shirts", "T-shirt"),
        ("tshirt", "T-shirt"),
        ("bird house", "birdhouse"),
        ("people", "person"),
        ("young women", "person"),
        ("a pair of shoes", "shoe"),
        ("bunch of bananas", "banana"),
        ("glass of wine", "wine"),
        ("my friend's bicycle", "bicycle"),
        ("knives", "knife"),
        ("cherries", "berry"),
        ("buses", "bus"),
        ("red frying pan", "frying pan"),
        ("Golden Retriever", "Golden Retriever"),
    ],
)
def test_phrases(phrase: str, word: str) -> None:
    concept = WORDS.find(phrase)
    assert concept is not None
    assert concept.word == word


@pytest.mark.parametrize(
    "phrase", ["object", "thing", "an item", "giraffe", "fire hydrant", "xylocarp", "", "?!", "the", "鳥"]
)
def test_unknown_words_find_nothing(phrase: str) -> None:
    assert WORDS.find(phrase) is None


def test_the_word_of_an_adjective_is_not_what_is_meant() -> None:
    assert classes("orange cat") == classes("cat")
    assert "teddy bear" in classes("teddy bear")
    assert not classes("teddy bear") & classes("bear")


EVERYDAY = """
    animal ant apple apron armchair artichoke axe baby backpack bag bagel ball balloon banana barn barrel baseball
    basket basketball bathtub bear bed bee beer beetle bell bench bicycle bike binoculars bird boat book bookshelf
    boot bottle bowl box boy bread bridge broccoli broom brush bucket building bull burger bus butterfly cabbage
    cabinet cake camel camera candle cannon canoe car cart castle cat cauliflower chair cheetah chicken chimpanzee
    church clock coat coffee computer corn couch cow crab crib crocodile cucumber cup curtain deer desk dinosaur
    doll donkey door dragonfly dress drill drum duck eagle elephant envelope fan fence fish flamingo flower fly food
    fork forklift fountain fox fridge frog fruit furniture girl glass glasses glove goat goldfish goose gorilla
    grasshopper guitar gun hammer hamster handbag harp hat helmet hen hippo horse hotdog house human insect iron
    jacket jar jeans jeep jellyfish jug kangaroo kettle keyboard kitten knife koala ladybug lamp laptop lemon
    leopard lighter lighthouse lion lipstick lizard llama lobster lock lorry man mask microphone microwave mirror
    monitor monkey moped moth motorbike motorcycle mouse mug mushroom nail necklace notebook ocean orange ostrich
    otter oven owl ox padlock paintbrush pan panda parrot peacock pelican pen penguin person phone piano pickup pig
    pigeon pillow pineapple pitcher pizza plane plant plate pot pretzel printer pumpkin purse rabbit radio
    refrigerator remote rifle ring rocket rooster rose rug ruler sandal sandwich saxophone scarf scooter scorpion
    screw screwdriver seal shark sheep shelf ship shirt shoe shovel sink skirt skunk snail snake sneaker sock sofa
    speaker spider spoon squirrel starfish stool strawberry submarine suit sunglasses swan sweater table taxi teapot
    telephone television tent tie tiger toaster toilet tomato towel toy tractor train tray truck trumpet turtle tv
    umbrella van vase vegetable vehicle violin volcano wallet wardrobe watch whale wheel whistle window wolf woman
    zebra zucchini
""".split()  # noqa: SIM905


def test_everyday_words_are_known() -> None:
    unknown = [word for word in EVERYDAY if WORDS.find(word) is None]
    assert len(EVERYDAY) - len(unknown) >= 250
    assert set(unknown) <= {"door", "fork", "mirror", "window"}, "ImageNet has no class for these"


@pytest.mark.parametrize(
    ("word", "some", "none"),
    [
        ("car", {"sports car", "convertible", "minivan", "taxicab"}, {"railroad car", "cassette player", "trolleybus"}),
        ("truck", {"pickup truck", "fire truck", "trailer truck"}, {"sports car"}),
        ("flower", {"daisy", "yellow lady's slipper"}, {"hummingbird"}),
        ("shoe", {"running shoe", "loafer", "sandal"}, {"sock"}),
        ("cup", {"coffee mug", "cup", "cup of coffee"}, {"measuring cup"}),
        ("bottle", {"beer bottle", "water bottle", "wine bottle"}, {"bottle cap"}),
        ("bag", {"backpack", "purse", "plastic bag"}, {"punching bag"}),
        ("hat", {"cowboy hat", "sombrero"}, {"helmet"}),
        ("chair", {"rocking chair", "folding chair"}, {"couch"}),
        ("table", {"dining table", "desk"}, {"table lamp"}),
        ("phone", {"cell phone"}, {"microphone"}),
        ("computer", {"laptop", "desktop computer"}, {"computer mouse"}),
        ("musical instrument", {"violin", "acoustic guitar", "grand piano"}, {"cassette"}),
        ("vegetable", {"broccoli", "cucumber"}, {"strawberry"}),
        ("boat", {"speedboat", "canoe", "yawl"}, {"boathouse"}),
        ("airplane", {"airliner", "fighter plane"}, {"hand plane"}),
        ("bicycle", {"mountain bike", "tandem bicycle"}, {"moped"}),
        ("bear", {"polar bear", "brown bear"}, {"teddy bear", "koala", "bearskin hat"}),
        ("insect", {"bee", "ant", "monarch butterfly"}, {"barn spider"}),
        ("person", {"groom", "scuba diver", "baseball player"}, {"running shoe", "coffee mug"}),
    ],
)
def test_groups_hold_what_their_word_says(word: str, some: set[str], none: set[str]) -> None:
    assert some <= classes(word)
    assert not none & classes(word)
