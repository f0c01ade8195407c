"""Measure samples beside held-out examples, and yardsticks beside both."""

import torch
from jaxtyping import Float
from torch import Tensor

from epslab.data import ImageSet, PointSet
from epslab.errors import UserError
from epslab.evaluation.estimate import Estimate
from epslab.evaluation.progress import Advance, progress_bar
from epslab.evaluation.samples.distances import frechet_distance, kernel_distance
from epslab.evaluation.samples.features import Features, extract, name_of
from epslab.evaluation.samples.memorisation import Memorisation
from epslab.evaluation.samples.neighbourhoods import Neighbourhoods, neighbourhoods, reach
from epslab.evaluation.samples.report import SAMPLES, SampleEntry, SampleReport
from epslab.evaluation.samples.yardsticks import yardsticks

Given = Tensor | ImageSet | PointSet


@torch.no_grad()
def evaluate_samples(
    samples: Float[Tensor, "n *shape"],
    reference: Given,
    features: Features,
    *,
    train: ImageSet | PointSet | None = None,
    neighbours: int = 5,
    batch_size: int = 256,
    seed: int = 0,
    progress: bool = False,
) -> SampleReport:
    """Compare samples with held-out examples by features of the caller's choice.

    With training examples, three yardsticks of as many samples stand beside them: training examples themselves, a
    Gaussian per class, and training examples plus noise; and the nearest training example of each sample is found.

    >>> from epslab.data import load
    >>> from epslab.evaluation.samples import evaluate_samples, pixels
    >>> train, test = load("digits"), load("digits", "test")
    >>> report = evaluate_samples(torch.rand(100, 1, 8, 8), test, pixels, train=train)
    >>> report["coverage"].mean < 0.1, list(report.entries)
    (True, ['samples', 'real data', 'a Gaussian per class', 'real data plus noise'])

    Args:
        samples: Images [n c h w] in [0, 1], or points [n d], on the CPU.
        reference: Examples that the model was not trained on, as they are (augmented ones follow another law).
        features: Images or points to [n d], e.g. ``ClassifierFeatures``, ``pixels`` or ``coordinates``; a module is
            used in eval mode and comes back as it was.
        train: What the model was trained on, as it is; None: no yardsticks, no search for copies.
        neighbours: k: a neighbourhood reaches to the k-th nearest neighbour.
        batch_size: Examples at a time through ``features``.
        seed: Of the yardsticks, and of the blocks of the kernel distance.
        progress: Show a bar.

    Raises:
        UserError: Samples and reference differ in shape, either has k examples or fewer, the training examples are
            fewer than the samples, a sample is not finite, or the features are no [n d].
    """
    held_out = reference if isinstance(reference, Tensor) else reference.batch(torch.arange(len(reference)))[0]
    _check(samples, held_out, train, neighbours)
    sets = {SAMPLES: samples, **({} if train is None else yardsticks(train, len(samples), seed))}
    steps = len(sets) + 1 + (train is not None)
    with progress_bar("comparing samples", steps, "steps", progress) as advance:
        data = extract(features, held_out, batch_size)
        data_reach = reach(data, neighbours)
        advance(1)
        entries, lying = {}, {}
        for name, drawn in sets.items():
            own = extract(features, drawn, batch_size)
            lying[name] = neighbourhoods(data, own, neighbours, data_reach)
            entries[name] = _entry(data, own, lying[name], seed)
            advance(1)
        memorisation = None if train is None else _memorisation(samples, held_out, train, advance)
    return SampleReport(
        entries,
        name_of(features),
        dimensions=data.shape[1],
        samples=len(samples),
        reference=len(held_out),
        neighbours=neighbours,
        per_reference={"recall": lying[SAMPLES].recall.cpu(), "coverage": lying[SAMPLES].coverage.cpu()},
        noun="images" if samples.ndim == 4 else "points",
        memorisation=memorisation,
    )


def _entry(data: Tensor, drawn: Tensor, found: Neighbourhoods, seed: int) -> SampleEntry:
    return SampleEntry(
        frechet_distance(data, drawn),
        kernel_distance(data, drawn, seed),
        *(Estimate.of(values) for values in (found.precision, found.recall, found.density, found.coverage)),
    )


def _memorisation(samples: Tensor, held_out: Tensor, train: ImageSet | PointSet, advance: Advance) -> Memorisation:
    found = Memorisation.of(samples, held_out, train)
    advance(1)
    return found


def _check(samples: Tensor, held_out: Tensor, train: ImageSet | PointSet | None, neighbours: int) -> None:
    if neighbours < 1:
        raise UserError(f"neighbours is {neighbours}, but must be 1 or more.")
    if samples.shape[1:] != held_out.shape[1:]:
        raise UserError(
            f"The samples have shape {list(samples.shape[1:])} and the held-out examples {list(held_out.shape[1:])};"
            " give both in one shape."
        )
    few = min(len(samples), len(held_out))
    if few <= neighbours:
        raise UserError(
            f"There are {len(samples)} samples and {len(held_out)} held-out examples, but neighbourhoods that reach to"
            f" neighbour {neighbours} need {neighbours + 1} of each or more."
        )
    if bad := int((~samples.flatten(1).isfinite().all(1)).sum()):
        raise UserError(f"{bad} of {len(samples)} samples are NaN or infinite: a model that draws them has diverged.")
    if train is not None and len(train) < max(len(samples), 2):
        raise UserError(
            f"There are {len(train)} training examples and {len(samples)} samples, but yardsticks of as many need as"
            " many training examples: draw fewer samples."
        )
