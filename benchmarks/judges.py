"""How well the judges read a modality, and what their training takes: `python benchmarks/judges.py glyphs_street sign`.

Judges are trained in one thread without the validation tuples, and read these: settings are chosen so. `--split test`
trains on all training tuples and reads the test tuples, as cells do.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

from mmbench.config import Schedule
from mmbench.data.dataset import Dataset
from mmbench.data.declared import loaded
from mmbench.data.named import source_of
from mmbench_evaluation.classifiers import Classifier, accuracy, train_judge
from mmbench_evaluation.judge_choice import briefer, find


def main() -> None:
    said = _options()
    torch.set_num_threads(1)
    data, modality = _data(said), said.modality
    train, test = len(data.train.used(modality)), len(data.test.used(modality))
    print(f"{said.dataset}: {modality}, {train:,} images train, {test:,} of the {said.split} tuples are read")
    whole = Schedule(steps=said.steps, batch_size=256, lr=3e-3, warmup=said.steps // 20, decay="cosine")
    for kind in said.judges.split(","):
        build = find(kind)
        schedule, start = briefer(whole, build), time.process_time()
        network = train_judge(build, data.train, data.spec.modality(modality), data.spec.classes, schedule, said.seed)
        seconds, count = time.process_time() - start, sum(p.numel() for p in network.parameters())
        share = 100 * accuracy(Classifier(network), data.test, modality)
        print(f"{kind}: {share:.2f} % after {schedule.steps} steps, {seconds:.0f} s of a core, {count:,} parameters")


def _data(said: argparse.Namespace) -> Dataset:
    source = source_of(said.dataset)
    source.allow_partial = True
    data = loaded(source, said.dataset, said.data_root, said.cache)
    return data.for_selection() if said.split == "validation" else data


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("modality")
    parser.add_argument("--judges", default="lenet,residual")
    parser.add_argument("--steps", type=int, default=3000, help="of the laptop's LeNet; others take their share")
    parser.add_argument("--split", choices=("validation", "test"), default="validation")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
