"""Attacks with options, from a line or a file."""

from pathlib import Path

import pytest

from epslab.attacks import APGD, FGSM, PGD, RandomNoise, WorstCase, least_likely, margin
from epslab.audits import build_attacks, parse_attacks
from epslab.errors import UserError
from epslab.geometry import Linf

BALL = Linf(0.1)


def test_a_part_with_an_equals_sign_belongs_to_the_attack_before_it() -> None:
    assert build_attacks(parse_attacks("fgsm, pgd:steps=100,restarts=5 ,apgd"), BALL) == {
        "fgsm": FGSM(BALL),
        "pgd": PGD(BALL, 100, restarts=5),
        "apgd": APGD(BALL),
    }


def test_values_have_the_types_of_the_fields() -> None:
    text = "pgd:step-size=2/255,random_start=false,objective=margin,goal=least_likely,momentum=0.9"
    expected = PGD(BALL, step_size=2 / 255, random_start=False, objective=margin, goal=least_likely, momentum=0.9)
    assert build_attacks(parse_attacks(text), BALL) == {"pgd": expected}
    assert build_attacks(parse_attacks("pgd:step_size="), BALL) == {"pgd": PGD(BALL)}
    assert build_attacks(parse_attacks("pgd:objective=epslab.attacks:margin"), BALL) == {
        "pgd": PGD(BALL, objective=margin)
    }


def test_import_paths_take_options_too() -> None:
    made = build_attacks(parse_attacks("epslab.attacks:PGD:steps=3,epslab.attacks.noise:RandomNoise"), BALL)
    assert list(made.values()) == [PGD(BALL, 3), RandomNoise(BALL)]
    assert list(made) == ["PGD", "RandomNoise"]


def test_the_same_attack_with_other_options_is_another_attack() -> None:
    assert list(build_attacks(parse_attacks("pgd:steps=3,pgd:steps=4,fgsm"), BALL)) == ["pgd", "pgd-2", "fgsm"]


def test_steps_and_restarts_of_all_give_way_to_an_attack_s_own() -> None:
    made = build_attacks(parse_attacks("fgsm,pgd,apgd:steps=7"), BALL, steps=3, restarts=2)
    assert made == {"fgsm": FGSM(BALL), "pgd": PGD(BALL, 3, restarts=2), "apgd": APGD(BALL, 7, restarts=2)}
    assert build_attacks(parse_attacks("fgsm,pgd"), BALL, worst_case=True) == {
        "fgsm+pgd": WorstCase((FGSM(BALL), PGD(BALL)))
    }


def test_a_file_gives_each_attack_its_options(tmp_path: Path) -> None:
    file = tmp_path / "attacks.yaml"
    file.write_text("fgsm:\nstrong: {attack: pgd, steps: 100, step-size: 2/255}\n")
    assert build_attacks(parse_attacks(str(file)), BALL) == {
        "fgsm": FGSM(BALL),
        "strong": PGD(BALL, 100, step_size=2 / 255),
    }


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("[pgd, fgsm]", "holds no attacks but a list"),
        ("", "holds no attacks but nothing"),
        ("pgd", "holds no attacks but 'pgd'"),
        ("pgd: 3", "gives 'pgd' '3'; write its options as a mapping"),
        ("pgd: [", "is no YAML file"),
        ("pgd: {steps: [1]}", r"pgd's option 'steps' is '\[1\]', but must be a whole number"),
        ("pgd: {speed: 1}", "Unknown option of pgd 'speed'"),
        ("pgd: {ball: 1}", "Unknown option of pgd 'ball'"),
        ("pgd: {restarts: true}", "but must be a whole number"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_a_sentence(tmp_path: Path, content: str, sentence: str) -> None:
    file = tmp_path / "attacks.yaml"
    file.write_text(content)
    with pytest.raises(UserError, match=sentence):
        build_attacks(parse_attacks(str(file)), BALL)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "There is no attack to run"),
        ("pgd:=3", "neither an attack nor an option"),
        ("steps=3,pgd", "an option without an attack; write it after one, e.g. pgd:steps=3"),
        ("pgd:steps=3,steps=4", "given 'steps' twice"),
        ("pgd,pgd", "named 2 times"),
        ("pgd:steps=1.5", "'1.5', but must be a whole number"),
        ("pgd:step_size=wide", "but must be a number or nothing"),
        ("fractions:Fraction", "is no attack"),
        ("epslab.attacks:nothing", "has no 'nothing'"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        build_attacks(parse_attacks(text), BALL)
