"""A chain that knows what it does not know: the same prompt, model and parser as before, wrapped.

python examples/langchain_wrap.py
"""

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableConfig

from ct_guard import load_estimator
from ct_guard_langchain import ChatLocal, ConfidenceGuard

QUESTIONS = [
    {"a": 3, "b": 4},
    {"a": 7, "b": 5},
    {"a": 4821, "b": 3977},
    {"a": 731455268, "b": 268544731},
]


def main() -> None:
    mini = load_estimator("mini")
    prompt = ChatPromptTemplate.from_template("What is {a} plus {b}?")
    chain = prompt | ChatLocal(estimator=mini) | StrOutputParser()

    print("The bare chain answers everything, right or wrong:\n")
    for asked, said in zip(QUESTIONS, chain.batch(QUESTIONS), strict=True):
        print(f"  {asked['a']} + {asked['b']}: {said}")

    guard = ConfidenceGuard(mini, policy=0.5, keep_original=True)
    guarded = guard.wrap(chain)
    print("\nWrapped, it says how likely each answer is to be correct, and is silent below 0.5:\n")
    for made in guarded.batch(QUESTIONS):
        asked, record = made["input"], made["confidence"]
        original = f" (it would have said {record['original']!r})" if "original" in record else ""
        print(f"  {asked['a']} + {asked['b']}: p={record['p']:.2f}  {made['output']}{original}")

    careful: RunnableConfig = {"configurable": {"ct_guard_policy": 1.0}}
    made = guarded.invoke(QUESTIONS[1], careful)
    print(f"\nOne call can ask for more. At a threshold of 1.0, 7 + 5 becomes: {made['output']}")

    print("\nAnswers that are there already are judged as pairs, in one batch:\n")
    pairs = [{"input": "What is 7 plus 5?", "output": answer} for answer in ("12", "13")]
    for made in guard.batch(pairs):
        record = made["confidence"]
        print(f"  7 + 5 = {record.get('original', made['output'])}?  p={record['p']:.2f}")


if __name__ == "__main__":
    main()
