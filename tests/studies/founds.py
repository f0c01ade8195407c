"""A small ``Found`` for every study, made by hand: what ``tell`` says of it can be read off."""

import math
from collections.abc import Mapping

import torch

from epslab import figures
from epslab.classifiers import Proportion
from epslab.evaluation.estimate import Estimate
from epslab.evaluation.samples import SampleEntry
from epslab.runs import Column
from epslab.studies import (
    autoencoders,
    beta,
    compare,
    defence,
    diffusion,
    disentanglement,
    divergences,
    estimators,
    fgsm,
    fgsm_or_pgd,
    findings,
    flows,
    gan,
    langevin,
    latent_matching,
    manifold,
    mode_collapse,
    reparameterisation,
    transfer,
    vae,
)
from epslab.studies.discriminators import Optimum, Saturation
from epslab.studies.outcomes import Outcomes
from epslab.studies.pictures import Changed
from epslab.studies.same_defence import Gap, Sameness

N = 20  # images under attack


def estimate(mean: float, error: float = 0.01) -> Estimate:
    return Estimate(mean, error, 100)


def outcomes_of(clean: int, right: Mapping[str, int], gradients: Mapping[str, float] | None = None) -> Outcomes:
    """The first of N images are right: how many, without an attack and under each."""
    image = torch.arange(N)
    spent = dict.fromkeys(right, 1.0) if gradients is None else gradients
    return Outcomes(image < clean, {name: image >= count for name, count in right.items()}, spent)


def of_vae() -> vae.Found:
    quantities = dict(zip(vae.QUANTITIES, (2.0, 1.9, -90.0, 80.0, 10.0), strict=True))
    columns = [f"{stage}/{name}" for stage in ("train", "val") for name in ("bits_per_dim", "reconstruction", "kl")]
    return vae.Found(
        net="conv",
        latent_dim=20,
        levels=16,
        epochs=2,
        images=360,
        draws=50,
        seeds=1,
        measured={name: estimate(value) for name, value in quantities.items()},
        curves={"epoch": [0.0, 1.0, 2.0], **{name: [4.0, 3.0, 2.0] for name in columns}},
        spread=None,
        columns={name: Column(name.replace("_", " "), "nats", "lower") for name in columns},
        samples=dict.fromkeys((0, 2), figures.png(figures.bars([1.0]))),
        published="",
    )


def of_manifold() -> manifold.Found:
    models = [
        manifold.Model(D, estimate(bits), estimate(kl), (active,))
        for D, bits, kl, active in ((2, 2.2, 3.0, 2), (20, 2.0, 10.0, 18))
    ]
    labels = torch.arange(30) % 3
    codes = torch.stack([labels.float(), torch.arange(30) / 30], dim=1)
    return manifold.Found(360, *models, torch.rand(16, 1, 8, 8), codes, labels, ("a", "b", "c"), 0.6, 0.1)


def of_beta() -> beta.Found:
    models = tuple(
        beta.Model(weight, estimate(rate), estimate(distortion), estimate(bits), (active,), statement)
        for weight, rate, distortion, bits, active, statement in (
            (0.1, 40.0, 70.0, 2.5, 20, "The posterior has not collapsed."),
            (1.0, 10.0, 80.0, 2.0, 15, "The posterior has not collapsed."),
            (10.0, 0.0, 100.0, 2.3, 0, "The posterior has collapsed."),
        )
    )
    return beta.Found(models, latent_dim=20, images=360)


def of_estimators() -> estimators.Found:
    budget = estimators.Budget(1000, (10, 100))
    missed = {D: dict(zip(budget.names, map(estimate, values), strict=True)) for D, values in
              {1: (-0.1, -0.2, -0.1, 0.0), 50: (-100.0, -9.0, -2.0, -0.5)}.items()}  # fmt: skip
    nats = dict(zip(budget.names, map(estimate, (-95.0, -90.0, -88.0, -87.0)), strict=True))
    above = {name: estimate(value.mean + 90) for name, value in nats.items()}
    bits = {name: estimate(-value.mean / 44) for name, value in nats.items()}
    return estimators.Found(budget, 200, missed, estimators.Trained(20, 100, nats, above, bits))


