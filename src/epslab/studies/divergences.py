"""What each divergence says about two distributions that move apart until they share no support; and why z cares."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from scipy.stats import chi2
from torch import Tensor

from epslab import figures, recipes, seeds
from epslab.data import ImageSet
from epslab.generative.vae import VAE
from epslab.nets.modes import evaluating
from epslab.probability import divergences
from epslab.probability.bounds import LATENTS_PER_PASS
from epslab.report import StudyResult, Table, number
from epslab.studies.context import Context
from epslab.studies.distributions import normals, normals_numerically, uniforms, uniforms_numerically
from epslab.types import Images

QUESTION = "What do KL, Jeffreys, Jensen–Shannon and Wasserstein say about two distributions that move apart?"

SHIFTS = tuple(i / 8 for i in range(33))  # 0 to 4
DRAWS, TRIES, IMAGES = 1000, 20_000, 20  #: draws from the prior that are weighed, and that are counted; test images
UNIT = "nats (W1: unit of s)"


@dataclass(frozen=True)
class Landing:
    """Medians over test images of what ``landings`` returns."""

    effective: float
    share: float


@dataclass(frozen=True, eq=False)
class Cloud:
    """A latent plane: draws from the prior [m 2], and the posteriors of some images [n 2] with their names."""

    prior: Float[Tensor, "m 2"]
    mean: Float[Tensor, "n 2"]
    std: Float[Tensor, "n 2"]
    names: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Found:
    """Divergences and landings."""

    uniform: tuple[Mapping[str, float], ...]  #: U(0, 1) against U(s, s + 1) at each s of ``SHIFTS``, by divergence
    normal: tuple[Mapping[str, float], ...]  #: N(0, 1) against N(s, 2²), likewise
    error: float  #: the largest difference of both from their closed forms
    landings: Mapping[int, Landing]  #: by number of latent dimensions
    cloud: Cloud  #: of the VAE with two


def measure(context: Context) -> Found:
    """Integrate the divergences, and try draws from the prior on the posteriors of trained VAEs."""
    uniform, normal = (tuple(law(s) for s in SHIFTS) for law in (uniforms_numerically, normals_numerically))
    runs = {
        2: context.train(context.recipe(latent_dim=2), "manifold", context.seeds[0]),
        context.recipe().latent_dim: context.train(context.recipe(), "vae", context.seeds[0]),
    }
    vaes = {D: recipes.load(run) for D, run in runs.items()}
    test = recipes.splits(runs[2], context.data_root).test
    images = test.take(min(IMAGES, len(test)), context.seed).images
    landed = {D: landings(vae, images) for D, vae in vaes.items()}
    return Found(
        uniform,
        normal,
        error=max(_error(uniform, uniforms), _error(normal, normals)),
        landings={D: Landing(draws.median().item(), share.median().item()) for D, (draws, share) in landed.items()},
        cloud=_cloud(vaes[2], test, context.seed),
    )


def landings(
    vae: VAE, images: Images, *, draws: int = DRAWS, tries: int = TRIES, seed: int = 0
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """How many draws from the prior are of any use to an image's posterior.

    Args:
        vae: A model with a standard normal prior.
        images: Examples x.
        draws: Prior draws z_l weighed by p(x given z_l).
        tries: Prior draws counted by where they land.
        seed: Of the draws.

    Returns:
        The effective number of the weighed draws, (Σ w)²/Σ w², from 1 to ``draws``; and the share of the counted ones
        that land in the ellipsoid which holds 95 % of q(z given x). Each [n].
    """
    own = seeds.of_indices(seed, torch.arange(len(images)), "landings")
    with torch.no_grad(), evaluating(vae):
        chunk = max(1, LATENTS_PER_PASS // len(images))
        log_w = torch.cat(
            [
                vae.log_likelihoods(images, min(chunk, draws - first), seeds=own, first=first)
                for first in range(0, draws, chunk)
            ]
        ).double()
        effective = (2 * log_w.logsumexp(0) - (2 * log_w).logsumexp(0)).exp()
        mean, log_std = vae.encode(images)
        z = vae.sample_latents(tries, seeds.generator(seed, "landings"))
        radius = chi2.ppf(0.95, mean.shape[1])
        inside = [((z - mu) / sigma).square().sum(1) <= radius for mu, sigma in zip(mean, log_std.exp(), strict=True)]
    return effective, torch.stack(inside).double().mean(1)


def _error(measured: Sequence[Mapping[str, float]], closed: Callable[[float], Mapping[str, float]]) -> float:
    """The largest difference from the closed form, where that is finite."""
    return max(
        abs(values[name] - exact)
        for s, values in zip(SHIFTS, measured, strict=True)
        for name, exact in closed(s).items()
        if math.isfinite(exact)
    )


def _cloud(vae: VAE, test: ImageSet, seed: int) -> Cloud:
    """The posteriors of the first image of six classes, and draws from the prior."""
    labels = test.labels.tolist()
    classes = sorted(set(labels))[:6]
    shown = test[torch.tensor([labels.index(label) for label in classes])]
    with torch.no_grad(), evaluating(vae):
        mean, log_std = vae.encode(shown.images)
        prior = vae.sample_latents(500, seeds.generator(seed, "prior cloud"))
    return Cloud(prior, mean, log_std.exp(), tuple(test.classes[label] for label in classes))


def tell(found: Found) -> StudyResult:
    """Where each divergence stops telling how far apart they are, and how few prior draws meet a posterior."""
    cloud = found.cloud
    return StudyResult(
        name="divergences",
        question=QUESTION,
        answer=_answer(found),
        figures={
            "Two uniform distributions that share half their support, and none of it.": _pair(),
            "Uniform distributions U(0, 1) and U(s, s + 1). Both KL divergences and Jeffreys are infinite for every"
            " s > 0, so they have no curve.": _against_shift(
                found.uniform, ("Jensen–Shannon", "Wasserstein-1"), ln_2=True
            ),
            "Normal distributions N(0, 1) and N(s, 2²). They always share their support, so every divergence"
            " is finite; KL depends on its direction. They differ in width, so no curve starts at 0.": _against_shift(
                found.normal, tuple(found.normal[0])
            ),
            "Entropy of a coin: greatest, ln 2 nats or one bit, when both sides are equally likely.": _coin(),
            "Two latent dimensions: most draws from the prior (grey) fall outside the posterior of any one image"
            " (ellipses at one and two standard deviations), so they say nothing about its log p(x).": figures.contours(
                cloud.prior, cloud.mean, cloud.std, names=cloud.names
            ),
        },
        tables=(_table_of_uniforms(found), _table_of_normals(found), _table_of_landings(found)),
    )


def _answer(found: Found) -> str:
    uniform = dict(zip(SHIFTS, found.uniform, strict=True))
    first = next(s for s, values in uniform.items() if math.isinf(values["KL(p‖q)"]))
    reached = next((s for s, values in uniform.items() if values["Jensen–Shannon"] > math.log(2) - 1e-9), None)
    saturated = (
        "never reaches ln 2"
        if reached is None
        else f"reaches ln 2 = {number(math.log(2))} at s={reached:g} and says no more from there on"
    )
    bent = max(abs(values["Wasserstein-1"] - s) for s, values in uniform.items())
    (narrow, two), (wide, many) = sorted(found.landings.items())
    return (
        "Two uniform distributions of width 1 are moved apart by s. KL and Jeffreys are infinite from the first step,"
        f" s={first:g}. Jensen–Shannon {saturated}."
        f" Wasserstein-1 {'is s, exactly' if bent < 1e-12 else f'differs from s by up to {number(bent)}'}."
        f" Of {DRAWS:,} draws from the prior, effectively {number(two.effective)} count for the posterior of the median"
        f" test image with D={narrow} and {number(many.effective)},"
        f" {'fewer' if many.effective < two.effective else 'not fewer'}, with D={wide}."
    )


def _against_shift(values: Sequence[Mapping[str, float]], names: Sequence[str], *, ln_2: bool = False) -> Figure:
    return figures.lines(
        SHIFTS,
        {name: [one[name] for one in values] for name in names},
        x_label="shift s",
        y_label=UNIT,
        reference=("ln 2", math.log(2)) if ln_2 else None,
    )


def _pair() -> Figure:
    x = torch.linspace(-0.5, 3.5, 801)
    p = ((x >= 0) & (x <= 1)).double()
    pairs = {s: {"p": p, "q": ((x >= s) & (x <= s + 1)).double()} for s in (0.5, 2.0)}
    return figures.densities(x, {f"s = {s:g}: common support {max(0.0, 1 - s):g}": pair for s, pair in pairs.items()})


def _coin() -> Figure:
    p = torch.linspace(0, 1, 201, dtype=torch.float64)
    entropy = divergences.entropy(torch.stack([p, 1 - p], dim=1))
    return figures.lines(p, {"H(p)": entropy}, x_label="p(heads)", y_label="nats", reference=("ln 2", math.log(2)))


def _table_of_uniforms(found: Found) -> Table:
    shown = {s: values for s, values in zip(SHIFTS, found.uniform, strict=True) if s in (0, 0.125, 0.5, 1, 2, 4)}
    return Table(
        "U(0, 1) against U(s, s + 1)",
        ("shift s", "common support", "KL, nats", "Jeffreys, nats", "Jensen–Shannon / ln 2", "Wasserstein-1"),
        [
            (s, max(0.0, 1 - s), kl, jeffreys, js / math.log(2), w1)
            for s, (kl, _, jeffreys, js, w1) in ((s, values.values()) for s, values in shown.items())
        ],
        note="KL(p‖q) and KL(q‖p) are equal here.",
    )


def _table_of_normals(found: Found) -> Table:
    shown = {s: values for s, values in zip(SHIFTS, found.normal, strict=True) if s in (0, 0.5, 1, 2, 4)}
    return Table(
        "N(0, 1) against N(s, 2²)",
        ("shift s", *found.normal[0]),
        [(s, *values.values()) for s, values in shown.items()],
        note="Nats; Wasserstein-1 in the unit of s. By numeric integration: the largest difference from the closed"
        f" forms in this table and the one above is {number(found.error)}.",
    )


def _table_of_landings(found: Found) -> Table:
    return Table(
        "Draws from the prior that the posterior of an image can use",
        ("latent dimensions", f"effective draws of {DRAWS:,}", "share inside the posterior, %"),
        [(D, landing.effective, 100 * landing.share) for D, landing in found.landings.items()],
        note=f"Medians over {IMAGES} test images of a trained VAE. Effective draws: (Σ w)²/Σ w² with w = p(x|z), at"
        f" least 1. Inside: in the ellipsoid that holds 95 % of q(z|x), of {TRIES:,} draws.",
    )
