from dataclasses import dataclass
from typing import Literal

import pytest

from epslab.cli.parsing import Parser, value_of
from epslab.errors import UserError
from epslab.recipes.checks import at_least


@dataclass(frozen=True)
class Settings:
    """Some settings.

    Args:
        latent_dim: Latent dimensions D.
        beta: Weight of the KL term, in nats.
        likelihood: What the decoder's output means.
        clip: Largest norm.
        hidden: Units of each layer.
    """

    latent_dim: int = 20
    beta: float = 1.0
    likelihood: Literal["categorical", "bernoulli"] = "categorical"
    clip: float | None = None
    hidden: tuple[int, ...] = (500,)


@pytest.fixture
def parser():
    made = Parser("train vae", "Train.", "epslab train vae")
    made.add_argument("--resume", action="store_true", help="go on")
    made.add_argument("-n", type=int, default=3, help="images")
    made.add_class_arguments(Settings)
    return made


@pytest.mark.parametrize(
    "words", [["--latent-dim", "7"], ["--latent_dim", "7"], ["--latent-dim=7"], ["--latent_dim=7"]]
)
def test_hyphens_and_underscores_are_the_same(parser, words):
    assert parser.read(words)["latent_dim"] == 7


def test_values_keep_their_hyphens_and_underscores(parser):
    parser.add_argument("--out", type=str)
    assert parser.read(["--out=a-b_c"])["out"] == "a-b_c"
    assert parser.read(["--out", "a-b_c"])["out"] == "a-b_c"


def test_defaults_types_and_scientific_notation(parser):
    values = parser.read(["--beta", "1e-3", "--hidden", "[200, 100]", "--clip", "2"])
    assert values["beta"] == 1e-3
    assert values["hidden"] == (200, 100)
    assert values["clip"] == 2.0
    assert values["latent_dim"] == 20
    assert values["resume"] is False


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--latnt-dim", "3"], "Unknown flag '--latnt-dim'. Did you mean '--latent-dim'?"),
        (["--qqqqqq", "3"], "Unknown flag '--qqqqqq'. `epslab train vae --help` lists them all."),
        (["--latent-dim", "2.5"], "--latent-dim must be a whole number, not '2.5'."),
        (["--beta", "much"], "--beta must be a number, not 'much'."),
        (["--likelihood", "bernouli"], "Did you mean 'bernoulli'?"),
        (["--clip", "x"], "--clip must be a number or null, not 'x'."),
        (["--hidden", "200"], "--hidden must be a list such as [1, 2], not '200'."),
        (["--beta"], "--beta needs a value"),
        (["-n", "x"], "-n must be a whole number, not 'x'."),
        (["-q"], "does not take '-q'"),
        (["digits"], "does not take 'digits'"),
        (["--latent", "3"], "Did you mean '--latent-dim'?"),
    ],
)
def test_wrong_flags_and_values_are_said_in_the_users_words(parser, words, sentence):
    with pytest.raises(UserError) as error:
        parser.read(words)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)
    assert "class" not in str(error.value)


def test_a_missing_positional_is_named(parser):
    parser.add_argument("run", type=str, metavar="RUN")
    with pytest.raises(UserError, match="needs RUN"):
        parser.read([])


def test_settings_stand_in_for_defaults_and_words_override_them(parser):
    settings = {"latent_dim": 5, "beta": 2.0, "resume": True, "hidden": [7, 8]}
    values = parser.read(["--beta", "3"], settings)
    assert (values["latent_dim"], values["beta"], values["resume"], values["hidden"]) == (5, 3.0, True, (7, 8))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"latnt_dim": 3}, "Did you mean '--latent-dim'?"),
        ({"latent_dim": "many"}, "--latent-dim must be a whole number"),
    ],
)
def test_settings_are_checked_like_words(parser, settings, sentence):
    with pytest.raises(UserError, match=sentence.replace("?", r"\?")):
        parser.read([], settings)


def test_help_says_what_and_the_default_with_hyphens(parser):
    text = " ".join(parser.format_help().split())
    assert "--latent-dim N Latent dimensions D (default: 20)" in text
    assert "Weight of the KL term, in nats (default: 1.0)" in text
    assert "--hidden [ITEM,...] Units of each layer (default: [500])" in text
    assert "latent_dim" not in text


def test_at_least_names_the_option():
    at_least(1, n=1, devices=None)
    with pytest.raises(UserError, match="`prior_samples=` must be at least 1, not 0"):
        at_least(1, n=3, prior_samples=0)
    with pytest.raises(UserError, match="`n=` must be at least 1, not -1"):
        at_least(1, n=-1)


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (["--config", "a"], "a"),
        (["x", "--config=a"], "a"),
        (["--config"], None),
        (["--configs", "a"], None),
        ([], None),
    ],
)
def test_a_value_read_before_parsing(words, value):
    assert value_of("config", words) == value