def of_mode_collapse() -> mode_collapse.Found:
    """Two seeds on a ring of two modes: diffusion finds both with each, the GAN with one of them, the VAE none."""
    plane = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])

    def outcome(found: tuple[int, ...], good: float) -> mode_collapse.Outcome:
        known = [0.1 if modes else None for modes in found]
        return mode_collapse.Outcome(found, (good, good), tuple(known), tuple(known), plane)

    models = dict.fromkeys(mode_collapse.MODELS, outcome((0, 1), 0.1))
    models |= {"gan": outcome((1, 2), 0.5), "vae": outcome((0, 0), 0.0), "diffusion": outcome((2, 2), 0.9)}
    own = {"ring": outcome((2,), 0.99)}
    epochs = dict.fromkeys(mode_collapse.MODELS, 3)
    ring = ({"ring": 2}, {"ring": plane}, {"ring": 0.1}, {"ring": 0.9889})
    return mode_collapse.Found(2, 200, epochs, False, *ring, own, {"ring": models})


def of_latent_matching() -> latent_matching.Found:
    """WAE-MMD follows the prior, the plain autoencoder does not."""
    codes = torch.randn(30, 2, generator=torch.Generator().manual_seed(0))
    models = {
        name: latent_matching.Model(estimate(error), mmd, estimate(0.5), codes)
        for name, error, mmd in zip(
            latent_matching.MODELS, (3.0, 2.8, 2.9, 2.7, 2.0), (0.02, 0.01, 0.03, 0.001, 0.4), strict=True
        )
    }
    return latent_matching.Found(360, 30, models, 0.001, torch.arange(30) % 3, ("a", "b", "c"))


def of_flows() -> flows.Found:
    """Planar flows close most of the gap on the banana; on images the flow prior gains one nat, the others nothing."""
    elbo = {label: estimate(-100.0 + (label == "flow prior"), 0.1) for label in flows.FLOWS}
    points = torch.randn(30, 2, generator=torch.Generator())
    return flows.Found(
        log_p=-1.3,
        gaps={"normal": estimate(0.4), "planar": estimate(0.1), "radial": estimate(0.3)},
        drawn=dict.fromkeys(("exact", "normal", "planar", "radial"), points),
        elbo=elbo,
        tighter={label: estimate(value.mean + 5) for label, value in elbo.items()},
        weights=20,
        bits={"uniform noise": estimate(2.1), "learnt noise": estimate(2.0), "learnt noise, 10 draws": estimate(1.9)},
        levels=16,
        images=360,
    )


def of_diffusion() -> diffusion.Found:
    """Six samplers at two costs, DDIM the best at both; errors that fall with the order of each method."""
    distance = {name: (estimate(0.9 - 0.1 * i), estimate(0.3)) for i, name in enumerate(diffusion.SAMPLERS)}
    return diffusion.Found(
        errors={
            name: tuple(diffusion.steps_for(name, count) ** -float(order) for count in diffusion.PATH)
            for name, (_, order) in diffusion.SOLVERS.items()
        },
        distance=distance | {"ddim": (estimate(0.2), estimate(0.1))},
        evaluations=(5, 49),
        every=estimate(0.15),
        steps=1000,
        real=estimate(0.0),
        images=200,
        shown=torch.rand(len(diffusion.SAMPLERS) * 2 * diffusion.SHOWN, 1, 8, 8, generator=torch.Generator()),
    )


def of_reparameterisation() -> reparameterisation.Found:
    dimensions = len(reparameterisation.DIMENSIONS)
    factors = {"reparameterised": 0, "leave-one-out": 1, "score function": 100}
    return reparameterisation.Found(
        2000,
        {
            name: tuple(reparameterisation.Quality(2.0 * max(1, factor * i), 1.0 + factor, 1.5)
                        for i in range(1, dimensions + 1))
            for name, factor in factors.items()
        },
    )  # fmt: skip


def of_divergences() -> divergences.Found:
    def at(s: float) -> dict[str, float]:
        kl = math.inf if s else 0.0
        values = (kl, kl, kl, min(s, 1.0) * math.log(2), s)
        return dict(zip(("KL(p‖q)", "KL(q‖p)", "Jeffreys", "Jensen–Shannon", "Wasserstein-1"), values, strict=True))

    uniform = tuple(at(s) for s in divergences.SHIFTS)
    normal = tuple(dict.fromkeys(uniform[0], 1.0 + s) for s in divergences.SHIFTS)
    cloud = divergences.Cloud(torch.randn(50, 2), torch.randn(3, 2), torch.ones(3, 2), ("a", "b", "c"))
    landed = {2: divergences.Landing(60.0, 0.09), 20: divergences.Landing(1.1, 0.0)}
    return divergences.Found(uniform, normal, 1e-5, landed, cloud)


