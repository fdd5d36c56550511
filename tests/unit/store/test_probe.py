"""A probe's head on disk: sizes from its tensors, and what is no head is refused."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from ct_guard.errors import ManifestError, MismatchError
from ct_guard.store import PROBE_SIZES, ProbeHead, dump_probe, load_probe


def tensors(inputs: int = 12) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    made = {}
    for at, outputs in enumerate(PROBE_SIZES):
        made[f"{2 * at}.weight"] = random.normal(size=(outputs, inputs)).astype(np.float32) / 4
        made[f"{2 * at}.bias"] = random.normal(size=outputs).astype(np.float32)
        inputs = outputs
    return made


def test_the_head_is_what_torch_computes_of_the_same_tensors() -> None:
    import torch

    layers = []
    for inputs, outputs in zip((12, *PROBE_SIZES), PROBE_SIZES, strict=False):
        layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    head = ProbeHead.of({name: value.numpy() for name, value in model.state_dict().items()})
    hidden = np.random.default_rng(1).normal(size=(5, 12)).astype(np.float32)
    with torch.inference_mode():
        expected = model(torch.from_numpy(hidden)).numpy()
    found = head.logits(hidden)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert head.inputs == 12


def test_a_head_comes_back_from_its_file(tmp_path: Path) -> None:
    head = ProbeHead.of(tensors())
    (tmp_path / "probe.safetensors").write_bytes(dump_probe(head))
    again = load_probe(tmp_path / "probe.safetensors")
    assert again.tensors().keys() == tensors().keys()
    for name, value in again.tensors().items():
        np.testing.assert_array_equal(value, tensors()[name])


def test_one_layer_is_a_head_too() -> None:
    head = ProbeHead.of({"0.weight": np.eye(2, 3), "0.bias": np.array([1.0, -1.0])})
    assert head.logits(np.array([[-5.0, 7.0, 9.0]], np.float32)).tolist() == [[-4.0, 6.0]]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"2.weight": None}, "2.weight"),
        ({"classifier": np.zeros(2)}, "classifier"),
        ({"2.weight": np.zeros((128, 7))}, "do not fit"),
        ({"4.bias": np.zeros(3)}, "do not fit"),
        ({"6.weight": np.zeros((1, 64)), "6.bias": np.zeros(1)}, "2 outputs"),
        ({"0.bias": np.full(256, np.nan)}, "NaN"),
    ],
)
def test_tensors_that_make_no_head_are_refused(
    change: dict[str, np.ndarray | None], match: str
) -> None:
    wrong = {name: value for name, value in {**tensors(), **change}.items() if value is not None}
    with pytest.raises(MismatchError, match=match):
        ProbeHead.of(wrong)


def test_no_tensors_are_no_head() -> None:
    with pytest.raises(MismatchError, match="all"):
        ProbeHead.of({})


def test_a_file_that_holds_no_head_is_named(tmp_path: Path) -> None:
    path = tmp_path / "probe.safetensors"
    path.write_bytes(b"no tensors")
    with pytest.raises(ManifestError, match=r"probe\.safetensors"):
        load_probe(path)
    save_file({"weight": np.zeros((2, 2), np.float32)}, path)
    with pytest.raises(ManifestError, match="holds no head"):
        load_probe(path)
