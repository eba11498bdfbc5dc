"""Learners that several families build on: PPO, and the random policy they are all compared with."""
