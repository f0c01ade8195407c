"""What every recipe has: a dataclass of settings, each a flag, and the work that is done by them."""

from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

if TYPE_CHECKING:
    from epslab.recipes.work import Work


@runtime_checkable
class Recipe(Protocol):
    """Settings that train one model: a frozen dataclass that loads without torch.

    ``name`` is what the command line calls it, ``verbs`` what the command line does with its runs, ``monitor`` the
    column of ``metrics.csv`` whose smallest value marks the best epoch. The other members are ``fit``'s arguments.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]
    name: ClassVar[str]
    verbs: ClassVar[tuple[str, ...]]

    def __init__(self, **settings: Any) -> None: ...

    @property
    def epochs(self) -> int:
        """Passes over the training images."""
        ...

    @property
    def batch_size(self) -> int:
        """Images a step."""
        ...

    @property
    def gradient_clip(self) -> float | None:
        """Largest norm of a step's gradient."""
        ...

    @property
    def ema_decay(self) -> float | None:
        """Decay of the weights' moving average."""
        ...

    @property
    def patience(self) -> int | None:
        """Epochs without a better one after which training stops."""
        ...

    @property
    def validation_fraction(self) -> float:
        """Share of the training images held out."""
        ...

    @property
    def monitor(self) -> str:
        """The column that chooses the best epoch."""
        ...

    def work(self) -> "Work":
        """What trains and measures it; loads torch."""
        ...
