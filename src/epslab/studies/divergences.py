"""What each divergence says of two laws as they move apart and lose their common support; and why it matters for z."""

import math

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
from epslab.types import Images

QUESTION = "What do KL, Jeffreys, Jensen–Shannon and Wasserstein say of two laws that move apart?"

SHIFTS = tuple(i / 8 for i in range(33))  # 0 to 4
CELLS = 1 << 14  # of the grid a density is integrated on
_LEFT, _RIGHT = -16.0, 24.0


def normals(shift: float, std: float = 2.0) -> dict[str, float]:
    """Divergences of p = N(0, 1) and q = N(shift, std²) in nats, and W1: closed forms, Jensen–Shannon integrated.

    std is at least 1, so that no tail underflows in the integral.
    W1 is E|q's quantile − p's| = E|shift + (std − 1)·Z| with Z ~ N(0, 1): a folded normal's mean.
    """
    zero, log_std = torch.zeros(1, dtype=torch.float64), torch.full((1,), math.log(std), dtype=torch.float64)
    forward = divergences.kl_normal(zero, zero, zero + shift, log_std).item()
    reverse = divergences.kl_normal(zero + shift, log_std, zero, zero).item()
    spread = abs(std - 1)
    if spread == 0:
        w1 = abs(shift)
    else:
        a = shift / spread
        w1 = shift * math.erf(a / math.sqrt(2)) + spread * math.sqrt(2 / math.pi) * math.exp(-0.5 * a * a)
    return {
        "KL(p‖q)": forward,
        "KL(q‖p)": reverse,
        "Jeffreys": forward + reverse,
        "Jensen–Shannon": divergences.jensen_shannon(_normal_cells(0.0, 1.0), _normal_cells(shift, std)).item(),
        "Wasserstein-1": w1,
    }


def normals_numerically(shift: float, std: float = 2.0) -> dict[str, float]:
    """The same from the two laws' cells on a fine grid, and from their quantiles: no closed form."""
    p, q = _normal_cells(0.0, 1.0), _normal_cells(shift, std)
    levels = (torch.arange(CELLS, dtype=torch.float64) + 0.5) / CELLS
    quantiles = torch.special.ndtri(levels)
    return {
        "KL(p‖q)": divergences.kl_categorical(p, q).item(),
        "KL(q‖p)": divergences.kl_categorical(q, p).item(),
        "Jeffreys": divergences.jeffreys(p, q).item(),
        "Jensen–Shannon": divergences.jensen_shannon(p, q).item(),
        "Wasserstein-1": divergences.wasserstein_1d(quantiles, shift + std * quantiles).item(),
    }


def uniforms(shift: float) -> dict[str, float]:
    """Divergences of p = U(0, 1) and q = U(shift, shift + 1), shift ≥ 0, in closed form: common support 1 − shift."""
    alone = min(shift, 1.0)
    kl = math.inf if shift > 0 else 0.0
    return {
        "KL(p‖q)": kl,
        "KL(q‖p)": kl,
        "Jeffreys": kl,
        "Jensen–Shannon": alone * math.log(2),
        "Wasserstein-1": shift,
    }


def uniforms_numerically(shift: float) -> dict[str, float]:
    """The same from cells and quantiles; exact where the shift is a whole number of cells, 1/1024."""
    cells = 1024
    moved = round(shift * cells)
    p, q = torch.zeros(2, cells + moved, dtype=torch.float64)
    p[:cells], q[moved:] = 1 / cells, 1 / cells
    levels = (torch.arange(cells, dtype=torch.float64) + 0.5) / cells
    return {
        "KL(p‖q)": divergences.kl_categorical(p, q).item(),
        "KL(q‖p)": divergences.kl_categorical(q, p).item(),
        "Jeffreys": divergences.jeffreys(p, q).item(),
        "Jensen–Shannon": divergences.jensen_shannon(p, q).item(),
        "Wasserstein-1": divergences.wasserstein_1d(levels, levels + shift).item(),
    }


