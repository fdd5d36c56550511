"""`ct-guard serve`: confidence for any client."""

from typing import Any

import click

from .options import backend_option, config_of, device_options, quantization_option, server_options
from .progress import Terminal
from .serve_options import answering_options, listening_options, upstream_options

__all__ = ["command"]


@click.command(
    "serve",
    epilog="Exit codes: 0 told to stop, by Ctrl-C or SIGTERM, with requests in flight answered;"
    " 2 usage, or an estimator or place that cannot be had.",
)
@click.option(
    "-e", "--estimator", default="mini", show_default=True,
    help="An estimator directory, a name or an id, as for 'ct-guard score'.",
)  # fmt: skip
@answering_options
@upstream_options
@listening_options
@backend_option("What runs the estimator: transformers, or llama_cpp (GGUF files).")
@server_options
@click.option("--base", default=None, help="Where the base model is, if not where it was.")
@device_options
@quantization_option("Load the base in 8 or 4 bits. Default: as the estimator was tuned.")
@click.option("--threads", type=click.IntRange(1), default=None, help="CPU threads.")
def command(**options: Any) -> None:
    """Answer over HTTP how likely answers are to be correct, and forward chats to an OpenAI API
    with that confidence beside each answer, or the answer withheld as the policy says.

    \b
    POST /v1/confidence          {"question", "answer"}, or {"items": [{…}, …]}
    POST /v1/chat/completions    to --upstream; choices[0].ct_guard, header x-ct-guard-p
    POST /v1/systemone           typed questions about a state, as decision models are asked
    POST /v1/decisions           the same in the form of OpenAI's API
    POST /beta/litellm_basic_guardrail_api    for a LiteLLM proxy, mode [pre_call, post_call]
    GET  /health  /metrics  /v1/models

    \b
    Examples:
      ct-guard serve -e mini
      ct-guard serve -e my-estimator -p 0.7 --upstream http://localhost:8000/v1
      ct-guard serve -e my-estimator -p certified --upstream https://api.openai.com/v1 \\
          --upstream-key-env OPENAI_API_KEY --host 0.0.0.0 --token-file token.txt
    """
    from ct_guard.workflows import ServeConfig, serve

    serve(config_of(ServeConfig, options), report=Terminal())
