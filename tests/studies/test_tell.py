"""What every study says of what was measured, read off numbers made by hand: no training, no attack."""

import math
import re
from dataclasses import replace

import pytest
import torch

from epslab.report import StudyResult
from epslab.runs import png
from epslab.studies import STUDIES, flows, question
from epslab.studies.defence import PUBLISHED, ROWS
from epslab.studies.langevin import STEPS
from epslab.studies.reparameterisation import Quality
from epslab.studies.same_defence import Gap, Sameness

from . import founds
from .founds import ALL, estimate, outcomes_of


def told(name: str, found: object = None) -> StudyResult:
    return STUDIES[name].tell(ALL[name]() if found is None else found)


def prose(result: StudyResult) -> list[str]:
    """Everything a reader reads."""
    tables = [part for table in result.tables for part in (table.title, *table.columns, table.note)]
    return [result.question, result.answer, *result.figures, *filter(None, tables)]


@pytest.mark.parametrize("name", ALL)
def test_a_study_tells_its_own_question_in_whole_sentences(name: str) -> None:
    result = told(name)
    assert (result.name, result.question) == (name, question(name))
    assert result.answer.endswith(".")
    assert all(caption.endswith(".") and caption[0].isupper() for caption in result.figures)
    assert all(table.note.endswith((".", "")) for table in result.tables)
    for text in prose(result):
        assert not re.search(r"  |\.\.|\bNone\b|\{|Estimate\(|Proportion\(|(?<!\w)-\d", text), text


@pytest.mark.parametrize("name", ALL)
def test_figures_are_drawn_from_what_was_found_alone(name: str) -> None:
    torch.manual_seed(0)
    found = ALL[name]()
    first, again = (STUDIES[name].tell(found) for _ in range(2))
    assert [png(figure) for figure in first.figures.values()] == [png(figure) for figure in again.figures.values()]
    assert first.tables == again.tables


@pytest.mark.parametrize("name", ["fgsm", "fgsm-or-pgd", "defence", "transfer", "findings"])
def test_intervals_stand_in_brackets_and_radii_as_they_were_given(name: str) -> None:
    result = told(name)
    assert re.search(r"\d %? ?\[−?[\d.]+, −?[\d.]+\]", result.answer)
    radius = ALL[name]().radius
    assert radius in "".join(prose(result))


def test_vae() -> None:
    answer = told("vae").answer
    assert "costs 4 bits/dim. After 2 epochs the ELBO puts a test image at 2.000 ±" in answer
    assert "gives 1.900 ± 0.010 bits/dim, 0.1 less." in answer
    assert "No number is published for these settings." in told("vae").tables[0].note


def test_vae_with_a_loose_bound_several_seeds_and_a_published_number() -> None:
    found = founds.of_vae()
    looser = found.measured | {"bits_per_dim_importance_weighted": estimate(2.2)}
    spread = {name: [0.0, 0.1, 0.1] for name in found.curves}
    result = told("vae", replace(found, seeds=2, measured=looser, spread=spread, published="≈ 0.5 (a run)"))
    assert "0.2 more." in result.answer
    assert result.answer.endswith("Published for these settings: ≈ 0.5 (a run).")
    assert "Bands: standard deviation over 2 training seeds." in next(iter(result.figures))
    assert [row[2] for row in result.tables[0].rows] == ["≈ 0.5 (a run)", "", "", "", ""]
    assert "standard deviation over 2 training seeds" in result.tables[0].note


@pytest.mark.parametrize(("agreement", "verdict"), [(0.21, "do lie"), (0.2, "do not lie"), (0.1, "do not lie")])
def test_manifold(agreement: float, verdict: str) -> None:
    answer = told("manifold", replace(founds.of_manifold(), agreement=agreement)).answer
    assert f"codes {verdict} by class" in answer
    assert "2.200 ± 0.010 bits/dim with two dimensions and 2.000 ± 0.010 with D=20: 0.2 more with two." in answer


