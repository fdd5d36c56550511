"""The file itself: what strangers wrote is text in it, and it can ask nobody for anything."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from ct_guard.page import document
from ct_guard.page.document import html_of, script_json

HOSTILE = "</script><script>alert(1)</script><!-- ]]> & \u2028 \u2029 \ud800 \0 \u202e"


class Elements(HTMLParser):
    """Every element with its attributes, and what stands in scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.inside: list[tuple[str, str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.found and self.found[-1][0] in ("script", "style") and data.strip():
            self.inside.append((self.found[-1][0], data))


@pytest.fixture
def page(light: None) -> str:
    return html_of({"title": f"T {HOSTILE}", "answers": [HOSTILE]}).decode()


def test_texts_of_strangers_cannot_end_the_block_that_they_are_in() -> None:
    written = script_json({"text": HOSTILE, HOSTILE: 1})
    assert not re.search(rb"[<>&]", written)
    assert "\u2028" not in written.decode()
    assert json.loads(written) == {"text": HOSTILE, HOSTILE: 1}


def test_numbers_that_json_does_not_know_are_not_written() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        script_json(float("nan"))


def test_the_page_has_its_own_scripts_and_no_other(page: str) -> None:
    scripts = [attributes for tag, attributes in Elements(page).found if tag == "script"]
    assert scripts == [{"type": "application/json", "id": "content"}, {}, {}]
    assert page.count("<script>alert(1)") == 0


def test_the_title_is_escaped(page: str) -> None:
    (title,) = re.findall(r"<title>(.*?)</title>", page, re.DOTALL)
    assert title.startswith("T &lt;/script&gt;&lt;script&gt;")
    assert "\u202e" not in title


def test_the_policy_allows_these_scripts_and_this_style_by_hash_and_nothing_else(page: str) -> None:
    elements = Elements(page)
    (policy,) = [
        attributes["content"] or ""
        for tag, attributes in elements.found
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = {rule.split()[0]: rule.split()[1:] for rule in policy.split("; ")}
    assert rules["default-src"] == rules["connect-src"] == rules["form-action"] == ["'none'"]
    assert "unsafe" not in policy
    assert "*" not in policy
    assert "http" not in policy

    def hashes(kind: str) -> list[str]:
        inside = [text for tag, text in elements.inside if tag == kind]
        digests = [hashlib.sha256(text.encode()).digest() for text in inside]
        return [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]

    assert rules["style-src"] == hashes("style")
    assert rules["script-src"] == hashes("script")[1:]  # the first is data


def test_nothing_is_loaded_and_no_markup_runs(page: str) -> None:
    for tag, attributes in Elements(page).found:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base", "form")
        assert "src" not in attributes
        assert not any(name.startswith("on") or name == "style" for name in attributes)
        assert (attributes.get("href") or "#").startswith("#")


def test_our_scripts_never_make_markup_of_text() -> None:
    for name in document.SCRIPTS:
        text = document._asset(name)
        for way in (
            "innerHTML",
            "outerHTML",
            "insertAdjacent",
            "document.write",
            "eval(",
            "fetch(",
        ):
            assert way not in text, (name, way)


def test_the_library_is_put_together_once_and_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    vl_convert = pytest.importorskip("vl_convert", reason="needs vl-convert-python (extra report)")
    made: list[str] = []
    monkeypatch.setenv("CT_GUARD_CACHE", str(tmp_path))

    def bundle(code: str) -> str:
        made.append(code)
        return "</script"

    monkeypatch.setattr(vl_convert, "javascript_bundle", bundle)
    charts = document.charts_script.__wrapped__
    assert charts() == charts() == "<\\/script"
    assert len(made) == 1
    (kept,) = (tmp_path / "charts").iterdir()
    assert kept.read_text() == charts()


def test_the_end_of_a_script_in_the_library_does_not_end_it() -> None:
    assert document._within_script('"</script>" "<!--"') == '"<\\/script>" "<\\!--"'
