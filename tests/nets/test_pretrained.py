"""Weights from files and URLs: what loads, what stays as it was, and what is refused without being run."""

import os
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from epslab import seeds
from epslab.errors import UserError
from epslab.nets import load_pretrained, resnet18, small_cnn


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Path]]:
    """A server's address and its folder; torch's hub keeps what it fetches in another."""
    folder = tmp_path / "served"
    folder.mkdir()
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}", folder
        http.shutdown()
        thread.join()


class Net(nn.Sequential):
    """A net with ResNet's first and last names, small enough to be written to disk often."""

    def __init__(self, classes: int = 3, channels: int = 3, features: int = 4) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, features, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(features)
        self.fc = nn.Linear(features, classes)


def weights(net: nn.Module, seed: int = 1) -> dict[str, Tensor]:
    """Weights for such a net, none of them what it starts with."""
    g = seeds.generator(seed, "weights")
    return {
        name: torch.randn(tensor.shape, generator=g) if tensor.is_floating_point() else torch.tensor(7)
        for name, tensor in net.state_dict().items()
    }


def same(net: nn.Module, expected: dict[str, Tensor]) -> bool:
    state = net.state_dict()
    return state.keys() == expected.keys() and all(torch.equal(state[name], expected[name]) for name in state)


def snapshot(net: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def test_an_imagenet_resnet_loads_whole_and_for_another_stem_and_head_all_but_those(tmp_path: Path) -> None:
    file = tmp_path / "resnet18.pth"
    saved = weights(resnet18(1000, "imagenet"))
    torch.save(saved, file)
    net = resnet18(1000, "imagenet")
    assert load_pretrained(net, file) == ()
    assert same(net, saved)
    other = resnet18(10, "cifar")
    before = snapshot(other)
    kept = load_pretrained(other, file)
    assert kept == ("conv1.weight", "fc.weight", "fc.bias")
    assert same(other, saved | {name: before[name] for name in kept})


def test_a_part_that_differs_in_one_entry_stays_whole(tmp_path: Path) -> None:
    saved = weights(Net())
    del saved["fc.bias"]
    torch.save(saved, tmp_path / "w.pth")
    net = Net()
    before = snapshot(net)
    assert load_pretrained(net, tmp_path / "w.pth") == ("fc.weight", "fc.bias")
    assert torch.equal(net.fc.weight, before["fc.weight"])
    assert torch.equal(net.conv1.weight, saved["conv1.weight"])


def test_which_parts_are_free_is_the_callers_to_say(tmp_path: Path) -> None:
    torch.save(weights(small_cnn((1, 8, 8), 10, 2)), tmp_path / "w.pth")
    assert load_pretrained(small_cnn((1, 8, 8), 3, 2), tmp_path / "w.pth", free=("13.",)) == ("13.weight", "13.bias")
    with pytest.raises(UserError, match=r"first '13.weight'"):
        load_pretrained(small_cnn((1, 8, 8), 3, 2), tmp_path / "w.pth")


def test_safetensors_and_every_packing_of_a_state_dict_load(tmp_path: Path) -> None:
    saved = weights(Net())
    parallel = {f"module.{name}": tensor for name, tensor in saved.items()}
    save_file(saved, tmp_path / "w.safetensors")
    packings = {
        "nested": {"state_dict": saved, "epoch": 3},
        "model": {"model": saved, "args": {"lr": 0.1}},
        "parallel": {"state_dict": parallel},
        "parameters": {name: nn.Parameter(t) if t.is_floating_point() else t for name, t in saved.items()},
    }
    for name, packing in packings.items():
        torch.save(packing, tmp_path / f"{name}.pth")
    torch.save(saved, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    for file in sorted(tmp_path.iterdir()):
        net = Net()
        assert load_pretrained(net, str(file)) == (), file
        assert same(net, saved), file


def test_weights_take_the_nets_own_dtype_and_need_no_gradient_history(tmp_path: Path) -> None:
    saved = weights(Net())
    torch.save(saved, tmp_path / "w.pth")
    net = Net().double()
    load_pretrained(net, tmp_path / "w.pth")
    assert same(net, {name: t.double() if t.is_floating_point() else t for name, t in saved.items()})
    assert all(p.requires_grad and p.is_leaf for p in net.parameters())


def test_an_old_file_without_the_count_of_batches_loads(tmp_path: Path) -> None:
    saved = weights(Net())
    del saved["bn1.num_batches_tracked"]
    torch.save(saved, tmp_path / "w.pth")
    net = Net()
    assert load_pretrained(net, tmp_path / "w.pth") == ()
    assert same(net, saved | {"bn1.num_batches_tracked": torch.tensor(0)})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"bn1.weight": torch.ones(5)},
            r"1 of its entries differ, first 'bn1.weight' \(shape there: \[5\], in the net",
        ),
        ({"bn1.weight": None}, r"first 'bn1.weight' \(shape there: none, in the net: \[4\]\)"),
        ({"bn2.weight": torch.ones(4)}, r"first 'bn2.weight' \(shape there: \[4\], in the net: none\)"),
    ],
)
def test_anything_else_that_differs_is_named_and_nothing_is_loaded(
    tmp_path: Path, change: dict[str, Tensor | None], sentence: str
) -> None:
    saved = {name: tensor for name, tensor in (weights(Net()) | change).items() if tensor is not None}
    torch.save(saved, tmp_path / "w.pth")
    net = Net()
    before = snapshot(net)
    with pytest.raises(UserError, match=sentence):
        load_pretrained(net, tmp_path / "w.pth")
    assert same(net, before)


