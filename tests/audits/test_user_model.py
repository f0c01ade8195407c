import itertools
import sys
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from epslab.audits.user_model import load_model, require_classifier
from epslab.errors import UserError
from epslab.nets.answers import LogitsOf

SHAPE = (3, 4, 4)
MODELS = '''
from types import SimpleNamespace

import torch
from torch import nn


class Net(nn.Sequential):
    def __init__(self, classes=5):
        super().__init__(nn.Flatten(), nn.Linear(48, classes))


class TransformersLike(Net):
    """Returns its logits in an object, as Hugging Face's classifiers do."""

    def forward(self, pixel_values):
        return SimpleNamespace(logits=super().forward(pixel_values), hidden_states=None)


class DictLike(Net):
    def forward(self, x):
        return {"loss": None, "logits": super().forward(x)}


class Nested:
    net = Net()


def timm_like():
    return Net()


def brightness(images):
    return images.flatten(1)[:, :5]


def sized(classes, width):
    return Net()


def broken():
    raise RuntimeError("no weights\\nat all")


def nothing():
    return None


def pair():
    return Net


class Pair(Net):
    def forward(self, x):
        return super().forward(x), x


class Maps(nn.Module):
    def forward(self, x):
        return x


class NotFinite(Net):
    def forward(self, x):
        return super().forward(x) * float("nan")


net = Net()
number = 3
'''
_numbers = itertools.count()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of the user's in the working folder, of a name of its own."""
    name = f"users_package_{next(_numbers)}"
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("")
    (tmp_path / name / "models.py").write_text(MODELS)
    monkeypatch.chdir(tmp_path)
    yield f"{name}.models"
    for module in [module for module in sys.modules if module.startswith(name)]:
        del sys.modules[module]


def loaded(path, **options):
    return load_model(path, SHAPE, options.pop("classes", 5), **options)


def refusal(path, **options):
    with pytest.raises(UserError) as error:
        loaded(path, **options)
    sentence = str(error.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence


@pytest.mark.parametrize(
    "name", ["timm_like", "Net", "net", "Nested.net", "TransformersLike", "DictLike", "brightness"]
)
def test_factories_classes_objects_and_functions_become_classifiers(package, name):
    model = loaded(f"{package}:{name}")
    assert model(torch.rand(7, *SHAPE)).shape == (7, 5)
    assert not (isinstance(model, nn.Module) and model.training)


def test_a_net_that_returns_logits_is_not_wrapped(package):
    """An attack traces the user's own net; a wrapper whose output depends on the type could not be traced."""
    assert not isinstance(loaded(f"{package}:Net"), LogitsOf)
    assert isinstance(loaded(f"{package}:TransformersLike"), LogitsOf)


def test_the_import_path_leaves_no_trace_on_the_search_path(package):
    before = list(sys.path)
    loaded(f"{package}:Net")
    assert sys.path == before


@pytest.mark.parametrize("name", ["Net", "TransformersLike", "brightness"])
def test_normalisation_is_put_before_the_net(package, name):
    loaded(f"{package}:net")  # importing the module draws weights, too
    torch.manual_seed(0)
    bare = loaded(f"{package}:{name}")
    torch.manual_seed(0)
    model = loaded(f"{package}:{name}", mean=[0.1, 0.2, 0.3], std=[0.5, 0.25, 1.0])
    x = torch.rand(2, *SHAPE)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in ([0.1, 0.2, 0.3], [0.5, 0.25, 1.0]))
    torch.testing.assert_close(model(x), bare((x - mean) / std))


@pytest.mark.parametrize(
    ("suffix", "nested"), [(".safetensors", None), (".pth", None), (".pth", "state_dict"), (".pth", "model")]
)
@pytest.mark.parametrize("prefix", ["", "module."])
def test_weights_come_from_a_file(package, tmp_path, suffix, nested, prefix):
    source = nn.Sequential(nn.Flatten(), nn.Linear(48, 5))
    state = {f"{prefix}{name}": tensor for name, tensor in source.state_dict().items()}
    file = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file(state, file)
    else:
        torch.save({nested: state, "epoch": 3} if nested else state, file)
    x = torch.rand(2, *SHAPE)
    assert loaded(f"{package}:Net", state=file)(x).equal(source(x))


