"""Decision models for LangChain, whose own interface they keep: they need langchain-core 1.8."""
