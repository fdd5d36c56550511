"""A GGUF file's weights in 16 bits. Beside weights in 8 bits and fewer, llama.cpp rounds to 8 bits
also what they are multiplied with, which moves scores more than the rounding of the weights does;
beside weights in 16 bits it does not."""

import ctypes
from pathlib import Path

from ct_guard.backends.dequantised import origin, unpacked
from ct_guard.backends.gguf_file import validate_base
from ct_guard.backends.gguf_info import GGUFInfo
from ct_guard.errors import BackendError

from .library import errors_logged, library

__all__ = ["in_float16"]

_FORM = "float16-1"
_FILE = "model.gguf"
_FLOATS = ("F16", "BF16", "F32")
_MOSTLY_F16 = 1
"""`LLAMA_FTYPE_MOSTLY_F16`: matrices in float16, vectors as they are."""


def in_float16(info: GGUFInfo) -> GGUFInfo:
    """The same model with its quantised matrices unpacked to float16: the file itself where it has
    none, else one in the cache, which is made once. Takes 2 bytes a parameter.

    Raises BackendError where it cannot be unpacked.
    """
    found = origin(info.path)
    if found is None or all(tensor.type.name in _FLOATS for tensor in info.tensors.values()):
        return info
    return validate_base(unpacked(found, _FORM, _unpack) / _FILE)


def _unpack(info: GGUFInfo, folder: Path) -> None:
    bound = library()
    wanted = bound.llama_model_quantize_default_params()
    wanted.ftype, wanted.allow_requantize = _MOSTLY_F16, True
    folder.mkdir()
    with errors_logged() as errors:
        failed = bound.llama_model_quantize(
            str(info.path).encode(), str(folder / _FILE).encode(), ctypes.byref(wanted)
        )
    if failed:
        reason = errors[0] if errors else "llama.cpp gives no reason"
        raise BackendError(
            f"cannot unpack {info.path} to float16: {reason}; leave `dtype` at auto, which takes"
            " the weights as they are"
        )
