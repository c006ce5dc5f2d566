"""Reports as Markdown, CSV and LaTeX: pure functions of cells, the same files give the same bytes.

Each group of comparable cells is one table in the shape of the paper's Tables 1, 4 and 5: models down, coherence
and quality across, mean and sample standard deviation over seeds, the reference points under the models; on the
paper's own datasets the paper's number and the difference stand with ours.
"""

from .csv import tidy
from .render import FORMATS, Format, render

__all__ = ["FORMATS", "Format", "render", "tidy"]
