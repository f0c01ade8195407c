"""The pictures of a classifier's answers: how well its confidence is calibrated, and its mistakes."""

from epslab import figures
from epslab.classifiers.calibration import calibration
from epslab.data import ImageSet
from epslab.recipes.classifier.answers import Answers
from epslab.runs import Run

_MOST_CLASSES = 30  # a confusion matrix of more is no picture
_MISTAKES = 16


def draw(answers: Answers, images: ImageSet, run: Run) -> None:
    """The reliability diagram, the confusion matrix, and the mistakes made with the most confidence."""
    curve = calibration(answers.logits, answers.labels)
    run.show(
        "reliability",
        figures.reliability(curve.confidence, curve.accuracy, curve.count / curve.count.sum()),
        "How often the classifier is right against how sure it is; below the dashed line it is too sure. The bars are"
        " the share of images with that confidence.",
    )
    if len(images.classes) <= _MOST_CLASSES:
        run.show(
            "confusion",
            figures.confusion(answers.confusion(), images.classes),
            "What test images of each class (row) were wrongly taken for (column); right answers are left out.",
        )
    mistakes = answers.mistakes(_MISTAKES)
    if not len(mistakes):
        (run.figures / "mistakes.png").unlink(missing_ok=True)
        return
    drawing = figures.mistakes(
        images[mistakes].images,
        [images.classes[label] for label in answers.labels[mistakes].tolist()],
        [images.classes[label] for label in answers.predicted[mistakes].tolist()],
        answers.confidence[mistakes],
    )
    run.show(
        "mistakes",
        drawing,
        "The wrong answers given with the most confidence: class → answer, and how sure the classifier was.",
    )
