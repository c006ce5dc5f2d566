"""The conformance suite finds faults: a sound model passes, a wrong one fails the check that names its fault."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mmbench.checks import CHECKS, CheckResult, check_model, parametrize_with_checks, run_checks, toys
from mmbench.config import Budget, Schedule
from mmbench.data.dataset import Split
from mmbench.errors import TrainingError
from mmbench.likelihoods import decoded, nll
from mmbench.modality import DatasetSpec, Modality
from mmbench.model import Batch, Model, Stage
from mmbench.networks import Networks
from mmbench.seeding import Noise

SCHEDULE = Schedule(steps=100, batch_size=64, lr=1e-3)


@dataclass(frozen=True, slots=True, kw_only=True)
class TinyConfig:
    schedule: Schedule = SCHEDULE
    latent: int = 5
    floor: float = 1e-2
    """Smallest standard deviation of the noise."""

    @classmethod
    def recipe(cls, dataset: DatasetSpec, budget: Budget = "paper") -> TinyConfig:
        return cls()


def encoder(m: Modality, latent: int) -> nn.Module:
    """(B, *shape) -> (B, latent)."""
    if m.is_text:
        return nn.Sequential(nn.Embedding(len(m.vocabulary), 3), nn.Flatten(), nn.Linear(3 * m.size, latent))
    return nn.Sequential(nn.Flatten(), nn.Linear(m.size, latent))


def decoder(m: Modality, latent: int) -> nn.Module:
    """(B, latent) -> location (B, *shape), or logits (B, length, vocabulary)."""
    shape = (*m.shape, len(m.vocabulary)) if m.is_text else m.shape
    linear = [nn.Linear(latent, math.prod(shape)), nn.Unflatten(1, shape)]
    return nn.Sequential(*linear) if m.is_text else nn.Sequential(*linear, nn.Sigmoid())


class Tiny(Model):
    """The mean of the given modalities' codes plus learned noise, decoded. Each fault below overrides one method."""

    Config = TinyConfig

    def __init__(self, dataset: DatasetSpec, config: Any, networks: Networks) -> None:
        super().__init__()
        self.dataset, self.config = dataset, config
        self.encoders = nn.ModuleDict({m.name: encoder(m, config.latent) for m in dataset.modalities})
        self.decoders = nn.ModuleDict({m.name: decoder(m, config.latent) for m in dataset.modalities})
        self.spread = nn.Parameter(torch.ones(config.latent))

    @classmethod
    def build(cls, dataset: DatasetSpec, config: Any, networks: Networks) -> Self:
        return cls(dataset, config, networks)

    def stages(self) -> Sequence[Stage]:
        return (Stage(name="all", module=self, schedule=self.config.schedule, loss=self.loss),)

    def encode(self, given: Batch) -> Tensor:
        return torch.stack([self.encoders[name](x) for name, x in given.items()]).mean(0)

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        code = self.encode(batch)
        z = code + (self.config.floor + self.spread.abs()) * torch.randn(code.shape, generator=generator)
        return {"loss": sum((self.nll(m, z, batch) for m in batch), torch.zeros(()))}

    def nll(self, name: str, z: Tensor, batch: Batch) -> Tensor:
        return nll(self.dataset.modality(name), self.decoders[name](z), batch[name]).mean()

    def noise(self, count: int, generator: torch.Generator) -> Tensor:
        return Noise(generator, count).normal(self.config.latent)

    def generate(
        self, given: Batch, targets: Sequence[str], *, count: int, generator: torch.Generator
    ) -> dict[str, Tensor]:
        z = self.spread * self.noise(count, generator)
        if given:
            z = z + self.encode(given)
        return {name: decoded(self.dataset.modality(name), self.decoders[name](z)) for name in targets}


# ---------------------------------------------------------------- faults


class IgnoresItsCondition(Tiny):
    def encode(self, given: Batch) -> Tensor:
        code = super().encode(given)
        return code if torch.is_grad_enabled() else torch.zeros_like(code)


