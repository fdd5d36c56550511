"""Chat templates are programs of strangers: each rendering ends, whatever they do."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from ct_guard.backends.chat_template import ChatTemplate
from ct_guard.backends.tokens import TokenizerEncoder
from ct_guard.errors import MismatchError
from ct_guard.records import Message

CHAT = (
    Message(role="system", content="Be good."),
    Message(role="user", content="2 < 3 & é\n"),
    Message(role="assistant", content=""),
    Message(role="user", content=" so? "),
)
GROWING = "{% set ns = namespace(s='aaaaaaaa') %}{% for i in range(60) %}STEP{% endfor %}{{ ns.s }}"
NESTING = (
    "{% set ns = namespace(a=[1], b=[1]) %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}"
    "{% set ns.b = [ns.b, ns.b] %}{% endfor %}{{ USE }}"
)


def rendered(source: str) -> str:
    return ChatTemplate(source, {"bos_token": "<s>"}).render(CHAT, generation_prompt=True)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ bos_token }}{% for m in messages %}{{ m.role ~ ':' ~ m.content | trim }};{% endfor %}",
         "<s>system:Be good.;user:2 < 3 & é;assistant:;user:so?;"),
        ("{% for m in messages[1:] %}{{ loop.index }}/{{ loop.length }}{{ '!' if loop.last }}"
         "{% endfor %}", "1/32/33/3!"),
        ("{% for m in messages if m.role == 'user' %}{{ loop.first }}{% else %}none{% endfor %}",
         "TrueFalse"),
        ("{% for m in messages | selectattr('role', 'equalto', 'tool') %}x{% else %}none"
         "{% endfor %}", "none"),
        ("{% for k, v in {'a': 1, 'b': [2]}.items() %}{{ k }}{{ v | tojson }}{% endfor %}",
         "a1b[2]"),
        ("{% for m in missing %}x{% else %}none{% endfor %}", "none"),
        ("{{ messages | map(attribute='role') | join(', ') }}",
         "system, user, assistant, user"),
        ("{{ ', '.join(['a', 'b']) }}{{ 'aXa'.replace('a', 'bb') | replace('X', '-') }}",
         "a, bbb-bb"),
        ("{{ '%s is %d' % ('a', 2) }}{{ '=' * 3 }}{{ [1] + [2] }}{{ 7 % 4 }}", "a is 2===[1, 2]3"),
        ("{{ {'é': '<b>', 'n': none} | tojson(indent=1) | indent(2) }}",
         '{\n   "é": "<b>",\n   "n": null\n  }'),
        ("{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}"
         "{{ ns.n }}", "4"),
        ("{% macro f(n) %}{{ n }}{% if n %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}",
         "3210"),
        ("{% filter upper %}a{% endfilter %}{% generation %}b{% endgeneration %}", "Ab"),
        ("{% for m in messages %}{% if loop.index > 2 %}{% break %}{% endif %}x{% endfor %}", "xx"),
    ],
)  # fmt: skip
def test_what_templates_are_made_of_works(source: str, text: str) -> None:
    assert rendered(source) == text


@pytest.mark.parametrize(
    "source",
    [
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{% for i in range(9) recursive %}{{ loop(range(9)) }}{% endfor %}",
        "{% macro f(n) %}{% if n %}{{ f(n - 1) ~ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{{ 'a' * 10000000000 }}",
        "{{ 10000000000 * [1] }}",
        "{{ 9 ** 9 ** 9 }}",
        GROWING.replace("STEP", "{% set ns.n = (ns.n or 99) * (ns.n or 99) %}"),
        GROWING.replace("STEP", "{% set ns.s = ns.s ~ ns.s %}"),
        GROWING.replace("STEP", "{% set ns.s = ns.s + ns.s %}"),
        GROWING.replace("STEP", "{% set ns.s = ns.s | replace('a', ns.s) %}"),
        GROWING.replace("STEP", "{% set ns.s = ns.s.replace('a', ns.s) %}"),
        GROWING.replace("STEP", "{% set ns.s = ns.s.join([ns.s, ns.s]) %}"),
        NESTING.replace("USE", "ns.a"),
        NESTING.replace("USE", "ns.a | tojson"),
        NESTING.replace("USE", "ns.a | string | length"),
        NESTING.replace("USE", "ns.a ~ ''"),
        NESTING.replace("USE", "'%s' % ns.a"),
        NESTING.replace("USE", "ns.a == ns.b"),
        "{{ 'a' | center(10000000000) }}",
        "{{ 'a'.center(10000000000) }}",
        "{{ '%10000000000d' % 1 }}",
        "{{ '%*d' % (10000000000, 1) }}",
        "{{ '{:10000000000}'.format(1) }}",
        "{{ 'a\n' | indent(10000000000) }}",
        "{{ [1] | tojson(indent=10000000000) }}",
        "{{ range(99999) | map('string') | join('x' * 1000) }}",
        "{{ range(99999) | map('replace', '1', 'x' * 99999) | list | length }}",
        "{{ lipsum(n=1000000) }}",
        "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
        "{% if x %}" * 3000,
        "{{ ''.__class__.__mro__ }}",
        "{% set ns = namespace(__init__=1) %}",
        "{{ missing.field }}",
        "{{ 1 / 0 }}",
        "{% for",
    ],
)
def test_what_runs_away_or_fails_is_one_error(source: str) -> None:
    with pytest.raises(MismatchError, match="the chat template refuses this conversation") as said:
        rendered(source)
    assert len(str(said.value)) < 1000


def test_a_long_conversation_is_within_the_budget() -> None:
    chat = [
        Message(role=("user", "assistant")[at % 2], content="word " * 2000) for at in range(800)
    ]
    source = (
        "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] | trim }}<|end|>{% endfor %}"
    )
    assert len(ChatTemplate(source, {}).render(chat, generation_prompt=False)) > 7_000_000


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), st.text()), min_size=1),
    st.booleans(),
)
def test_a_chat_is_rendered_as_transformers_renders_it(
    tiny_base: Path, turns: list[tuple[str, str]], prompt: bool
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_base)
    messages = [Message(role=role, content=content) for role, content in turns]
    expected = tokenizer.apply_chat_template(
        [message.model_dump() for message in messages],
        tokenize=False,
        add_generation_prompt=prompt,
    )
    encoder = TokenizerEncoder(tokenizer)
    assert encoder.render_chat(messages, generation_prompt=prompt) == expected
