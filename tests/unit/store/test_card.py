"""A model card is text: nothing in a manifest becomes HTML, a link or a table of its own."""

import re

from ct_guard.certificates import Certificate
from ct_guard.records import CalibratorState
from ct_guard.store import BaseModelRef, Manifest, model_card

EVIL = "<script>x</script> [free](http://evil) | `code` ![i](u)\n\n# Certified"


def card() -> str:
    manifest = Manifest.model_construct(
        **{
            **Manifest(
                name="n", method="query", base=BaseModelRef(id="b"), style="chat_turn"
            ).__dict__,
            "name": EVIL,
            "base": BaseModelRef.model_construct(
                id=EVIL, revision=EVIL, fingerprint=EVIL, quantization=None
            ),
            "calibrators": {EVIL: CalibratorState(kind="platt", params={}, n=1)},
            "certificates": (
                Certificate(alpha=0.1, delta=0.1, threshold=None, n=1, answered=0, errors=0,
                            reason=EVIL),
            ),
            "data": {EVIL: EVIL},
            "figures": {EVIL: EVIL},
            "versions": {EVIL: EVIL},
        }
    )  # fmt: skip
    return model_card(manifest, "me/it").split("---", 2)[2]


def test_there_is_no_markup_outside_of_code() -> None:
    prose = re.sub(r"(?<!\\)(`+)(?!`).*?(?<!`)\1(?!`)", "", card(), flags=re.DOTALL)
    assert "<script" not in prose
    assert not re.search(r"(?<!\\)[\[\]]", prose)
    assert prose.count("&lt;script") >= 5


def test_no_value_begins_a_line_or_a_cell_of_its_own() -> None:
    assert "# Certified" not in [line.strip() for line in card().splitlines()]
    [row] = [line for line in card().splitlines() if line.startswith("| &lt;")]
    assert len(re.findall(r"(?<!\\)\|", row)) == 4
