"""The weight of the KL term: what β buys in rate and pays in distortion, and when the posterior collapses."""

from itertools import pairwise

from epslab import figures, recipes
from epslab.evaluation.estimators import Elbo
from epslab.evaluation.latents import evaluate_latents
from epslab.evaluation.likelihood import evaluate_likelihood
from epslab.report import StudyResult, Table, number
from epslab.studies.context import Context
from epslab.studies.spread import count, meaning, over_seeds, text

QUESTION = "What does the weight β of the KL term trade, and when does the posterior collapse?"


def run(context: Context) -> StudyResult:
    """Train at each β and measure rate, distortion and active units on the test images."""
    betas = context.pick((0.1, 0.3, 1.0, 3.0, 10.0), (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0))
    trained = {
        beta: [
            # The course's own model is β = 1: it is trained once for all studies.
            context.train(context.recipe(beta=beta), "vae" if beta == 1 else f"beta-{beta:g}", seed)
            for seed in context.seeds
        ]
        for beta in betas
    }
    test = recipes.splits(trained[1.0][0], context.data_root).test
    rate, distortion, bits, active, statements = {}, {}, {}, {}, {}
    for beta, runs in trained.items():
        models = [recipes.load(run) for run in runs]
        likelihoods = [evaluate_likelihood(vae, test, {"elbo": Elbo()}, seed=context.seed) for vae in models]
        latents = [evaluate_latents(vae, test, seed=context.seed) for vae in models]
        rate[beta] = over_seeds([report.part("kl") for report in likelihoods])
        distortion[beta] = over_seeds([report.part("reconstruction") for report in likelihoods])
        bits[beta] = over_seeds([report.bits_per_dim() for report in likelihoods])
        active[beta] = count([report.active_units for report in latents])
        statements[beta] = latents[0].statement
    low, high, best = betas[0], betas[-1], min(betas, key=lambda beta: bits[beta].mean)
    falls = all(rate[a].mean > rate[b].mean for a, b in pairwise(betas))
    return StudyResult(
        name="beta",
        question=QUESTION,
        answer=(
            f"From β={low:g} to β={high:g} the rate goes from {text(rate[low])} to {text(rate[high])} nats"
            f" ({'falling' if falls else 'not falling'} at every step), the distortion from {text(distortion[low])} to"
            f" {text(distortion[high])} nats, and the active units from {number(active[low])} to"
            f" {number(active[high])} of {context.recipe().latent_dim}. The bound is best at β={best:g}:"
            f" {text(bits[best])} bits/dim. At β={high:g}, {_uncapitalised(statements[high])}"
        ),
        figures={
            "Rate against distortion: a small β buys a faithful picture with a costly code; at rate 0 the code says"
            " nothing.": figures.rate_distortion(
                [rate[beta].mean for beta in betas],
                [distortion[beta].mean for beta in betas],
                [f"β={beta:g}" for beta in betas],
                rate_spread=[rate[beta].standard_error for beta in betas],
                distortion_spread=[distortion[beta].standard_error for beta in betas],
            ),
            f"Active units of {context.recipe().latent_dim}: those whose mean varies over images by more than"
            " 0.01.": figures.bars(
                [active[beta] for beta in betas],
                labels=[f"{beta:g}" for beta in betas],
                x_label="β",
                y_label="active units",
            ),
        },
        tables=(
            Table(
                f"{len(test):,} test images",
                ("β", "rate, nats", "distortion, nats", "bits/dim", "active units"),
                [
                    (f"{beta:g}", text(rate[beta]), text(distortion[beta]), text(bits[beta]), active[beta])
                    for beta in betas
                ],
                note=(
                    "Rate: KL from posterior to prior. Distortion: −E log p(x|z). Bits/dim: the ELBO's, with weight 1"
                    f" whatever β was in training. {meaning(context.seeds)}"
                ),
            ),
            Table(
                "Has the posterior collapsed?", ("β", "statement"), [(f"{beta:g}", statements[beta]) for beta in betas]
            ),
        ),
        runs=tuple(run.folder for runs in trained.values() for run in runs),
    )


def _uncapitalised(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