def test_manifold_that_costs_less() -> None:
    found = founds.of_manifold()
    assert "0.2 less with two." in told("manifold", replace(found, narrow=found.wide, wide=found.narrow)).answer


def test_autoencoders() -> None:
    answer = told("autoencoders").answer
    assert "With D=10 components PCA keeps 75.0 % of the test images' variance, the deep autoencoder 80.0 %." in answer
    assert "it keeps 74.8 %, its error is 1.0 % above PCA's" in answer
    assert "fitted to them have precision 30.0 % and coverage 20.0 %; a VAE's" in answer
    assert answer.endswith("training images precision 95.0 % and coverage 96.0 %.")


def test_langevin() -> None:
    result = told("langevin")
    assert "is 4 at h=1.5 (4.010 ± 0.010 measured); the measured variances agree with it" in result.answer
    assert "puts 50.0 %" in result.answer
    assert "as many steps put 79.0 %" in result.answer
    off = replace(founds.of_langevin(), variance=tuple(estimate(1.0) for _ in STEPS))
    assert "the measured variances do not all agree with it" in told("langevin", off).answer


def test_beta() -> None:
    answer = told("beta").answer
    assert "From β=0.1 to β=10 the rate goes from 40.000 ± 0.010 to 0.000 ± 0.010 nats" in answer
    assert "(it falls at every step)" in answer
    assert "the active units from 20 to 0 of 20" in answer
    assert "The bound is best at β=1: 2.000 ± 0.010 bits/dim. At β=10, the posterior has collapsed." in answer


def test_beta_whose_rate_rises() -> None:
    found = founds.of_beta()
    assert "(it does not fall at every step)" in told("beta", replace(found, models=found.models[::-1])).answer


def test_flows() -> None:
    result = told("flows")
    assert "the best normal posterior misses 0.4 nats of it, planar flows miss 0.1 " in result.answer
    assert "a flow prior has an ELBO 1 nats above the plain one's. A coupling flow" in result.answer
    assert "2.100 ± 0.010 bits/dim with uniform noise and 2.000 ± 0.010 with learnt noise" in result.answer
    assert [row[0] for row in result.tables[0].rows] == list(flows.FLOWS)
    assert {row[3] for row in result.tables[0].rows} == {"5"}


def test_flows_that_gain_nothing() -> None:
    found = founds.of_flows()
    same = dict.fromkeys(found.elbo, estimate(-100.0, 1.0))
    answer = told("flows", replace(found, elbo=same | {"flow prior": estimate(-99.0, 1.0)})).answer
    assert "1 nats above the plain one's, within twice its standard error of 1.41." in answer


def test_diffusion() -> None:
    result = told("diffusion")
    assert (
        "At 5 evaluations of the net DDIM is nearest to held-out images (kernel distance 0.200 ± 0.010)"
        in result.answer
    )
    assert "at 49 DDIM (0.100 ± 0.010); training images reach 0.000 ± 0.010." in result.answer
    assert "Even the last of them still improve the best sampler." in result.answer
    assert "measured orders are: Euler 1, Heun 2, DPM-Solver++ (2M) 2." in result.answer
    assert "at all 1,000 steps: 0.150 ± 0.010" in result.tables[0].note


def test_diffusion_that_gains_nothing_from_more_evaluations() -> None:
    found = founds.of_diffusion()
    same = {name: (estimate(0.2), estimate(0.19)) for name in found.distance}
    answer = told("diffusion", replace(found, distance=same)).answer
    assert "more than 5 evaluations gain nothing that 200 samples can show" in answer


def test_estimators() -> None:
    answer = told("estimators").answer
    assert "At D=50" in answer
    assert "(more than a nat from D=50 on)" in answer
    assert "The order prior < ELBO < importance weighting holds there." in answer
    assert answer.endswith("nats per image: the order holds.")


