"""Handwritten digits as a contextual bandit: an image is shown, a digit is named, and the reward is 1 if it is right.

The 1,797 images of 8 x 8 pixels that ship with scikit-learn (Alpaydin and Kaynak 1998, "Optical recognition of
handwritten digits"); scikit-learn comes with the extra ``datasets``.
"""

import importlib

import numpy as np

from purejaxexplore.envs.bandits.contextual import classification
from purejaxexplore.envs.bandits.world import World


def digits(*, horizon: int | None = None) -> World:
    """Ten arms, 64 features in [0, 1] and a constant one; rows are drawn with replacement.

    Raises:
        ImportError: scikit-learn is not installed.
    """
    try:
        datasets = importlib.import_module("sklearn.datasets")
    except ImportError as error:
        raise ImportError("digits needs scikit-learn: pip install 'purejaxexplore[datasets]'") from error
    images, labels = datasets.load_digits(return_X_y=True)
    features = np.concatenate([images / 16.0, np.ones((len(images), 1))], axis=1)
    return classification(features, labels, horizon=horizon)
