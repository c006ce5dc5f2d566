"""One training loop for everything that is trained here; checkpoints; stages that are kept."""

from .checkpoint import Checkpoints
from .draws import StreamDraws
from .flops import flops_of_all
from .frozen import fit
from .incomplete import prepared
from .loop import Trainer, learning_rate
from .sizes import stored_size
from .stages import Keeper, StageRecord, stage_trainer, train

__all__ = [
    "Checkpoints",
    "Keeper",
    "StageRecord",
    "StreamDraws",
    "Trainer",
    "fit",
    "flops_of_all",
    "learning_rate",
    "prepared",
    "stage_trainer",
    "stored_size",
    "train",
]
