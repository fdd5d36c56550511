"""Agents of LangChain's `create_agent`, and what else needs the extra `agents`."""
