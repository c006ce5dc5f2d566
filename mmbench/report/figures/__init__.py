"""Figures of finished cells: coherence against quality, the spread of seeds, sample grids, training curves.

Matplotlib's figures are made directly, without pyplot: nothing global is changed, and no display is needed.
"""

from .captions import caption_table
from .curves import training_curves
from .grids import given_grid, sample_grid
from .plates import Kept
from .spread import seed_spread
from .style import Width, picture_format, save
from .trade_off import trade_off
from .write import write_figures

__all__ = [
    "Kept",
    "Width",
    "caption_table",
    "given_grid",
    "picture_format",
    "sample_grid",
    "save",
    "seed_spread",
    "trade_off",
    "training_curves",
    "write_figures",
]
