"""Answerers: language models that answer questions, or judge answers."""

from .base import Answerer, Reply, Request, Sampling
from .langchain import LangChainAnswerer
from .local import LocalAnswerer, Style, style_of
from .openai import OpenAIAnswerer

__all__ = [
    "Answerer",
    "LangChainAnswerer",
    "LocalAnswerer",
    "OpenAIAnswerer",
    "Reply",
    "Request",
    "Sampling",
    "Style",
    "style_of",
]
