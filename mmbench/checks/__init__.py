"""The conformance suite: does a model keep the contract of `mmbench.model`?

    for result in check_model("my_package:MyModel"):           # in Python; `mmbench check NAME` in a terminal
        print(result.name, result.outcome, result.message)

    @parametrize_with_checks(["mld", MyModel])                 # in pytest: one test for each model and check
    def test_contract(model, check):
        check(model)

Each check runs on two toys in memory, one of two images and one of two images and a text, with the model's recipe for
'smoke' cut to a few steps. The checks stand by subject, in the order in which they run: `building`, `stages`,
`training`, `incomplete` (for models that say they can be trained with missing modalities), `dependence`, `generating`,
`sampling`. A check whose prerequisite fails is skipped, so that a fault is reported by the check that names it.
`Model.known_failures` states failures that are known, as data;
`Model.check_settings`, in the form of --set, may shrink a large model for the suite.

`check_metric("my_package:MyMetric")` does the same for a metric, on constructed generators (`constructed`): does it
keep to what it declares, and does it tell apart what it says it tells? `check_network("my_package:NETWORK")` does so
for an encoder and decoder: shapes, heads, gradients, no global state. `check_dataset("my_package:MyDataset")` does so
for a dataset: splits, ranges, labels, pairs, the same at every load, networks and judges that can be built.
"""

from .dataset_rules import DATASET_CHECKS
from .metric_rules import METRIC_CHECKS
from .rule import Check
from .rules import CHECKS
from .running import (
    CheckResult,
    check_dataset,
    check_metric,
    check_model,
    check_network,
    parametrize_with_checks,
    run_checks,
    run_dataset_checks,
    run_metric_checks,
    run_real_checks,
)
from .subject import ContractError
from .toys import toys

__all__ = [
    "CHECKS",
    "DATASET_CHECKS",
    "METRIC_CHECKS",
    "Check",
    "CheckResult",
    "ContractError",
    "check_dataset",
    "check_metric",
    "check_model",
    "check_network",
    "parametrize_with_checks",
    "run_checks",
    "run_dataset_checks",
    "run_metric_checks",
    "run_real_checks",
    "toys",
]
