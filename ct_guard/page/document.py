"""The page as one file that asks nobody for anything and runs nothing but its own scripts.

Answers, questions and names are written by strangers. They are in the file once, as JSON in a block
that no browser runs, and the script puts them on the page as text only. A Content-Security-Policy
allows the scripts and the style by their hashes, and no request at all: what got in would not run,
and could not tell anybody.
"""

import base64
import hashlib
import html
import json
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from ct_guard import __version__
from ct_guard.errors import MissingExtraError
from ct_guard.files.cache import cache_folder
from ct_guard.files.replacing import replacing

__all__ = ["charts_script", "html_of", "require_charts", "script_json"]

SCRIPTS = ("text.js", "charts.js", "threshold.js", "tables.js", "answers.js", "page.js")
"""In the order in which they run, as one."""
CHARTS = "window.vegaEmbed = vegaEmbed;"
"""What the bundle of Vega gives: it holds the parts that this needs, among them the interpreter of
expressions, which needs no `eval`."""
UNSAFE = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def html_of(content: dict[str, Any]) -> bytes:
    """The page, in UTF-8. Raises MissingExtraError without the library of the charts."""
    charts = f"{_asset('vega-license.txt')}\n{charts_script()}"
    script = "\n".join(map(_asset, SCRIPTS))
    style = _asset("page.css")
    title = html.escape(_printable(str(content["title"])))
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash(charts)} {_hash(script)}",
            f"style-src {_hash(style)}",
            "connect-src 'none'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    head, body = _asset("page.html").split("<!-- split -->")
    parts = (
        head.replace("{{policy}}", policy).replace("{{title}}", title).encode(),
        f"<style>{style}</style>".encode(),
        body.encode(),
        b'<script type="application/json" id="content">',
        script_json(content),
        b"</script>\n",
        f"<script>{charts}</script>\n<script>{script}</script>\n".encode(),
        b"</body>\n</html>\n",
    )
    return b"".join(parts)


def require_charts() -> None:
    """Raises MissingExtraError without the library of the charts."""
    try:
        import vl_convert  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError("a report", "report") from error


def script_json(data: Any) -> bytes:
    """JSON that cannot end the block of script it stands in, in UTF-8."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character, escape in UNSAFE.items():  # they stand in strings only, where escapes may
        text = text.replace(character, escape)
    return text.encode("utf-8", "backslashreplace")  # half a surrogate: as JSON escapes it


@lru_cache(maxsize=1)
def charts_script() -> str:
    """Vega, Vega-Lite and what embeds them. It takes seconds to put together, and so is kept in the
    cache for each version of the library."""
    require_charts()
    import vl_convert

    kept = cache_folder() / "charts" / f"vega-{version('vl-convert-python')}-{__version__}.js"
    with suppress(OSError, UnicodeDecodeError):
        return kept.read_text("utf-8")
    bundle = _within_script(vl_convert.javascript_bundle(CHARTS))
    with suppress(OSError):  # without it the next report takes longer, no more
        kept.parent.mkdir(parents=True, exist_ok=True)
        with replacing(kept) as building:
            building.write_text(bundle, "utf-8")
    return bundle


def _asset(name: str) -> str:
    return files(__package__).joinpath("assets", name).read_text("utf-8")


def _within_script(text: str) -> str:
    """No end of the block in a script: in its strings and patterns the escape is the same text."""
    return text.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)
