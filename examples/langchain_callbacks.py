"""A batch run that nobody changed, and a report on how sure its answers were.

python examples/langchain_callbacks.py
"""

import re

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from ct_guard import load_estimator
from ct_guard_langchain import ChatLocal, ConfidenceCallbackHandler, get_confidence_callback

SUMS = [(3, 4), (7, 5), (9, 8), (17, 25), (4821, 3977), (90210, 31337), (731455268, 268544731)]


def main() -> None:
    mini = load_estimator("mini")
    prompt = ChatPromptTemplate.from_template("What is {a} plus {b}?")
    chain = prompt | ChatLocal(estimator=mini) | StrOutputParser()

    watch = ConfidenceCallbackHandler(mini, policy=0.5)
    answers = chain.batch([{"a": a, "b": b} for a, b in SUMS], {"callbacks": [watch]})
    right = sum(
        re.findall(r"\d+", answer) == [str(a + b)]
        for answer, (a, b) in zip(answers, SUMS, strict=True)
    )
    print(f"The chain answered {len(answers)} questions, {right} of them correctly.")
    print("Every answer reached its reader as it was. What the estimator thought of them:\n")
    print(watch.report(lowest=3))

    with get_confidence_callback(mini, policy=0.5) as block:
        chain.invoke({"a": 2, "b": 2})
        chain.invoke({"a": 888888888, "b": 777777777})
    print("\nA block of code can be watched as well, without passing callbacks around:\n")
    for seen in block.observations:
        print(f"  {seen.question}  {seen.said}  p={seen.p:.2f}  {seen.record['action']}")


if __name__ == "__main__":
    main()
