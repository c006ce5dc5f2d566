"""Reports as Markdown, LaTeX, CSV and JSON: pure functions of cells, the same files give the same bytes.

Each group of comparable cells is one main table in the shape of the paper's Tables 1, 4 and 5: models down, coherence
and quality across, mean and sample standard deviation over seeds, the reference points under the models; on the
paper's own datasets the paper's number and the difference stand with ours. `table` says what it is made of.
"""

from .options import Options
from .render import FORMATS, Format, render

__all__ = ["FORMATS", "Format", "Options", "render"]