class IgnoresOneOfTwo(Tiny):
    def encode(self, given: Batch) -> Tensor:
        return super().encode(given if torch.is_grad_enabled() else dict([next(iter(given.items()))]))


class DrawsGlobally(Tiny):
    def noise(self, count: int, generator: torch.Generator) -> Tensor:
        return torch.randn(count, self.config.latent)


class SeedsGlobally(Tiny):
    def noise(self, count: int, generator: torch.Generator) -> Tensor:
        torch.manual_seed(0)
        np.random.seed(0)
        random.seed(0)
        return super().noise(count, generator)


class DropoutLayer(Tiny):
    """A dropout layer is seeded by the harness: no breach of the contract."""

    def __init__(self, dataset: DatasetSpec, config: Any, networks: Networks) -> None:
        super().__init__(dataset, config, networks)
        self.thin = nn.Dropout(0.1)

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        terms = super().loss(batch, generator)
        return {**terms, "loss": self.thin(terms["loss"].expand(1000)).mean()}


class DropoutInLoss(Tiny):
    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        terms = super().loss(batch, generator)
        return {"loss": nn.functional.dropout(terms["loss"].expand(8), 0.5).mean()}


class OwnGeneratorInLoss(Tiny):
    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        if not hasattr(self, "own"):
            self.own = torch.Generator().manual_seed(0)
        return super().loss(batch, self.own)


class ParameterInTwoStages(Tiny):
    def stages(self) -> Sequence[Stage]:
        (stage,) = super().stages()
        return (stage, replace(stage, name="again", module=self.decoders))


class ParameterInNoStage(Tiny):
    def stages(self) -> Sequence[Stage]:
        (stage,) = super().stages()
        return (replace(stage, module=nn.ModuleList([self.encoders, self.decoders])),)


class TrainsAForeignModule(Tiny):
    def stages(self) -> Sequence[Stage]:
        (stage,) = super().stages()
        foreign = nn.Linear(1, 1)
        return (replace(stage, module=nn.ModuleList([self, foreign])),)


class TwoStagesOfOneName(Tiny):
    def stages(self) -> Sequence[Stage]:
        return (*super().stages(), *super().stages())


class UnusedParameter(Tiny):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.unused = nn.Parameter(torch.zeros(3))


class ZeroGradient(UnusedParameter):
    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        return {"loss": super().loss(batch, generator)["loss"] + 0.0 * self.unused.sum()}


class NaNLoss(Tiny):
    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        return {"loss": (super().loss(batch, generator)["loss"] - 1e9).log()}


class NaNGradient(UnusedParameter):
    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        return {"loss": super().loss(batch, generator)["loss"] + self.unused[:1].mul(0).sqrt().nan_to_num(0.0).sum()}


class LossPerItem(Tiny):
    def nll(self, name: str, z: Tensor, batch: Batch) -> Tensor:
        return nll(self.dataset.modality(name), self.decoders[name](z), batch[name])


class LossWithoutName(Tiny):
    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        return {"elbo": super().loss(batch, generator)["loss"]}


class WrongSign(Tiny):
    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        value = super().loss(batch, generator)["loss"]
        return {"loss": 2 * value.detach() - value}


class OneStage(Tiny):
    """Its stage has other fields, in ways that only the classes below call wrong."""

    fields: ClassVar[Mapping[str, Any]] = {}

    def stages(self) -> Sequence[Stage]:
        (stage,) = super().stages()
        return (replace(stage, **self.fields),)


class NamelessStage(OneStage):
    fields: ClassVar[Mapping[str, Any]] = {"name": ""}


class SkillOfNaN(OneStage):
    fields: ClassVar[Mapping[str, Any]] = {"skill": lambda held_out: {"skill": float("nan")}}


class SkillThatRefusesACollapse(OneStage):
    @staticmethod
    def refuse(held_out: Split) -> dict[str, float]:
        raise TrainingError("the stage has collapsed")

    fields: ClassVar[Mapping[str, Any]] = {"skill": refuse}