def landings(
    vae: VAE, images: Images, *, draws: int = 1000, tries: int = 20_000, seed: int = 0
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


def run(context: Context) -> StudyResult:
    """Tabulate the laws, the coin, and the prior draws that posteriors of trained VAEs can use."""
    line, bell = ([law(s) for s in SHIFTS] for law in (uniforms_numerically, normals_numerically))
    infinite = next(s for s, d in zip(SHIFTS, line, strict=True) if math.isinf(d["KL(p‖q)"]))
    saturated = next((s for s, d in zip(SHIFTS, line, strict=True) if d["Jensen–Shannon"] > math.log(2) - 1e-9), None)
    bent = max(abs(d["Wasserstein-1"] - s) for s, d in zip(SHIFTS, line, strict=True))
    wrong = max(
        abs(found - exact)
        for law, numeric in ((uniforms, line), (normals, bell))
        for s, measured in zip(SHIFTS, numeric, strict=True)
        for found, exact in zip(measured.values(), law(s).values(), strict=True)
        if math.isfinite(exact)
    )
    runs = {
        2: context.train(context.recipe(latent_dim=2), "manifold", context.seeds[0]),
        20: context.train(context.recipe(), "vae", context.seeds[0]),
    }
    models = {D: recipes.load(run) for D, run in runs.items()}
    test = recipes.splits(runs[2]).test
    draws = 1000
    found = {D: landings(vae, test.take(20, context.seed).images, draws=draws) for D, vae in models.items()}
    effective = {D: values[0].median().item() for D, values in found.items()}
    share = {D: values[1].median().item() for D, values in found.items()}
    linear = "is s, exactly" if bent < 1e-12 else f"differs from s by up to {number(bent)}"
    fewer = "fewer" if effective[20] < effective[2] else "not fewer"
    return StudyResult(
        name="divergences",
        question=QUESTION,
        answer=(
            f"Two uniform laws of width 1 moved apart by s: KL and Jeffreys are infinite from the first step,"
            f" s={infinite:g}; Jensen–Shannon"
            f" {'never reaches ln 2' if saturated is None else f'reaches ln 2 = {math.log(2):.4f} at s={saturated:g}'}"
            f" and then no longer says how far; Wasserstein-1 {linear}. Of {draws:,} draws from the prior,"
            f" effectively {effective[2]:.1f} count for the median test image's posterior in 2 latent"
            f" dimensions and {effective[20]:.1f}, {fewer}, in 20."
        ),
        figures={
            "Two uniform laws, before and after they lose their common support.": _pair(),
            "Uniform laws U(0, 1) and U(s, s + 1). Both KL divergences and Jeffreys are infinite for every s > 0: they"
            " have no curve.": figures.lines(
                SHIFTS,
                {name: [d[name] for d in line] for name in ("Jensen–Shannon", "Wasserstein-1")},
                x_label="shift s",
                y_label="nats (W1: unit of s)",
                reference=("ln 2", math.log(2)),
            ),
            "Normal laws N(0, 1) and N(s, 2²) never lose their common support, so every divergence is finite; KL"
            " depends on its direction. They differ in width, so nothing starts at 0.": figures.lines(
                SHIFTS,
                {name: [d[name] for d in bell] for name in bell[0]},
                x_label="shift s",
                y_label="nats (W1: unit of s)",
            ),
            "Entropy of a coin: greatest, ln 2 nats or one bit, when nothing is known.": _coin(),
            "Two latent dimensions: most draws from the prior (grey) fall outside any one image's posterior (ellipses"
            " at one and two standard deviations), so they say nothing about its log p.": _posteriors(
                models[2], test, context.seed
            ),
        },
        tables=(
            Table(
                "U(0, 1) against U(s, s + 1)",
                ("shift s", "common support", "KL, nats", "Jeffreys, nats", "Jensen–Shannon / ln 2", "Wasserstein-1"),
                [
                    (
                        s,
                        max(0.0, 1 - s),
                        line[i]["KL(p‖q)"],
                        line[i]["Jeffreys"],
                        line[i]["Jensen–Shannon"] / math.log(2),
                        line[i]["Wasserstein-1"],
                    )
                    for i, s in enumerate(SHIFTS)
                    if s in (0, 0.125, 0.5, 1, 2, 4)
                ],
                note="KL(p‖q) and KL(q‖p) are equal here.",
            ),
            Table(
                "N(0, 1) against N(s, 2²)",
                ("shift s", *bell[0]),
                [(s, *bell[i].values()) for i, s in enumerate(SHIFTS) if s in (0, 0.5, 1, 2, 4)],
                note=(
                    "Nats; Wasserstein-1 in the unit of s. By numeric integration; the largest difference from the"
                    f" closed forms in this table and the one above is {number(wrong)}."
                ),
            ),
            Table(
                "Draws from the prior that an image's posterior can use",
                ("latent dimensions", f"effective draws of {draws:,}", "share inside the posterior, %"),
                [(D, effective[D], 100 * share[D]) for D in found],
                note=(
                    "Medians over 20 test images of a trained VAE. Effective draws: (Σ w)²/Σ w² with w = p(x|z), at"
                    " least 1. Inside: in the ellipsoid that holds 95 % of q(z|x), of 20,000 draws."
                ),
            ),
        ),
        runs=tuple(run.folder for run in runs.values()),
    )


def _normal_cells(mean: float, std: float) -> Float[Tensor, " cells"]:
    """The law's density at the middle of each cell of the grid, as probabilities that sum to 1."""
    x = _LEFT + (torch.arange(CELLS, dtype=torch.float64) + 0.5) * ((_RIGHT - _LEFT) / CELLS)
    return (-0.5 * ((x - mean) / std) ** 2).softmax(0)


def _pair() -> Figure:
    """The uniform laws that share half their support, and none."""
    x = torch.linspace(-0.5, 3.5, 801)
    p = ((x >= 0) & (x <= 1)).double()
    return figures.densities(
        x,
        {
            f"s = {s:g}: common support {max(0.0, 1 - s):g}": {"p": p, "q": ((x >= s) & (x <= s + 1)).double()}
            for s in (0.5, 2.0)
        },
    )


def _coin() -> Figure:
    p = torch.linspace(0, 1, 201, dtype=torch.float64)
    entropy = divergences.entropy(torch.stack([p, 1 - p], dim=1))
    return figures.lines(p, {"H(p)": entropy}, x_label="p(heads)", y_label="nats", reference=("ln 2", math.log(2)))


def _posteriors(vae: VAE, test: ImageSet, seed: int) -> Figure:
    """The posteriors of the first image of six classes, over draws from the prior."""
    labels = test.labels.tolist()
    classes = sorted(set(labels))[:6]
    shown = test[torch.tensor([labels.index(label) for label in classes])]
    with torch.no_grad(), evaluating(vae):
        mean, log_std = vae.encode(shown.images)
        prior = vae.sample_latents(500, seeds.generator(seed, "prior cloud"))
    return figures.contours(prior, mean, log_std.exp(), names=[test.classes[label] for label in classes])
