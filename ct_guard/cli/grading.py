"""What the options of `ct-guard grade` come to: a grader, and where the answers come from."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .models import Engine, load_answerer

if TYPE_CHECKING:
    from ct_guard.datasets import Answering, Grader

__all__ = ["answering_of", "grader_of", "idle_options"]

OF_ANSWERS = ("url", "key_env", "samples", "temperature", "max_tokens", "first_line", "prompt")
OF_LOCAL = ("style", "backend", "device", "dtype", "quantization", "batch_size")
OF_REMOTE = ("concurrency", "timeout", "retries")


def idle_options(grader: str, options: dict[str, Any]) -> dict[str, str]:
    """The options that nothing reads beside the others, each with what it is for."""
    model, judge = options["model"], options["judge"]
    idle: dict[str, str] = {}
    if options["dataset"] is None or options["question_field"] is not None:
        idle["dataset_seed"] = "the sets of --dataset by name"
    if model is None:
        idle |= dict.fromkeys(OF_ANSWERS, "answers that a --model makes")
    if not options["samples"]:
        idle.setdefault("temperature", "sampled answers (--samples)")
    if options["audit"] is None and not options["samples"]:
        idle["seed"] = "sampled answers (--samples) and for --audit"
    elif options["audit"] is None and _kind(model, options["url"]) == "langchain":
        idle["seed"] = "models that take one, which LangChain's providers are not asked to"
    if grader != "numeric":
        idle["tolerance"] = "--grader numeric"
    if judge is None:
        idle |= dict.fromkeys(("judge_url", "judge_key_env"), "the model that --judge names")
    kinds = {_kind(model, options["url"]), _kind(judge, options["judge_url"])}
    if "local" not in kinds:
        idle |= dict.fromkeys(OF_LOCAL, "a local --model or --judge")
    elif options["backend"] != "transformers":
        idle["quantization"] = "--backend transformers (a GGUF file has its own precision)"
    if kinds.isdisjoint(("langchain", "served")):
        idle |= dict.fromkeys(OF_REMOTE, "a remote --model or --judge")
    return idle


def grader_of(
    name: str,
    tolerance: float,
    judge: str | None,
    judge_url: str | None,
    judge_key_env: str | None,
    engine: Engine,
) -> "Grader":
    """Raises UsageError for a judge without its grader or the other way round, and what loading
    the judge raises."""
    from ct_guard.datasets import GRADERS, Judge
    from ct_guard.datasets.graders import Numeric
    from ct_guard.errors import UsageError

    if (name == "judge") != (judge is not None):
        raise UsageError("--grader judge and --judge MODEL go together: one of them is missing")
    if judge is not None:
        return Judge(load_answerer(judge, judge_url, judge_key_env, engine))
    return Numeric(tolerance) if name == "numeric" else GRADERS[name]()


def answering_of(
    model: str | None,
    url: str | None,
    key_env: str | None,
    engine: Engine,
    options: dict[str, Any],
) -> "Answering":
    """Raises what reading the prompt and loading the model raise."""
    from ct_guard.datasets import AskedAnswers, GivenAnswers, Prompt, read_prompt
    from ct_guard.datasets.answerers import LocalAnswerer

    if model is None:
        return GivenAnswers()
    prompt = read_prompt(options["prompt"]) if options["prompt"] else Prompt()
    answerer = load_answerer(model, url, key_env, engine)
    first_line = options["first_line"]
    if first_line is None:
        first_line = isinstance(answerer, LocalAnswerer) and answerer.style == "raw"
    return AskedAnswers(
        answerer,
        samples=options["samples"],
        temperature=options["temperature"],
        max_tokens=options["max_tokens"],
        first_line=first_line,
        prompt=prompt,
        seed=options["seed"],
    )


def _kind(model: str | None, url: str | None) -> Literal["served", "langchain", "local"] | None:
    """What `load_answerer` makes of a name; None without one."""
    if model is None:
        return None
    if url is not None:
        return "served"
    return "langchain" if ":" in model and not Path(model).exists() else "local"