class LowSkill(OneStage):
    """A collapse is told and not judged: no breach of the contract."""

    fields: ClassVar[Mapping[str, Any]] = {"skill": lambda held_out: {"skill": -0.5}, "least": {"skill": 0.1}}


class LeastOfWhatIsNotThere(OneStage):
    fields: ClassVar[Mapping[str, Any]] = {**LowSkill.fields, "least": {"skill": 0.1, "skills": 0.1}}


class LeastWithoutSkill(OneStage):
    fields: ClassVar[Mapping[str, Any]] = {"least": {"skill": 0.1}}


class InfiniteLeast(OneStage):
    fields: ClassVar[Mapping[str, Any]] = {**LowSkill.fields, "least": {"skill": -math.inf}}


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmConfig(TinyConfig):
    temperature: float = 1.0
    """Of the samples alone."""


class TellsItsSettings(OneStage):
    """All that its training depends on; the temperature acts on samples only, and is left out with right."""

    Config = WarmConfig
    fields: ClassVar[Mapping[str, Any]] = {"needs": ()}

    def stages(self) -> Sequence[Stage]:
        (stage,) = super().stages()
        return (replace(stage, settings=self.settings()),)

    def settings(self) -> dict[str, Any]:
        return {"latent": self.config.latent, "noise": [{"floor": self.config.floor, "kind": "normal", "of": None}]}

    def noise(self, count: int, generator: torch.Generator) -> Tensor:
        return self.config.temperature * super().noise(count, generator)


class SettingsWithATuple(TellsItsSettings):
    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "shape": (1, 2)}


class SettingsWithAnInfinity(TellsItsSettings):
    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "bound": math.inf}


class SettingsByNumber(TellsItsSettings):
    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "widths": {1: 5}}


class SettingsThatAreTheConfig(TellsItsSettings):
    def settings(self) -> Any:
        return self.config


class SettingsOfTheMoment(TellsItsSettings):
    asked = 0

    def settings(self) -> dict[str, Any]:
        self.asked += 1
        return {**super().settings(), "asked": self.asked}


class SettingsOfTheSeed(TellsItsSettings):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.start = float(next(self.encoders.parameters()).detach().sum())

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "start": self.start}


class SettingsOfTheTraining(TellsItsSettings):
    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "spread": float(self.spread.detach().mean())}


class KeepsASettingSilent(TellsItsSettings):
    def settings(self) -> dict[str, Any]:
        return {"latent": self.config.latent}


class TellsNoSchedule(TellsItsSettings):
    """The schedule is told by the stage itself, and the latent's size by the weights: neither is silent."""

    def settings(self) -> dict[str, Any]:
        return {"floor": self.config.floor}