def of_fgsm() -> fgsm.Found:
    right = {fgsm.key("noise", f): 18 for f in fgsm.FACTORS} | {fgsm.key("FGSM", f): 4 for f in fgsm.FACTORS}
    before = torch.rand(2, 1, 8, 8)
    changed = Changed(before, (before + 0.1).clamp(0, 1), ("3: 98 %", "4: 97 %"), ("8: 60 %", "9: 99 %"))
    return fgsm.Found("small-cnn", 8, 0.068, "8/255", 10, outcomes_of(19, right), changed)


def of_fgsm_or_pgd() -> fgsm_or_pgd.Found:
    families, staying = fgsm_or_pgd.FAMILIES, fgsm_or_pgd.STAYING

    def tried(right: int) -> fgsm_or_pgd.Tried:
        names = {fgsm_or_pgd.key(f, steps): steps for f in (*families, staying) for steps in fgsm_or_pgd.STEPS}
        gradients = {name: float(steps) if name.startswith(staying) else steps / 2 for name, steps in names.items()}
        counts = dict.fromkeys(names, right) | {"FGSM": right + 4}
        return fgsm_or_pgd.Tried(outcomes_of(19, counts, gradients | {"FGSM": 1.0}), 0.0, 64)

    return fgsm_or_pgd.Found("small-cnn", "0.15", fgsm_or_pgd.STEPS, {"undefended": tried(1), "defended": tried(12)})


def of_defence() -> defence.Found:
    robust = {"none": 1, "FGSM loss": 12, "PGD batch": 14}
    found = {
        way.name: outcomes_of(19, {"FGSM": robust[way.defence] + 3, "PGD-10": robust[way.defence] + way.augmented})
        for way in defence.FACTORIAL
    }
    gaps = (Gap("as trained", True, "FGSM", 0.3, 0.9), Gap("folded", False, "FGSM", 1e-16, 1.0))
    return defence.Found("0.15", None, False, found, Sameness(gaps, 64))


def of_transfer() -> transfer.Found:
    names = ("small-cnn, A", "small-cnn, B", "resnet18, B")
    right = dict(zip(names, (1, 10, 16), strict=True))
    attacks = {transfer.key(kind, name): right[name] + (kind == "FGSM") for kind in transfer.KINDS for name in names}
    found = {name: outcomes_of(19, {"noise": 18, **attacks}) for name in names}
    return transfer.Found("small-cnn", "resnet18", "2/255", found)


def of_findings() -> findings.Found:
    def judged(straight: int, verdict: str) -> findings.Judged:
        checks = (
            findings.Check("gradients are there", verdict, "All are 0."),
            findings.Check("enough", "pass", "Yes."),
        )
        careful = outcomes_of(19, {findings.ADAPTED: 1, findings.THROUGH: 2})
        return findings.Judged(outcomes_of(19, {findings.STRAIGHT: straight}), careful, checks)

    return findings.Found(
        "0.15", {"honest": judged(2, "pass"), "scaled": judged(18, "fail"), "noisy": judged(9, "not checked")}
    )


def sampled(kernel: float, coverage: float) -> SampleEntry:
    return SampleEntry(10 * kernel, estimate(kernel), *map(estimate, (0.8, 0.9, 0.7, coverage)))


def of_compare() -> compare.Found:
    """The VAE has the better bound, the GAN the better samples."""
    images = torch.rand(10, 1, 8, 8)
    sees = "256 grey levels"
    models = (
        compare.Model("vae", estimate(2.0), "upper bound", sees, sampled(0.5, 0.4), 0.0, 3.0, 0.5, 500, images),
        compare.Model("gan", None, "", "", sampled(0.1, 0.9), 0.0, 5.0, 0.2, 700, images),
        compare.Model(
            "coupling-flow", estimate(1.5), "upper bound", sees, sampled(0.11, 0.8), 0.01, 9.0, 1.0, 90, images
        ),
    )
    yardsticks = {"real data": sampled(0.0, 0.97), "a Gaussian per class": sampled(0.2, 0.7)}
    return compare.Found(models, compare.Yardsticks(yardsticks, "All compare features of a net.", 200, images))


