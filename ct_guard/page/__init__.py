"""A page about scored, graded answers: one file of HTML that needs nothing else, and its plots.

`content` is what the page says, as plain data; `document` makes the file of it, `plots` the images.
"""

from .content import Content, Costs, Source, content_of
from .document import html_of, require_charts
from .plots import PLOTS, draw_plots

__all__ = [
    "PLOTS",
    "Content",
    "Costs",
    "Source",
    "content_of",
    "draw_plots",
    "html_of",
    "require_charts",
]