class TwoStages(Tiny):
    """Autoencoders without noise, then a spread as wide as the codes."""

    own_needs: ClassVar[Any] = ("autoencoders",)

    def stages(self) -> Sequence[Stage]:
        (stage,) = super().stages()
        coders, spread = nn.ModuleList([self.encoders, self.decoders]), nn.ParameterList([self.spread])
        first = replace(stage, name="autoencoders", module=coders, loss=self.reconstruction, needs=())
        return (first, replace(stage, name="spread", module=spread, loss=self.misfit, needs=self.own_needs))

    def reconstruction(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        code = self.encode(batch)
        return {"loss": sum((self.nll(m, code, batch) for m in batch), torch.zeros(()))}

    def misfit(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        return {"loss": (self.spread - self.encode(batch).detach().std(0)).square().sum()}


class NeedsAllByDefault(TwoStages):
    own_needs = None


class HidesANeed(TwoStages):
    own_needs = ()


class NeedsNothingIndeed(HidesANeed):
    def misfit(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        return {"loss": (self.spread - 0.5).square().sum()}


class NeedsItself(TwoStages):
    own_needs = ("autoencoders", "spread")


class NeedsAStranger(TwoStages):
    own_needs = ("autoencoder",)


class NeedsAWord(TwoStages):
    own_needs = "autoencoders"


class NeedsALaterStage(TwoStages):
    def stages(self) -> Sequence[Stage]:
        first, second = super().stages()
        return (second, first)


class Answers(Tiny):
    """Changes the answer of `generate`."""

    change: Callable[[Tensor], Tensor]

    def generate(
        self, given: Batch, targets: Sequence[str], *, count: int, generator: torch.Generator
    ) -> dict[str, Tensor]:
        answer = super().generate(given, targets, count=count, generator=generator)
        return {name: type(self).change(x) for name, x in answer.items()}


class NaNSamples(Answers):
    change = staticmethod(lambda x: x.log().sub(10).sqrt() if x.is_floating_point() else x)


class WrongShape(Answers):
    change = staticmethod(lambda x: x.flatten(1))


class WrongType(Answers):
    change = staticmethod(lambda x: x.double())


class OutOfRange(Answers):
    change = staticmethod(lambda x: x * 2 - 1 if x.is_floating_point() else x)


class ReturnsEverything(Tiny):
    def generate(
        self, given: Batch, targets: Sequence[str], *, count: int, generator: torch.Generator
    ) -> dict[str, Tensor]:
        return super().generate(given, self.dataset.names, count=count, generator=generator)


class NoJointGeneration(Tiny):
    def generate(
        self, given: Batch, targets: Sequence[str], *, count: int, generator: torch.Generator
    ) -> dict[str, Tensor]:
        self.encode(given)
        return super().generate(given, targets, count=count, generator=generator)


class ChangesItsMode(Tiny):
    def noise(self, count: int, generator: torch.Generator) -> Tensor:
        self.decoders.train()
        return super().noise(count, generator)


class LeavesEvalMode(Tiny):
    def noise(self, count: int, generator: torch.Generator) -> Tensor:
        self.eval()
        return super().noise(count, generator)


class ChangesAParameter(Tiny):
    @torch.no_grad()
    def noise(self, count: int, generator: torch.Generator) -> Tensor:
        self.spread.mul_(1.001)
        return super().noise(count, generator)


class ChangesTheGivenItems(Tiny):
    def encode(self, given: Batch) -> Tensor:
        code = super().encode(given)
        for x in given.values():
            if not torch.is_grad_enabled():
                x.zero_()
        return code


class OtherSamplesEachTime(Tiny):
    calls = 0

    def noise(self, count: int, generator: torch.Generator) -> Tensor:
        self.calls += 1
        return super().noise(count, generator) + 0.1 * self.calls


class SameSamplesAlways(Tiny):
    def noise(self, count: int, generator: torch.Generator) -> Tensor:
        return super().noise(count, torch.Generator().manual_seed(0))


class OneNoiseForAll(Tiny):
    def noise(self, count: int, generator: torch.Generator) -> Tensor:
        return super().noise(1, generator).expand(count, -1)


class NoiseOfTheBatch(Tiny):
    def noise(self, count: int, generator: torch.Generator) -> Tensor:
        return torch.randn(count, self.config.latent, generator=generator)


class SeesTheBatch(Tiny):
    def noise(self, count: int, generator: torch.Generator) -> Tensor:
        noise = super().noise(count, generator)
        return noise - noise.mean(0)


class ForgetsWhatItLearned(Tiny):
    """Keeps what generation needs in an attribute that no checkpoint holds."""

    shift: Tensor

    def encode(self, given: Batch) -> Tensor:
        code = super().encode(given)
        if torch.is_grad_enabled():
            self.shift = code.detach().mean(0)
        return code

    def noise(self, count: int, generator: torch.Generator) -> Tensor:
        return super().noise(count, generator) + getattr(self, "shift", torch.zeros(self.config.latent))


@dataclass(frozen=True, slots=True, kw_only=True)
class WiderAtPaper(TinyConfig):
    @classmethod
    def recipe(cls, dataset: DatasetSpec, budget: Budget = "paper") -> WiderAtPaper:
        return cls(latent=7 if budget == "paper" else 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoisierAtPaper(TinyConfig):
    @classmethod
    def recipe(cls, dataset: DatasetSpec, budget: Budget = "paper") -> NoisierAtPaper:
        return cls(floor=2.0 if budget == "paper" else 1e-2)


@dataclass(frozen=True, slots=True, kw_only=True)
class LosesItsType(TinyConfig):
    extra: Any = ()

    @classmethod
    def recipe(cls, dataset: DatasetSpec, budget: Budget = "paper") -> LosesItsType:
        return cls(extra=(1, 2))


@dataclass
class Thawed:
    latent: int = 5


class WiderModel(Tiny):
    Config = WiderAtPaper


class NoisierModel(Tiny):
    Config = NoisierAtPaper


class LosesItsConfig(Tiny):
    Config = LosesItsType


class ThawedConfig(Tiny):
    Config = Thawed


class NoRecipeForSmoke(Tiny):
    @classmethod
    def recipe(cls, dataset: DatasetSpec, budget: Budget = "paper") -> Any:
        return {"paper": TinyConfig()}[budget]


class UnseededParameters(Tiny):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        fresh = torch.Generator()
        fresh.seed()
        self.spread = nn.Parameter(torch.rand(5, generator=fresh))


class BuildsForTwoOnly(Tiny):
    def __init__(self, dataset: DatasetSpec, config: Any, networks: Networks) -> None:
        _first, _second = dataset.modalities
        super().__init__(dataset, config, networks)


class Abstract(Model):
    Config = TinyConfig


FAULTS: Mapping[type[Model], tuple[str, str]] = {
    IgnoresItsCondition: ("conditions_used", "condition the samples on everything"),
    IgnoresOneOfTwo: ("conditions_used", "other 'word' items .* leave flag"),
    DrawsGlobally: ("random_state", "of torch; draw noise with mmbench.seeding.Noise"),
    SeedsGlobally: ("random_state", "of torch and numpy and python"),
    DropoutInLoss: ("loss_draws", "dropout"),
    OwnGeneratorInLoss: ("loss_draws", "generator=generator"),
    ParameterInTwoStages: ("parameters_in_one_stage", "'decoders.*several stages .all, again"),
    ParameterInNoStage: ("parameters_in_one_stage", "'spread' is in no stage"),
    TrainsAForeignModule: ("parameters_in_one_stage", "not be saved"),
    TwoStagesOfOneName: ("stages", "same name"),
    NamelessStage: ("stages", "has no name"),
    UnusedParameter: ("gradients", "'unused' never gets a gradient"),
    ZeroGradient: ("gradients", "'unused' has gradient 0"),
    NaNLoss: ("losses", "'loss' is nan"),
    LossPerItem: ("losses", "scalar"),
    LossWithoutName: ("losses", "as 'loss'"),
    WrongSign: ("learning", "check its sign"),
    SkillOfNaN: ("skill", "finite"),
    SkillThatRefusesACollapse: ("skill", "raises TrainingError .the stage has collapsed"),
    LeastOfWhatIsNotThere: ("least", "names 'skills', skill returns .'skill'"),
    LeastWithoutSkill: ("least", "skill returns nothing"),
    InfiniteLeast: ("least", "'?skill'? is not a finite number"),
    SettingsWithATuple: ("settings", "plain JSON data"),
    SettingsWithAnInfinity: ("settings", "plain JSON data"),
    SettingsByNumber: ("settings", "plain JSON data"),
    SettingsThatAreTheConfig: ("settings", "to_json"),
    SettingsOfTheMoment: ("settings", "asked again"),
    SettingsOfTheSeed: ("settings", "under another seed"),
    SettingsOfTheTraining: ("settings", "after training"),
    KeepsASettingSilent: ("settings_complete", "'all': floor changes its loss"),
    HidesANeed: ("needs_complete", "'spread'.* the weights of autoencoders"),
    NeedsItself: ("needs", "'spread' needs 'spread'; the stages before it are .'autoencoders'"),
    NeedsAStranger: ("needs", "needs 'autoencoder';"),
    NeedsAWord: ("needs", "must be a tuple"),
    NeedsALaterStage: ("needs", "needs 'autoencoders'; the stages before it are .."),
    NaNSamples: ("answers", "NaN"),
    WrongShape: ("answers", "must be torch.float32 .5, 1, 8, 8., got"),
    WrongType: ("answers", "float64"),
    OutOfRange: ("answers", r"must lie in \[0, 1\]"),
    ReturnsEverything: ("answers", "was asked for"),
    NoJointGeneration: ("answers", "joint.*RuntimeError"),
    ChangesItsMode: ("model_kept", "mode of decoders"),
    LeavesEvalMode: ("model_kept", "mode of the model"),
    ChangesAParameter: ("model_kept", "parameter 'spread'"),
    ChangesTheGivenItems: ("model_kept", "the given 'spot'"),
    OtherSamplesEachTime: ("same_seed", "same generator"),
    SameSamplesAlways: ("other_seed", "another generator"),
    OneNoiseForAll: ("other_seed", "one stream per sample"),
    NoiseOfTheBatch: ("batch_cut", "draw noise with mmbench.seeding.Noise"),
    SeesTheBatch: ("batch_cut", "rest of its batch"),
    ForgetsWhatItLearned: ("save_load", "register_buffer"),
    WiderModel: ("budgets", "parameters.* is .* at budget 'paper'"),
    NoisierModel: ("budgets", "the loss of stage 'all'.*'paper'"),
    LosesItsConfig: ("config_json", "exact type hints"),
    ThawedConfig: ("class", "frozen=True"),
    NoRecipeForSmoke: ("recipes", "KeyError: 'smoke'"),
    UnseededParameters: ("build", "'spread'"),
    BuildsForTwoOnly: ("build", "the toy of 3 modalities: ValueError"),
    Abstract: ("class", "lacks build, generate, stages"),
}


def failed(results: Sequence[CheckResult]) -> dict[str, str]:
    return {r.name: r.message for r in results if r.outcome == "failed"}


SOUND = (
    Tiny,
    DropoutLayer,
    LowSkill,
    TellsItsSettings,
    TellsNoSchedule,
    TwoStages,
    NeedsAllByDefault,
    NeedsNothingIndeed,
)


@pytest.mark.parametrize("model", SOUND, ids=lambda m: m.__name__)
def test_a_sound_model_passes_every_check(model: type[Model]) -> None:
    results = check_model(model)
    assert [r.name for r in results] == list(CHECKS)
    assert all(r.passed and r.ok for r in results), failed(results)


@pytest.mark.parametrize("model", FAULTS, ids=lambda m: m.__name__)
def test_a_fault_fails_the_check_that_names_it(model: type[Model]) -> None:
    name, message = FAULTS[model]
    found = failed(check_model(model))
    assert list(found) == [name], found
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(found[name])


def test_prerequisites_come_first_and_exist() -> None:
    for check in CHECKS.values():
        assert set(check.needs) <= set(CHECKS)
        assert check.title[0].isupper() or check.title.startswith("`")


def test_the_rest_of_a_failure_is_skipped_with_a_reason() -> None:
    by_name = {r.name: r for r in run_checks(DrawsGlobally)}
    assert by_name["same_seed"].outcome == "skipped"
    assert "'random_state' must pass first" in by_name["same_seed"].line()
    assert by_name["learning"].passed


def test_an_unknown_model_is_a_failure_and_no_crash() -> None:
    results = check_model("mdl")
    assert failed(results) == {"class": results[0].message}
    assert "did you mean 'mld'?" in results[0].message


def test_nothing_of_the_callers_changes() -> None:
    def state() -> list[str]:
        return [repr(x) for x in (torch.get_rng_state().tolist(), np.random.get_state(), random.getstate())]

    before, threads = state(), torch.get_num_threads()
    check_model(SeedsGlobally)
    assert state() == before
    assert torch.get_num_threads() == threads


# ---------------------------------------------------------------- known failures


class KnownFault(NoiseOfTheBatch):
    known_failures: ClassVar[Mapping[str, str]] = {"batch_cut": "the paper's code draws by batch"}


class NoLongerFails(Tiny):
    known_failures: ClassVar[Mapping[str, str]] = {"batch_cut": "was so once"}


class KnowsAStrangeCheck(Tiny):
    known_failures: ClassVar[Mapping[str, str]] = {"batch_cuts": "a slip of the pen"}


def test_a_known_failure_is_as_expected() -> None:
    result = next(r for r in run_checks(KnownFault) if r.name == "batch_cut")
    assert (result.passed, result.ok, result.known) == (False, True, "the paper's code draws by batch")
    assert result.line().startswith("known   batch_cut")


def test_a_known_failure_that_passes_is_reported() -> None:
    (result,) = [r for r in run_checks(NoLongerFails) if not r.ok]
    assert result.name == "batch_cut"
    assert "remove the entry" in result.line()


def test_a_known_failure_must_name_a_check() -> None:
    assert "batch_cuts" in failed(check_model(KnowsAStrangeCheck))["class"]


class WarmsUp(Tiny):
    """A term that grows with the training steps, which a buffer counts."""

    steps_done: Tensor

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.register_buffer("steps_done", torch.zeros(()))

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        if self.training:
            self.steps_done += 1
        return {"loss": super().loss(batch, generator)["loss"] + 100 * self.steps_done * self.spread.square().sum()}


def test_a_warm_up_counted_in_a_buffer_is_sound() -> None:
    assert not failed(check_model(WarmsUp))


def test_check_settings_shrink_a_model() -> None:
    class Small(Tiny):
        check_settings = ("latent=2",)

        def __init__(self, dataset: DatasetSpec, config: Any, networks: Networks) -> None:
            super().__init__(dataset, config, networks)
            assert config.latent == 2

    assert all(r.passed for r in run_checks(Small))


# ---------------------------------------------------------------- pytest


@parametrize_with_checks([Tiny, KnownFault])
def test_in_pytest(model: type[Model], check: Callable[[type[Model]], None], request: pytest.FixtureRequest) -> None:
    assert model.__name__ in request.node.name
    if model is KnownFault and "batch_cut" in request.node.name:
        with pytest.raises(pytest.xfail.Exception, match="the paper's code"):
            check(model)
    else:
        check(model)


@pytest.mark.parametrize(
    ("model", "name", "outcome"),
    [
        (NoiseOfTheBatch, "batch_cut", pytest.fail.Exception),
        (NoLongerFails, "batch_cut", pytest.fail.Exception),
        (DrawsGlobally, "batch_cut", pytest.skip.Exception),
    ],
)
def test_outcomes_in_pytest(model: type[Model], name: str, outcome: type[BaseException]) -> None:
    cases = parametrize_with_checks([model]).args[1]
    check = next(case.values[1] for case in cases if case.id == f"{model.__name__}-{name}")
    with pytest.raises(outcome):
        check(model)


# ---------------------------------------------------------------- toys


def test_toys_share_a_factor_and_are_stable() -> None:
    for data, again in zip(toys(), toys(), strict=True):
        assert data.fingerprint == again.fingerprint
        batch = data.train.gather(torch.arange(len(data.train)))
        labels = data.train.labels
        assert labels is not None
        for modality in data.spec.modalities:
            x = batch[modality.name].float().flatten(1)
            centres = torch.stack([x[labels == k].mean(0) for k in range(data.spec.classes)])
            assert torch.equal(torch.cdist(x, centres).argmin(1), labels), modality.name


def test_the_toys_have_two_and_three_modalities_with_a_text() -> None:
    two, three = (data.spec.modalities for data in toys())
    assert [m.is_text for m in two] == [False, False]
    assert [m.is_text for m in three] == [False, False, True]
    assert two[0].shape != two[1].shape
