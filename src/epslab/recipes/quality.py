"""How a recipe measures its samples: drawn, compared with held-out examples, shown beside yardsticks.

The options load without torch; the rest is imported when samples are measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from epslab.errors import UserError
from epslab.recipes.checks import require

if TYPE_CHECKING:
    from epslab.recipes.plan import Asked, Sampler
    from epslab.runs import Measured, Run


@dataclass(frozen=True)
class Samples:
    """How samples are measured.

    Args:
        generated: Samples to draw and compare with as many held-out examples; null: as many as there are; 0: none.
        features: Run folder of a classifier, whose features of the images are compared; null: a small CNN, trained once
            beside the run, in `features-DATA`.
        neighbours: Which nearest neighbour the neighbourhoods of precision, recall, density and coverage reach to.

    Raises:
        UserError: A negative number of samples, or no neighbour.
    """

    generated: int | None = None
    features: str | None = None
    neighbours: int = 5

    def __post_init__(self) -> None:
        """Check the counts."""
        require(self, "0 or more", lambda n: n >= 0, "generated")
        require(self, "1 or more", lambda n: n >= 1, "neighbours")


def measure_samples(sample: "Sampler | None", run: "Run", images: Any, asked: "Asked") -> "Measured":
    """Draw samples and measure them as the options say; pictures go to the run.

    Points whose modes are known are counted by mode (``epslab.evaluation.evaluate_modes``). Images, and other points,
    are compared with held-out ones (``epslab.evaluation.samples``), and so are three yardsticks.

    A recipe calls it at the end of its ``measure`` and joins what it returns to its own numbers (``joined``).

    Args:
        sample: Draws them; None: the model has no samples, and nothing is measured.
        run: The run that is measured.
        images: Held-out examples.
        asked: Its options are a ``Samples``; with other options, or none, nothing is measured.

    Raises:
        UserError: The training examples are not known (a run that ``fit`` wrote), or the features cannot be had.
    """
    from epslab.runs import Measured

    options = asked.options
    if sample is None or not isinstance(options, Samples) or options.generated == 0:
        return Measured([])
    modes = getattr(images, "modes", None)
    if modes is not None and modes.centres.shape[1] == 2:
        from epslab.recipes.sample_quality import drawn, modes_measured

        return modes_measured(drawn(sample, options.generated or len(images), asked), modes, run)
    if asked.beside is None:
        raise UserError(
            f"Samples of '{run.folder}' cannot be measured: only a recipe's run knows its training examples; leave"
            " `generated=` out, or use epslab.evaluation.samples in Python."
        )
    train = asked.beside.train()
    n = min(len(images), len(train)) if options.generated is None else options.generated
    if options.generated is None and n <= options.neighbours:
        few = f"{n} held-out {run.examples} are too few to compare samples with"
        return Measured([], warnings=[f"No samples were measured: {few}."])
    from epslab.recipes.sample_quality import drawn, measured

    return measured(drawn(sample, n, asked), images, train, run, asked)


def joined(*parts: "Measured") -> "Measured":
    """All that was measured, in order; the headline is the first that any part has."""
    from epslab.runs import Measured

    found: list[Any] = []
    for one in (one for part in parts for one in part.measurements):
        again = one.headline and any(earlier.headline for earlier in found)
        found.append(replace(one, headline=False) if again else one)
    return Measured(
        found,
        tables=_chained([part.tables for part in parts]),
        statements=_chained([part.statements for part in parts]),
        warnings=_chained([part.warnings for part in parts]),
        conditions="; ".join(filter(None, (part.conditions for part in parts))),
        per_example={key: values for part in parts for key, values in part.per_example.items()},
    )


def _chained(parts: "Sequence[Sequence[Any]]") -> list[Any]:
    return [one for part in parts for one in part]