def test_weights_go_below_the_wrapper_and_the_normalisation(package, tmp_path):
    source = nn.Sequential(nn.Flatten(), nn.Linear(48, 5))
    torch.save(source.state_dict(), tmp_path / "w.pth")
    model = loaded(f"{package}:TransformersLike", state=tmp_path / "w.pth", mean=[0.5], std=[0.5])
    x = torch.rand(2, *SHAPE)
    torch.testing.assert_close(model(x), source((x - 0.5) / 0.5))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("nowhere", "write package.module:name"),
        ("nowhere:", "write package.module:name"),
        (":net", "write package.module:name"),
        ("a b:net", "write package.module:name"),
        ("nowhere_at_all:net", "no module 'nowhere_at_all'"),
        ("{}s:net", "no module"),
        ("{}:missing", "has no 'missing'; it has DictLike"),
        ("{}:number", "of type int"),
        ("{}:sized", "(classes, width)"),
        ("{}:broken", "RuntimeError: no weights."),
        ("{}:nothing", "returned None"),
        ("{}:pair", "cannot take images"),
        ("{}:Pair", "Pair' returns a tuple (Tensor [2, 5], Tensor [2, 3, 4, 4]), but must return its logits"),
        ("{}:Maps", "a tensor of shape [2, 3, 4, 4]"),
        ("{}:NotFinite", "not finite"),
    ],
)
def test_what_is_no_classifier_gets_one_sentence(package, path, expected):
    assert expected in refusal(path.format(package))


def test_a_wrong_number_of_classes_is_refused(package):
    assert "tells 5 classes apart, but the data has 10" in refusal(f"{package}:Net", classes=10)


def test_images_of_another_shape_are_refused(package):
    with pytest.raises(UserError, match=r"cannot take images of shape 1×4×4 \(RuntimeError"):
        load_model(f"{package}:Net", (1, 4, 4), 5)


def test_a_normalisation_for_other_channels_is_refused(package):
    assert "2 channels" in refusal(f"{package}:Net", mean=[0.1, 0.2], std=[1.0, 1.0])


@pytest.mark.parametrize("half", [{"mean": [0.5]}, {"std": [0.5]}])
def test_half_a_normalisation_is_refused(package, half):
    assert "needs both" in refusal(f"{package}:Net", **half)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("import surely_not_installed", "needs 'surely_not_installed'"),
        ("def f(:", "cannot be imported (SyntaxError"),
        ("1 / 0", "cannot be imported (ZeroDivisionError"),
    ],
)
def test_a_module_that_cannot_be_imported_gets_one_sentence(package, tmp_path, content, expected):
    folder = package.partition(".")[0]
    (tmp_path / folder / "bad.py").write_text(content)
    assert expected in refusal(f"{folder}.bad:net")


def test_weights_of_another_model_are_refused(package, tmp_path):
    torch.save(nn.Linear(3, 2).state_dict(), tmp_path / "w.pth")
    assert "are for another net: 4 of its entries differ, first" in refusal(f"{package}:Net", state=tmp_path / "w.pth")


def test_a_pickle_that_runs_code_is_not_opened(package, tmp_path):
    torch.save({"weights": SimpleNamespace(a=1)}, tmp_path / "w.pth")
    assert "could run any code" in refusal(f"{package}:Net", state=tmp_path / "w.pth")


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_files_that_hold_no_weights_are_refused(package, tmp_path, name):
    assert "There is no file" in refusal(f"{package}:Net", state=tmp_path / name)
    (tmp_path / name).write_bytes(b"no weights at all")
    assert name in refusal(f"{package}:Net", state=tmp_path / name)
    if name.endswith("pth"):
        torch.save({"a": 1}, tmp_path / name)
        assert "holds no weights" in refusal(f"{package}:Net", state=tmp_path / name)


def test_a_function_has_no_weights_to_load(package, tmp_path):
    assert "no weights to load" in refusal(f"{package}:brightness", state=tmp_path / "w.pth")


def test_a_double_precision_model_is_asked_in_its_own_type():
    model = nn.Sequential(nn.Flatten(), nn.Linear(48, 5)).double()
    asked = []
    model.register_forward_pre_hook(lambda module, inputs: asked.append(inputs[0].dtype))
    require_classifier(model, "it", SHAPE, 5)
    assert set(asked) == {torch.float64}
