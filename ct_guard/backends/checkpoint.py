"""The files of a base model's directory that its weights stand in: those that its digest covers,
every weight in one of them, as a number that can be multiplied with."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ct_guard.files.untrusted_json import JsonError, read_json

__all__ = ["check_declared", "check_floats", "check_stored", "model_folder", "weight_files"]

_WHOLE = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_NAMED = "transformers_weights"
"""Key of a configuration that names a file in their place."""
_COUNTS = ("BOOL", "U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64")
"""Types of whole numbers, in which quantisers store what stands for weights."""


def model_folder(source: str | Path, revision: str | None) -> Path | None:
    """The directory of a base model, or of a hub id's files in the local cache; None without."""
    if Path(source).is_dir():
        return Path(source) if (Path(source) / "config.json").is_file() else None
    from transformers.utils.hub import cached_file

    found = cached_file(
        str(source), "config.json", revision=revision, _raise_exceptions_for_missing_entries=False
    )
    return Path(found).parent if found else None


def weight_files(folder: Path) -> list[Path]:
    """In the order in which the transformers library looks: the file that `config.json` names,
    `model.safetensors`, the shards that the index names. All lie in the directory itself, and none
    may be there.

    Raises ValueError for an index or a name that leads elsewhere: no hash would cover it.
    """
    config = folder / "config.json"
    named = read_json(config, finite=False).get(_NAMED) if config.is_file() else None
    if named is not None:
        (name,) = _beside(config, [named])
        return _shards(folder / name) if name.endswith(".json") else [folder / name]
    if (folder / _WHOLE).is_file():
        return [folder / _WHOLE]
    return _shards(folder / _INDEX) if (folder / _INDEX).is_file() else []


def check_stored(folder: Path, model: Any) -> None:
    """Raises ValueError for a weight that stands in two files, of which either may count, and for
    whole numbers in the place of a weight of `model`, unless they were read as the quantised ones
    that they are: without their scales they are no weights."""
    places: dict[str, Path] = {}
    # Of a way that it does not know, the library says no more than a warning.
    known = getattr(model, "hf_quantizer", None) is not None
    weights = set() if known else {name for name, _ in model.named_parameters()}
    for path, name, kind in _stored(weight_files(folder)):
        if name in places:
            raise ValueError(
                f"the weight {name!r} stands in {places[name].name} and in {path.name}: take the"
                " file out that does not belong to it"
            )
        places[name] = path
        if kind in _COUNTS and name in weights:
            raise ValueError(
                f"the weight {name!r} is stored in whole numbers ({kind}), and config.json says in"
                " no way that is known here what they stand for: fetch the original"
            )


def check_floats(path: Path) -> None:
    """Raises ValueError where a file of weights holds whole numbers, which none are."""
    for _, name, kind in _stored([path]):
        if kind in _COUNTS:
            raise ValueError(f"the weight {name!r} is stored in whole numbers ({kind})")


def check_declared(config: Any) -> None:
    """Raises ValueError where a configuration names a causal language model of another kind than
    its `model_type` (names of weights are often alike, what is computed with them is not), where it
    attends in both directions, and where it computes with what is no number or out of range."""
    _check_computed(config)
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    own = {config.model_type, config.get_text_config(decoder=True).model_type}
    for declared in getattr(config, "architectures", None) or ():
        kinds = {kind for kind, name in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.items()
                 if declared == name}  # fmt: skip
        if kinds and not kinds & own:
            raise ValueError(
                f"its config.json contradicts itself: {declared} is a model of the type"
                f" {' or '.join(sorted(kinds))}, and model_type is {config.model_type}: correct the"
                " wrong one"
            )


def _check_computed(config: Any) -> None:
    text = config.get_text_config(decoder=True)
    for key in ("is_causal", "use_bidirectional_attention"):
        if getattr(text, key, None) is (key != "is_causal"):
            raise ValueError(
                f"it attends in both directions ({key}): it is no causal language model"
            )
    for key in ("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_epsilon"):
        if not 0 <= (getattr(text, key, None) or 0) <= 1:
            raise ValueError(
                f"its config.json has the {key} {getattr(text, key)}: fetch the original"
            )
    rope = getattr(text, "rope_parameters", None) or {}
    for part in (rope, *(one for one in rope.values() if isinstance(one, dict))):
        for key in ("rope_theta", "factor"):
            if part.get(key) is not None and not 0 < part[key] < math.inf:
                raise ValueError(f"its config.json has the {key} {part[key]}: fetch the original")


def _stored(files: list[Path]) -> Iterator[tuple[Path, str, str]]:
    from safetensors import safe_open  # what reads a GGUF file alone may lack it

    for path in files:
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 (no dictionary)
                yield path, name, file.get_slice(name).get_dtype()


def _shards(index: Path) -> list[Path]:
    named = _read(index).get("weight_map")
    files = list(named.values()) if isinstance(named, dict) else []
    if not files:
        raise ValueError(f"{index} names no files as its weight_map: fetch it again")
    return [index.parent / name for name in _beside(index, files)]


def _beside(source: Path, names: list[Any]) -> list[str]:
    """The names, each once. Raises ValueError unless all are of files beside `source`."""
    for name in names:
        if not isinstance(name, str) or not name.isprintable() or Path(name).name != name:
            raise ValueError(
                f"{source} names the weights' file {str(name)[:60]!r}, which is none beside it:"
                " fetch it again, or move the file there"
            )
    return sorted(set(names))


def _read(path: Path) -> dict[str, Any]:
    try:
        return read_json(path)
    except JsonError as error:
        raise ValueError(f"{path} cannot be read: {error}; fetch it again") from error
