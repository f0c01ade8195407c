"""Clean and robust accuracy, with the evidence that the attacks worked."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from epslab.arrays import ImagesLike, LabelsLike, as_images, as_labels
from epslab.attacks.attacked import Attack
from epslab.errors import UserError
from epslab.evaluation.fingerprints import fingerprint
from epslab.evaluation.identity import measured_of
from epslab.evaluation.portions import TestSet
from epslab.evaluation.processes import Processes
from epslab.evaluation.progress import progress_bar
from epslab.evaluation.radius_sweep import RadiusSweep
from epslab.evaluation.robustness_inputs import placed, require, require_classes
from epslab.evaluation.robustness_jobs import OnBatch, assigned, walk
from epslab.evaluation.robustness_plan import Plan
from epslab.evaluation.robustness_report import RobustnessReport
from epslab.evaluation.robustness_store import FolderStore, MemoryStore, Store
from epslab.lightning import Strategy
from epslab.runs import lock
from epslab.types import Classifier


# Plain annotations where the function itself refuses what is wrong, with a sentence.
def evaluate_robustness(
    model: Classifier,
    images: ImagesLike,
    labels: LabelsLike,
    attacks: Mapping[str, Attack],
    *,
    batch_size: int = 256,
    seed: int = 0,
    out: Path | str | None = None,
    resume: bool = False,
    sweep: RadiusSweep | None = RadiusSweep(),  # noqa: B008 - frozen
    findings: bool = True,
    progress: bool = False,
    on_batch: OnBatch | None = None,
    devices: int | str | Sequence[int] = 1,
    accelerator: str = "auto",
    strategy: str | Strategy = "auto",
    num_nodes: int = 1,
) -> RobustnessReport:
    """Attack a model and report its accuracies, and whether the attacks deserve to be believed.

    Nothing is believed of an attack: whether an example is broken is the model's own answer, in full precision, to the
    image the attack returned, after a check in float64 that this image lies in ball and box. An attack that breaks that
    rule ends the evaluation with a sentence that names it. An example that the model gets wrong without an attack is
    broken under every attack; an attack with a target succeeds whenever the model says another class than the label.

    Example i's noise is a function of the seed, the attack's name and i: results depend on batch size, order of the
    attacks and number of processes only by float rounding. A model is used in eval mode and comes back as it was; so do
    torch's generators.

    With ``out``, results are written batch by batch, and an evaluation killed at any moment and resumed with the same
    batch size gives the same report bit for bit (on the same machine); with another batch size, up to rounding.
    The folder then holds ``evaluation.json`` (what is evaluated), ``results/clean``, ``results/attacks/NAME``,
    ``results/sweep`` and ``results/checks/NAME`` (per batch: indices, adversarial images in float and in 8 bits,
    predictions, distances, queries, gradients; safetensors), ``robustness.json``, ``robustness.csv``, ``sweep.csv``,
    ``examples.csv``. Without it, results stay in memory, with the adversarial images of the first 64 examples only.

    >>> import torch
    >>> from epslab.attacks import FGSM
    >>> from epslab.geometry import Linf
    >>> model, images, labels = torch.nn.Flatten(), torch.eye(4).view(4, 1, 2, 2), torch.arange(4)
    >>> report = evaluate_robustness(model, images, labels, {"small": FGSM(Linf(0.1)), "large": FGSM(Linf(0.6))})
    >>> float(report.clean_accuracy), float(report.robust_accuracy["small"]), float(report.worst_case)
    (1.0, 1.0, 0.0)

    Args:
        model: Images to logits [n classes]: any module or function. A module is given images on its device in its
            dtype, a function gets them as they are. The output may hold the logits (``output.logits``), and be a numpy
            array, which has no gradients (``epslab.nets.answers``). One that draws takes ``seeds`` and ``counter``
            (``epslab.nets.random``), and is given each example's own seeds.
        images: [n c h w] in [0, 1], a tensor or numpy array.
        labels: The true classes, [n]; a tensor, numpy array or list.
        attacks: By name; at least one. Every radius is one number.
        batch_size: Images at a time.
        seed: Of all noise.
        out: A folder for results, new or of the same evaluation.
        resume: Carry on with the evaluation in ``out``; where there is none, begin one.
        sweep: Which radii accuracy is measured at; None: at none. There is none either where no attack has a ball and
            the sweep names no norm.
        findings: Run the checks, on at most 256 examples drawn by the seed.
        progress: Show a bar with the examples done, their rate, the time left, and the accuracy of the last batch.
        on_batch: Told of every batch as it is done, in this process.
        devices: Processes, or which GPUs; more than one needs ``out``, on a disk all of them reach. A function must
            then take images on each process's device.
        accelerator: Lightning Fabric's.
        strategy: Lightning Fabric's.
        num_nodes: Machines.

    Raises:
        UserError: Inputs that cannot be evaluated; an attack that broke its rules; ``out`` is in use, or begun with
            another model, other data, attacks or settings.
    """
    images, labels = as_images(images), as_labels(labels)
    require(model, images, labels, attacks, batch_size=batch_size, seed=seed, sweep=sweep)
    attacks = dict(attacks)
    with Processes(devices, accelerator, strategy, num_nodes) as processes, ExitStack() as stack:
        if processes.count > 1 and out is None:
            raise UserError("Several processes share their results through a folder: give `out=`.")
        plan = Plan.of(attacks, len(images), sweep=sweep, findings=findings, seed=seed)
        with placed(model, images, processes.device) as like:
            examples = TestSet(images, labels, like.device, like.dtype, seed)
            require_classes(model, examples)
            known, of = fingerprint(model), measured_of(model, images, labels, out)
            store: Store = MemoryStore()
            if out is not None:
                store = folder = FolderStore(Path(out))
                settings, unknown = plan.settings(known, examples)
                processes.first(lambda: _claim(folder.folder, stack))
                processes.first(lambda: folder.prepare(settings, resume=resume, unknown=unknown))
            mine = assigned(plan.jobs(model, len(images)), batch_size, processes.rank, processes.count)
            total = sum(len(indices) for _, batches in mine for indices in batches)
            with progress_bar("attacking", total, "examples", progress and processes.rank == 0) as advance:
                processes.everywhere(lambda: walk(mine, examples, store, advance, on_batch))
        report = plan.report(store, examples, known.words, of)
        if out is not None:
            processes.first(lambda: report.write(Path(out)))
        return report


def _claim(folder: Path, stack: ExitStack) -> None:
    """Keep other processes from writing to the folder until the stack ends."""
    try:
        stack.enter_context(lock(folder, "attacking a model"))
    except OSError as error:
        raise UserError(f"'{folder}' cannot be used for results: {error}.") from error
