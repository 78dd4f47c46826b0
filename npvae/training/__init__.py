"""Training: minibatches, the loop, its history, its guard, and checkpoints from which a run resumes exactly."""

from npvae.training.loop import train
from npvae.training.settings import TrainingSettings
from npvae.training.state import TrainingState

__all__ = ["TrainingSettings", "TrainingState", "train"]