class Program:
    """A pickle of it makes a folder when it is opened by a reader that trusts it."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.target),)


def test_a_file_that_holds_code_is_refused_unopened(tmp_path: Path, server: tuple[str, Path]) -> None:
    address, folder = server
    torch.save({"conv1.weight": Program(tmp_path / "trace")}, folder / "w.pth")
    for source in (folder / "w.pth", f"{address}/w.pth"):
        with pytest.raises(UserError, match=r"was not opened: .* could run any code; save the weights alone"):
            load_pretrained(Net(), source, progress=False)
    assert not (tmp_path / "trace").exists()
    torch.load(folder / "w.pth", weights_only=False)
    assert (tmp_path / "trace").exists()  # the trap was live


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors", "text.pth", "text.safetensors", "empty.pth"])
def test_a_damaged_file_is_one_sentence(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    saved = weights(Net())
    if name.startswith("w"):
        (save_file if name.endswith("safetensors") else torch.save)(saved, file)
        file.write_bytes(file.read_bytes()[:300])
    else:
        file.write_text("" if name.startswith("empty") else "no weights at all")
    with pytest.raises(UserError, match=name) as caught:
        load_pretrained(Net(), file)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("content", [torch.ones(3), {"epoch": 3}, {}, {"state_dict": {"a": 1.0}}, [torch.ones(3)]])
def test_what_holds_no_state_dict_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(UserError, match="holds no weights: a state dict was expected"):
        load_pretrained(Net(), tmp_path / "w.pth")


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"There is no file .*none.pth"):
        load_pretrained(Net(), tmp_path / "none.pth")


def test_a_url_is_fetched_once_with_progress_and_loads(
    server: tuple[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    address, folder = server
    saved = weights(Net())
    torch.save(saved, folder / "w.pth")
    net = Net()
    assert load_pretrained(net, f"{address}/w.pth") == ()
    assert same(net, saved)
    assert "100%" in capsys.readouterr().err
    shutil.rmtree(folder)
    assert load_pretrained(Net(), f"{address}/w.pth") == ()


def test_a_hash_in_the_name_is_checked(server: tuple[str, Path]) -> None:
    address, folder = server
    torch.save(weights(Net()), folder / "net-0123abcd.pth")
    with pytest.raises(UserError, match=r"damaged \(invalid hash value"):
        load_pretrained(Net(), f"{address}/net-0123abcd.pth", progress=False)
    torch.save(weights(Net()), folder / "net-face.pth")  # a word, no hash
    assert load_pretrained(Net(), f"{address}/net-face.pth", progress=False) == ()


def test_an_address_that_does_not_answer_is_one_sentence(server: tuple[str, Path]) -> None:
    address, _ = server
    with pytest.raises(UserError, match=r"none.pth' could not be fetched \(HTTP Error 404.*give its path"):
        load_pretrained(Net(), f"{address}/none.pth", progress=False)
    with pytest.raises(UserError, match=r"could not be fetched .*check the address"):
        load_pretrained(Net(), "http://127.0.0.1:1/w.pth", progress=False)
    with pytest.raises(UserError, match="download it and give the file"):
        load_pretrained(Net(), f"{address}/w.safetensors")
