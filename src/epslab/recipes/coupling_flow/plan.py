"""From a coupling flow's settings to its plan."""

from epslab import seeds
from epslab.data import ImageSet, PointSet
from epslab.generative.flows.coupling_flow import CouplingFlow
from epslab.generative.flows.objective import FlowObjective
from epslab.recipes.coupling_flow.measure import measure
from epslab.recipes.coupling_flow.settings import CouplingFlowRecipe
from epslab.recipes.plan import Plan, draw_samples
from epslab.runs import Run

_FIRST = 10_000  # examples that set the first layer


def plan(settings: CouplingFlowRecipe, examples: ImageSet | PointSet, seed: int) -> Plan:
    """The flow for examples of this shape, its bound as the loss, samples at the epochs the settings name."""
    flow = build(settings, examples.shape, seed)

    def start() -> None:
        first = examples[:_FIRST]
        flow.initialise(first.images if isinstance(first, ImageSet) else first.points)

    def look(flow: CouplingFlow, epoch: int, run: Run) -> None:
        if epoch in settings.sample_epochs or epoch == settings.epochs:
            draw_samples(flow.sample, run, epoch, seed)

    return Plan(
        flow,
        FlowObjective(flow),
        start=start,
        monitor="val/bits_per_dim" if flow.of_images else "val/loss",
        look=look,
        measure=measure,
    )


def build(settings: CouplingFlowRecipe, shape: tuple[int, ...], seed: int) -> CouplingFlow:
    """The untrained model for examples of this shape; the same seed gives the same weights."""
    steps, width = (4, 48) if len(shape) == 3 else (16, 64)
    with seeds.seeded(seed, "weights"):
        return CouplingFlow(
            shape, settings.levels, settings.steps or steps, settings.width or width, settings.dequantisation
        )