def of_gan() -> gan.Found:
    names = [f"{stage}/{name}" for stage in ("train", "val") for name in gan.CURVES]
    return gan.Found(
        epochs=2,
        statement="No sign of mode collapse: two samples lie 0.98 times as far apart.",
        curves={"epoch": [0.0, 1.0, 2.0], **{name: [1.4, 1.2, 1.0] for name in names}},
        columns={name: Column(name, "nats") for name in gan.CURVES},
        samples=dict.fromkeys((0, 2), figures.png(figures.bars([1.0]))),
        paths=torch.rand(18, 1, 4, 4, generator=torch.Generator().manual_seed(0)),
        optimum=Optimum(
            x=torch.linspace(-1, 1, 5),
            best=torch.linspace(0.2, 0.8, 5),
            learnt=torch.linspace(0.25, 0.75, 5),
            value=estimate(-1.25, 0.003),
            limit=-1.253,
            error=0.02,
            steps=500,
        ),
        saturation=Saturation((0, 10, 100), (0.5, 0.2, 0.01), (1.0, 0.4, 0.02), (1.0, 1.6, 2.0)),
    )


def of_disentanglement() -> disentanglement.Found:
    """At β=4 the first two dimensions know one factor each; at β=16 none knows any."""
    models = tuple(
        disentanglement.Model(
            weight, estimate(mig), *(estimate(mig + 0.3),) * 2, estimate(right), estimate(right), estimate(rate),
            estimate(rate - 90),
        )
        for weight, mig, right, rate in ((1.0, 0.1, 0.6, 6.0), (4.0, 0.35, 0.5, 4.0), (16.0, 0.0, 0.25, 1.0))
    )  # fmt: skip
    information = torch.zeros(3, 5, dtype=torch.float64)
    information[0, 2], information[1, 3] = 0.9, 0.8
    best = disentanglement.Best(4.0, information, (0, 1), torch.zeros(18, 1, 16, 16))
    return disentanglement.Found(models, best, seeds=1, images=1024)


def of_autoencoders() -> autoencoders.Found:
    errors = {"PCA": (3.0, 1.0), "linear autoencoder": (3.1, 1.01), "deep autoencoder": (2.0, 0.8)}
    shares = ((0.3, 0.2), (0.9, 0.5), (0.95, 0.96))
    return autoencoders.Found(
        images=360,
        variance=4.0,
        components=(2, 10),
        errors={kind: tuple(map(estimate, values)) for kind, values in errors.items()},
        sines=(0.001, 0.02),
        shown=10,
        originals=torch.rand(3, 1, 8, 8),
        reconstructed={kind: torch.rand(3, 1, 8, 8) for kind in errors},
        drawn={
            name: autoencoders.Drawn(estimate(precision), estimate(coverage))
            for name, (precision, coverage) in zip(autoencoders.SOURCES, shares, strict=True)
        },
        samples={name: torch.rand(4, 1, 8, 8) for name in autoencoders.SOURCES},
    )


def of_langevin() -> langevin.Found:
    places = torch.cartesian_prod(torch.arange(3.0), torch.arange(3.0))
    fields = {"σ = 1": -places, "σ = 0.3": 0.1 * places}
    return langevin.Found(
        chains=100,
        variance=tuple(Estimate(langevin.exact_variance(h) + 0.01, 0.01, 100) for h in langevin.STEPS),
        drawn=200,
        shares={"exact": Proportion(160, 200), "plain": Proportion(100, 200), "annealed": Proportion(158, 200)},
        points={name: torch.rand(20, 2) for name in ("exact", "plain", "annealed")},
        ring=langevin.Ring(
            torch.rand(20, 2), places, fields, fields, {"σ = 1": 0.01, "σ = 0.3": 0.02}, torch.rand(20, 2), 8,
            Proportion(90, 100),
        ),
        walk=torch.rand(6, 1, 8, 8),
        stops=3,
    )  # fmt: skip


ALL = {
    "vae": of_vae,
    "manifold": of_manifold,
    "beta": of_beta,
    "estimators": of_estimators,
    "reparameterisation": of_reparameterisation,
    "divergences": of_divergences,
    "autoencoders": of_autoencoders,
    "langevin": of_langevin,
    "gan": of_gan,
    "mode-collapse": of_mode_collapse,
    "latent-matching": of_latent_matching,
    "flows": of_flows,
    "diffusion": of_diffusion,
    "disentanglement": of_disentanglement,
    "compare": of_compare,
    "fgsm": of_fgsm,
    "fgsm-or-pgd": of_fgsm_or_pgd,
    "defence": of_defence,
    "transfer": of_transfer,
    "findings": of_findings,
}
