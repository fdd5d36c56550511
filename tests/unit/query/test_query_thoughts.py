"""Thoughts are taken out of what a model said, however its family marks them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ct_guard.query import read_answer, read_turns, screen, without_thoughts
from ct_guard.records import Message, QuestionAnswer


@pytest.mark.parametrize(
    "text",
    [
        "<think>Eight and six: it is 14.</think>\n\n14",
        "<think>\n\n</think>\n\n14",
        "<THINK>14?</Think>14",
        "<thinking>Is it 15? No.</thinking>14",
        "<reasoning>a</reasoning>\n14",
        "<thought>a</thought> 14",
        "<think>a</think><think>b</think>14",
        "<think>the user speaks of <think> as a tag</think>14",
        "<think>a<think>b</think>c</think>14",
        "[THINK]a[/THINK]14",
        "<longcat_think>a</longcat_think>14",
        "<chain_of_thought>a</chain_of_thought>14",
        "<|think|>a<|/think|>14",
        "<|channel>thought\na<channel|>14",
        "<|START_THINKING|>a<|END_THINKING|><|START_RESPONSE|>14<|END_RESPONSE|>",
        "<|begin_of_thought|>a<|end_of_thought|><|begin_of_solution|>14<|end_of_solution|>",
        "<|channel|>final<|message|>14<|return|>",
        "\u25c1think\u25b7a\u25c1/think\u25b714",
        "<seed:think>a</seed:think>14",
        "<unused94>thought\na<unused95>14",
        "<|begin_of_thought|>a<|end_of_thought|>14",
        "<|START_THINKING|>a<|END_THINKING|>14",
        "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>14",
        "analysisEight and six: 15?assistantfinal14",  # a server that drops special tokens
        '<think type="deep" n=1>a</think>14',
        "<think >a</think >14",
        "<search_quality_reflection>a</search_quality_reflection>14",
        "<inner_monologue>a</inner_monologue>14",
        "<thought_process>a</thought_process>14",
        "<reasoning_content>a</reasoning_content>14",
        "<chain-of-thought>a</chain-of-thought>14",
        "<self-reflection>a</self-reflection><reflect>b</reflect>14",
        "<scratch_pad>a</scratch_pad>14",
        "<|inner_prefix|>a<|inner_suffix|>14",
        "<think>a</think><|begin_of_box|>14<|end_of_box|>",
        "<think>a</think>\n<answer>14</answer>",
        "<think>a</think><response>\n14\n</response>",
        "<Thought>a</Thought>\n<Output>14</Output>",
        "<thinking>a</thinking><final_answer>14",  # cut off before it was closed
        "Eight and six: 15.</think>14",  # opened by the chat template
        "a</think>b</think>14",
        "14<think>Or is it",  # cut off in a second thought
        "Here is my thought process: a\nHere is my response: 14",
        "Here's my thought process:\n\na\n\nHere's my response:\n\n14",
        "**Here is my thought process:**\na\n\n**Here is my response:**\n14",
        "Thinking...\na\n...done thinking.\n\n14",
        "<|think|>a<|end|><|begin|>assistant<|content|>14",
        "<|START_THINKING|>a<|END_THINKING|><|START_TEXT|>14<|END_TEXT|>",
        "<|im_start|>think\na\n<|im_start|>answer\n14",
        "<seed:think>a<seed:cot_budget_reflect>b</seed:cot_budget_reflect>c</seed:think>14",
        '<details type="reasoning" done="true" duration="5">\n<summary>Thought for 5 seconds'
        "</summary>\n> a\n</details>\n14",
        '14\n<details type="reasoning" done="false">\n<summary>Thinking\u2026</summary>\n> Or is',
        "<details class='thinking'><summary>x</summary>a</details>14",
        "<details>\n<summary>Reasoning</summary>\n\na\n\n</details>\n\n14",
        "<details open><summary>\U0001f4ad <b>Thinking...</b></summary>a<think>b</details>14",
        "<details><summary>Show thought process</summary>a</details>14",
        '<details id="reasoning"><summary>x</summary>a</details>14',
        "<ThinkingProcess>a</ThinkingProcess>14",
        "<|reasoning_start|>a<|reasoning_end|>14",
        "<think>a</think>14<|im_end|>\n<|endoftext|>\n",
        "<think>a</think><answer>14</answer><|im_end|>",
        "14" + "<|eot_id|>\n" * 20,
        "14<end_of_turn>",
        "14<\uff5cend\u2581of\u2581sentence\uff5c>",
    ],
)
def test_what_stands_beside_the_thoughts_is_the_answer(text: str) -> None:
    assert without_thoughts(text) == ("14", True)
    assert read_answer(text) == ("14", True)


def test_parts_between_thoughts_are_all_of_the_answer() -> None:
    assert without_thoughts("It is 14. <think>Sure?</think>\nYes.")[0] == "It is 14.\n\nYes."


@pytest.mark.parametrize(
    "text",
    [
        "14",
        "I think it is 14 <b>now</b>.",
        "The tags `<think>` and `</think>` mark a thought.",
        'It is written "<think>".',
        "x < think > y",
        "<answer>14</answer>",
        "<thinker>14</thinker>",
        "Here is my thought process: eight and six is 14.",
        "14\nHere is my thought process: a\nHere is my response: b",
        "Thinking... it is 14",
        "<details><summary>Solution</summary>14</details>",
        "<details><summary>Analysis</summary>14</details>",
        "<details><summary>Thought experiment</summary>14</details>",
        '<details type="tool_calls">14</details>',
        "a <think/> b",
        "<|im_end|> ends a turn",
        "It ends in `<|im_end|>`",
        "",
        " 14\n",
    ],
)
def test_a_text_without_thoughts_is_the_same_text(text: str) -> None:
    assert without_thoughts(text) == (text, False)


@settings(deadline=None)
@given(st.text() | st.lists(st.sampled_from(["<think>", "</think>", "a", " ", "`"])).map("".join))
def test_nothing_is_left_to_take_out(text: str) -> None:
    answer, _ = without_thoughts(text)
    assert without_thoughts(answer) == (answer, False)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ("<think>Eight and six, is it 14 or", "empty"),
        ('<think type="deep">Eight and six, is it 14 or', "empty"),
        ("<think>It is 14.</think><answer></answer>", "empty"),
        ("<think>It is 14.</think>\n", "empty"),
        ("It is 14.</think>", "empty"),
        ("<think>Hard.</think>I don't know.", "refusal"),
        ("<think>I don't know</think>14", "ok"),
    ],
)
def test_screening_sees_the_answer_alone(answer: str, status: str) -> None:
    assert screen(QuestionAnswer(question="What is 8 plus 6?", answer=answer)) == status


def test_only_the_model_has_thoughts_in_a_conversation() -> None:
    turns = (
        Message(role="user", content="<think>mine</think>Hi"),
        Message(role="assistant", content="<think>greet</think>Hello"),
    )
    read, changed = read_turns(turns)
    assert [turn.content for turn in read] == ["<think>mine</think>Hi", "Hello"]
    assert changed
    assert read_turns(read) == (read, False)