def test_estimators_upside_down() -> None:
    found = founds.of_estimators()
    names = found.budget.names
    upside_down = {name: estimate(-0.1 * i) for i, name in enumerate(names)}
    trained = replace(found.trained, nats=upside_down)
    answer = told("estimators", replace(found, missed={50: upside_down}, trained=trained)).answer
    assert "(never more than a nat)" in answer
    assert "importance weighting does not hold there" in answer
    assert answer.endswith("the order does not hold.")


def test_reparameterisation() -> None:
    answer = told("reparameterisation").answer
    assert "100 times the variance of the reparameterised one at D=1 and 600 times at D=50" in answer
    assert "reduces that to 6 times. The ratio grows with D." in answer
    assert "the furthest is 1.5 standard errors from the exact gradient: no estimator is biased." in answer


@pytest.mark.parametrize(("bias", "verdict"), [(3.99, "no estimator is biased"), (4.0, "one of the estimators is")])
def test_a_bias_is_told(bias: float, verdict: str) -> None:
    found = founds.of_reparameterisation()
    flat = tuple(Quality(2.0, 1.0, bias) for _ in found.quality["score function"])
    answer = told("reparameterisation", replace(found, quality=dict.fromkeys(found.quality, flat))).answer
    assert verdict in answer
    assert "The ratio does not grow with D." in answer


def test_divergences() -> None:
    answer = told("divergences").answer
    assert "infinite from the first step, s=0.125." in answer
    assert "Jensen–Shannon reaches ln 2 = 0.693 at s=1 and says no more from there on." in answer
    assert "Wasserstein-1 is s, exactly." in answer
    assert "60 count for the posterior of the median test image with D=2 and 1.1, fewer, with D=20." in answer


def test_divergences_of_other_laws() -> None:
    found = founds.of_divergences()
    bent = tuple(
        law | {"Jensen–Shannon": 0.1, "Wasserstein-1": law["Wasserstein-1"] + 0.5, "KL(p‖q)": math.inf}
        for law in found.uniform
    )
    landings = {2: found.landings[20], 20: found.landings[2]}
    answer = told("divergences", replace(found, uniform=bent, landings=landings)).answer
    assert "Jensen–Shannon never reaches ln 2." in answer
    assert "Wasserstein-1 differs from s by up to 0.5." in answer
    assert "60, not fewer, with D=20" in answer


def test_fgsm() -> None:
    result = told("fgsm")
    assert "Without an attack a small CNN is right on 95.0 % [75.1, 99.9] of 20 test images." in result.answer
    assert "with L∞ radius 8/255 it is right on 20.0 % [5.7, 43.7]; after noise" in result.answer
    assert "just as far, on 90.0 % [68.3, 98.8]. FGSM breaks 70.0 points [" in result.answer
    by_radius, together = result.tables
    assert [row[0] for row in by_radius.rows] == ["0", "2/255", "4/255", "6/255", "8/255", "12/255", "16/255"]
    assert [row[1:] for row in together.rows] == [(1, 0), (14, 4)]
    assert len(result.figures) == 2


def test_fgsm_that_broke_nothing_has_no_picture_of_it() -> None:
    assert len(told("fgsm", replace(founds.of_fgsm(), changed=None)).figures) == 1


def test_fgsm_or_pgd() -> None:
    result = told("fgsm-or-pgd")
    assert "25.0 % [8.7, 49.1] of images right and PGD-40 5.0 % [0.1, 24.9]: PGD breaks 20.0" in result.answer
    assert "with 20 gradients per image instead of 1 (2 times fewer than if solved images stayed" in result.answer
    assert "On a small CNN trained against PGD it breaks 20.0 points [" in result.answer
    assert [row[-1] for row in result.tables[2].rows] == [2.0] * 12
    assert result.tables[0].note.endswith("the same 64 images bit for bit at every number of steps.")


