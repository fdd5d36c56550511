"""The engines and what they were built for; which extras are not installed."""

import re
from importlib.metadata import PackageNotFoundError, requires, version

from ct_guard.backends.machine import cpu_features
from ct_guard.errors import BackendError, MissingExtraError

from .finding import Finding, gigabytes

__all__ = ["libraries"]

_REQUIREMENT = re.compile(r"""(?P<name>[\w.-]+)(\[[^]]*])?.*extra\s*==\s*['"](?P<extra>\w+)['"]""")
_NO_EXTRA_OF_USERS = ("all", "dev")
_NATIVE = {
    "AVX512": "avx512f",
    "AVX2": "avx2",
    "AVX512_VNNI": "avx512_vnni",
    "AMX_INT8": "amx_int8",
}
"""llama.cpp's names of what a processor may have, and Linux's."""
_REBUILD = (
    "pip install --force-reinstall --no-binary llama-cpp-python --no-cache-dir llama-cpp-python"
)


def libraries() -> list[Finding]:
    """torch, transformers, peft, llama.cpp, and missing extras."""
    return [_torch(), _transformers(), _llama(), _extras()]


def _torch() -> Finding:
    try:
        import torch
    except (ImportError, OSError) as error:
        return _absent("torch", error, "torch")
    build = f"{torch.__version__}"
    if torch.cuda.is_available():
        devices = [torch.cuda.get_device_properties(at) for at in range(torch.cuda.device_count())]
        shown = ", ".join(f"{one.name} with {gigabytes(one.total_memory)}" for one in devices)
        return Finding("torch", f"{build}, CUDA: {shown}", "--device cuda is the default here")
    if torch.backends.mps.is_available():
        return Finding("torch", f"{build}, MPS", "--device mps is the default here")
    built = torch.version.cuda is not None
    return Finding(
        "torch",
        f"{build}, no GPU" + (f", though built for CUDA {torch.version.cuda}" if built else ""),
        "check the NVIDIA driver with nvidia-smi"
        if built
        else "large models take a quarter of the memory as GGUF in q8_0: --backend llama_cpp",
    )


def _transformers() -> Finding:
    names = ("transformers", "peft")
    found = {name: _version(name) for name in names}
    shown = ", ".join(f"{name} {found[name] or 'missing'}" for name in names)
    if not all(found.values()):
        return Finding("transformers", shown, "pip install 'ct-guard[torch]'", ok=False)
    return Finding("transformers", shown, "tuning and --backend transformers work")


def _llama() -> Finding:
    try:
        from ct_guard.backends.llama_cpp.library import library

        llama = library()
    except (MissingExtraError, BackendError, ImportError) as error:
        return _absent("llama.cpp", error, "gguf")
    text = llama.llama_print_system_info().decode("utf-8", "replace")
    flags = {name for name, value in re.findall(r"(\w+) = (\d+)", text) if value != "0"}
    gpu = "with GPU" if llama.llama_supports_gpu_offload() else "no GPU"
    value = f"llama-cpp-python {_version('llama-cpp-python')}, {gpu}, {' '.join(sorted(flags))}"
    known = cpu_features()
    unused = [name for name, linux in _NATIVE.items() if linux in known and name not in flags]
    if unused:
        return Finding(
            "llama.cpp",
            value,
            f"this CPU also has {', '.join(unused)}: CMAKE_ARGS=-DGGML_NATIVE=ON {_REBUILD}",
        )
    return Finding("llama.cpp", value, "built for what this CPU has")


def _extras() -> Finding:
    """Extras of which some library is not installed."""
    try:
        wanted = [_REQUIREMENT.match(line) for line in requires("ct-guard") or []]
    except PackageNotFoundError:
        return Finding("extras", "ct-guard is not installed", "pip install ct-guard", ok=False)
    missing = sorted(
        {
            found["extra"]
            for found in wanted
            if found
            and found["extra"] not in _NO_EXTRA_OF_USERS
            and _version(found["name"]) is None
        }
    )
    if not missing:
        return Finding("extras", "all installed", "nothing to do")
    return Finding(
        "extras",
        f"not installed: {', '.join(missing)}",
        f"when you need them: pip install 'ct-guard[{','.join(missing)}]'",
    )


def _absent(item: str, error: Exception, extra: str) -> Finding:
    install = f"pip install 'ct-guard[{extra}]'"
    if isinstance(error, ModuleNotFoundError):
        return Finding(item, "not installed", install, ok=False)
    first = str(error).splitlines()[0] if str(error) else repr(error)
    return Finding(item, f"cannot be loaded: {first}", f"install it again: {install}", ok=False)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
