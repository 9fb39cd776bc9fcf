"""Which simulators there are, and what the environment of each holds."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from avnir.errors import BackendError
from avnir.hardware import environments
from avnir.hardware.environments import Environment

READY = "avnir-peer"
"""The file that an environment gets when its simulator has run in it."""
TORCH = 'torch is not installed; run: pip install "avnir[torch]"'


@dataclass(frozen=True)
class Peer:
    """A simulator: its worker script, and the pinned packages of its environment.

    batched: whether it runs the samples of a batch side by side. exact: whether it computes the chip's
    integers, so that its spikes must be avnir's. pythons: versions it was tried on, the first preferred; none
    where it uses the torch of the running interpreter, so that all that need torch have the same build. Such
    an environment is made on that interpreter and sees its packages behind its own. Without `packages` it is
    that interpreter's environment itself.
    """

    name: str
    title: str
    worker: str
    packages: tuple[str, ...] = ()
    pythons: tuple[str, ...] = ()
    batched: bool = False
    exact: bool = False

    @property
    def own(self) -> bool:
        """Whether it has an environment of its own."""
        return bool(self.packages)

    def place(self, python: str) -> Path:
        """Where its environment for a Python version belongs, named by what is installed in it."""
        within = "" if self.pythons else sys.prefix
        made_of = "\n".join([*self.packages, python, within])
        return environments.cache() / f"{self.name}-{hashlib.sha256(made_of.encode()).hexdigest()[:12]}"

    @property
    def versions(self) -> tuple[str, ...]:
        """The Python versions that its environment may have."""
        return self.pythons or ("{}.{}".format(*sys.version_info),)

    def environment(self) -> Environment | None:
        """Its environment, if it was set up; nothing is started."""
        places = (Environment(self.place(python)) for python in self.versions)
        return next((found for found in places if (found.folder / READY).is_file()), None)

    def python(self) -> Path:
        """The interpreter that runs it; BackendError with the remedy where there is none."""
        if why := self.missing():
            raise BackendError(why)
        found = self.environment()
        return found.python if found else Path(sys.executable)

    def missing(self) -> str | None:
        """Why it cannot run here and what to do about it, or None."""
        if not self.pythons and not find_spec("torch"):
            return TORCH
        if not self.own or self.environment():
            return None
        return f"not set up; run `avnir bench engine --setup {self.name}`"


PEERS = (
    Peer("snntorch", "snnTorch, eager", "snntorch_eager", batched=True),
    Peer(
        "spikingjelly",
        "SpikingJelly, multi-step",
        "spikingjelly_multi_step",
        ("spikingjelly==2.0.0", "loguru==0.7.3"),
        batched=True,
    ),
    Peer("norse", "norse", "norse_steps", ("norse==1.1.0", "nir==1.0.8", "nirtorch==2.6"), batched=True),
    Peer("sana-fe", "SANA-FE", "sanafe_chip", ("sanafe==2.2.9", "numpy==1.26.4"), ("3.11",)),
    Peer(
        "nengo-loihi",
        "nengo-loihi's emulator",
        "nengo_loihi_emulator",
        (
            "nengo-loihi==1.1.0",
            "nengo==3.2.0",
            "jinja2==3.1.6",
            "markupsafe==3.0.4",
            "numpy==1.23.5",
            "packaging==26.3",
            "scipy==1.10.1",
        ),
        ("3.10",),
        exact=True,
    ),
    Peer(
        "brian2loihi",
        "Brian2Loihi, numpy",
        "brian2loihi_network",
        (
            "brian2-loihi==0.5.2",
            "brian2==2.9.0",
            "cython==3.3.1",
            "jinja2==3.1.6",
            "markupsafe==3.0.4",
            "mpmath==1.3.0",
            "numpy==1.26.4",
            "packaging==26.3",
            "pyparsing==3.3.3",
            "sympy==1.14.0",
        ),
        ("3.11",),
        exact=True,
    ),
)
"""snnTorch first: it is what users come from, and no environment of its own is needed where avnir traces."""


def peers(names: Sequence[str]) -> tuple[Peer, ...]:
    """Those of these names, all with an environment of its own for `all`; BackendError for any other."""
    known = {peer.name: peer for peer in PEERS}
    if unknown := [name for name in names if name not in known and name != "all"]:
        raise BackendError(f"there is no simulator {unknown[0]!r}; there are {', '.join(known)}, and all")
    own = tuple(peer for peer in PEERS if peer.own)
    return own if "all" in names else tuple(known[name] for name in names)