def test_fgsm_or_pgd_on_a_net_that_is_always_wrong_and_starts_that_differ() -> None:
    found = founds.of_fgsm_or_pgd()
    plain = found.tried["undefended"]
    gradients = {name: 0.0 if "start" in name else spent for name, spent in plain.outcomes.gradients.items()}
    idle = replace(plain.outcomes, gradients=gradients)
    tried = found.tried | {"undefended": replace(plain, outcomes=idle, apart=0.013)}
    result = told("fgsm-or-pgd", replace(found, tried=tried))
    assert "(no image had to be attacked)" in result.answer
    assert [row[-1] for row in result.tables[2].rows[:6]] == [None] * 6
    assert result.tables[0].note.endswith("only nearly: 64 images differ by up to 0.013.")


def test_defence() -> None:
    result = told("defence")
    assert "L∞ radius 0.15, the classifier without a defence is right on 5.0 %" in result.answer
    assert "with the FGSM loss on 60.0 %" in result.answer
    assert "with the PGD batch on 70.0 %" in result.answer
    assert "the adversarial loss and the adversarial batch are the same defence" in result.answer
    assert "With it they are two defences: they differ by 30 % or more." in result.answer
    accuracies, effects, _ = result.tables
    assert "published" not in accuracies.columns
    assert effects.rows[0][3].startswith("55.0 points [")
    assert effects.rows[2][3].startswith("5.0 points [")


def test_defences_on_the_published_data_set() -> None:
    found = replace(founds.of_defence(), comparable=True, weights="imagenet.pth")
    result = told("defence", found)
    assert "The published order of the four rows reproduces, but intervals overlap." in result.answer
    accuracies = result.tables[0]
    assert [row[-1] for row in accuracies.rows if row[-1]] == list(PUBLISHED.values())
    assert "those of 'imagenet.pth'" in accuracies.note
    swapped = found.outcomes | {ROWS[0].name: outcomes_of(19, {"FGSM": 19, "PGD-10": 19})}
    assert "four rows does not reproduce." in told("defence", replace(found, outcomes=swapped)).answer


def test_defences_that_are_no_two() -> None:
    gaps = (Gap("as trained", True, "FGSM", 0.0, 1.0), Gap("folded", False, "FGSM", 0.2, 0.9))
    answer = told("defence", replace(founds.of_defence(), sameness=Sameness(gaps, 64))).answer
    assert "batch are not the same defence: their gradients differ by at most 0.2" in answer
    assert "With it they are the same, too" in answer


def test_transfer() -> None:
    result = told("transfer")
    assert "is right on 95.0 % [75.1, 99.9] of test images, and on 5.0 % [0.1, 24.9] after PGD-10" in result.answer
    assert "it is right on 50.0 % [27.2, 72.8]; if it is made on a ResNet-18, on 80.0 % [56.3, 94.3]." in result.answer
    assert "Made on a ResNet-18, PGD-10 breaks 10.0 points [" in result.answer
    assert [row[2] for row in result.tables[-1].rows] == ["half A", "half B", "half B"]


def test_the_strongest_transferred_attack_is_named() -> None:
    found = founds.of_transfer()
    first, *others = found.names
    stronger = found.target.broken | {"FGSM made on resnet18, B": torch.ones(founds.N, dtype=torch.bool)}
    outcomes = {first: replace(found.target, broken=stronger)} | {name: found.outcomes[name] for name in others}
    assert "Made on a ResNet-18, FGSM breaks 90.0 points" in told("transfer", replace(found, outcomes=outcomes)).answer


def test_findings() -> None:
    result = told("findings")
    assert "10.0 % [1.2, 31.7] of images. Of 2 sham defences 'scaled' seems best, with 90.0 %" in result.answer
    assert "catch 1 of 2. Of 2 checks 'scaled' fails 1, 'noisy' fails 0, and the honest net none." in result.answer
    verdicts = result.tables[2]
    assert verdicts.rows == [("gradients are there", "✓", "✗", "–"), ("enough", "✓", "✓", "✓")]
    assert result.tables[3].rows == [("scaled", "gradients are there", "All are 0.")]


def test_an_honest_net_that_fails_is_told() -> None:
    found = founds.of_findings()
    failed = replace(found.judged["honest"], checks=found.judged["scaled"].checks)
    answer = told("findings", replace(found, judged=found.judged | {"honest": failed})).answer
    assert answer.endswith("and the honest net 1.")


def test_compare() -> None:
    found = founds.of_compare()
    answer = told("compare", found).answer
    assert (
        "nearest to held-out images are those of the GAN (kernel distance 0.100 ± 0.010; not told apart: coupling"
        in answer
    )
    assert "the GAN covers most of them (90.0 %); the GAN draws fastest." in answer
    assert "Better than a Gaussian per class by kernel distance and coverage: GAN, coupling flow." in answer
    assert "Of those with a likelihood, the coupling flow has the best: 1.500 ± 0.010 (upper bound) bits/dim." in answer
    table, costs = told("compare", found).tables
    rows = {row[0]: row for row in table.rows}
    assert list(rows) == ["VAE", "GAN", "coupling flow", "real data", "a Gaussian per class"]
    assert (rows["GAN"][1], rows["VAE"][1]) == ("", "2.000 ± 0.010 (upper bound)")
    assert "(256 grey levels)" in table.note
    assert costs.rows[0] == ("VAE", 3.0, 0.5, 500)
    # Bounds on other values are not ranked.
    vae, gan, flow = found.models
    other = replace(found, models=(replace(vae, sees="16 grey levels"), gan, flow))
    assert "Of those with a likelihood" not in told("compare", other).answer
    poor = replace(found, models=(vae,))
    assert "None is better than a Gaussian per class" in told("compare", poor).answer


def test_the_best_beta_is_that_of_the_widest_gap() -> None:
    answer = told("disentanglement").answer
    assert "the mutual information gap is greatest at β=4, 0.350 ± 0.010, against 0.100 ± 0.010 at β=1;" in answer
    assert "falls from 6.000 ± 0.010 to 1.000 ± 0.010 nats" in answer
    assert "from 60 % to 25 %" in answer
    found = founds.of_disentanglement()
    worse = replace(found, models=(found.models[1], found.models[2]))
    assert (
        "no larger β than 4 widens the mutual information gap, 0.350 ± 0.010;" in told("disentanglement", worse).answer
    )


def test_mode_collapse_says_who_finds_all_modes_with_every_seed() -> None:
    result = told("mode-collapse")
    assert result.answer.startswith("On the ring of 2 modes, diffusion finds all with each of 2 training seeds;")
    assert "GAN 1.5" in result.answer
    assert "Diffusion puts most samples into modes: 90.0 % lie within 3 standard deviations" in result.answer
    rows = {row[0]: row[1:] for row in result.tables[0].rows}
    assert rows["VAE"][1:5] == (0, "0 ± 0", "—", "—")
    assert rows["GAN"][:2] == ("1.5 ± 0.707", 1)
    assert "Epochs: GAN 3, WGAN 3," in result.tables[0].note
    assert "trained for seconds" not in result.answer
    assert "trained for seconds" in told("mode-collapse", replace(founds.of_mode_collapse(), quick=True)).answer


def test_latent_matching_says_whose_codes_follow_the_prior() -> None:
    answer = told("latent-matching").answer
    assert answer.startswith(
        "The codes of WAE-MMD cannot be told from draws of the prior, whose squared MMD is 0 ± 0.001"
    )
    assert "Without any matching it is 0.4, and 50 % of test images" in answer
    assert "with matching is that of WAE-MMD, a squared error of 2.700 ± 0.010 beside 2.000 ± 0.010 without." in answer
