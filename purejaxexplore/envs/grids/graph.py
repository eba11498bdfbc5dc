"""Exact facts about deterministic worlds with few states, by their own step over all of them: what a claim rests on."""

from collections import deque
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Graph(NamedTuple):
    """Every transition of a world.

    Attributes:
        successors: i64[S, A], ids of the true successors.
        rewards: f32[S, A].
        terminated: bool[S, A].
    """

    successors: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray


def explore(env: Any, params: Any, states: Any) -> Graph:
    """Steps from every state by every action.

    Args:
        env: a world whose step does not use its key and whose ``info`` holds ``state_id``.
        params: its parameters.
        states: a batch of S states in the order of their ids.
    """

    def step(state, action):
        _, _, reward, terminated, info = env.step_env(jax.random.key(0), state, action, params)
        return info["state_id"], reward, terminated

    over_all = jax.jit(jax.vmap(jax.vmap(step, (None, 0)), (0, None)))
    return Graph(*map(np.asarray, over_all(states, jnp.arange(env.num_actions))))


def distances(graph: Graph, start: int) -> np.ndarray:
    """Steps from ``start`` to every state, i64[S]; -1 where none leads there. Ends of episodes lead nowhere."""
    return _search(graph, start)[0]


def steps_to_reward(graph: Graph, start: int) -> int:
    """The fewest steps of one episode that end in a positive reward; -1 where there are none."""
    distance, ended = _search(graph, start)
    rewarding = (graph.rewards > 0).any(1) & (distance >= 0) & ~ended
    return int(distance[rewarding].min()) + 1 if rewarding.any() else -1


def uniform_success(graph: Graph, start: int, num_steps: int) -> float:
    """The probability that uniform actions collect a positive reward within ``num_steps`` of one episode."""
    num_states, num_actions = graph.successors.shape
    distance, ended = _search(graph, start)
    rewarded = graph.rewards > 0
    going = ~rewarded & ~graph.terminated & ((distance >= 0) & ~ended)[:, None]
    walk = np.zeros((num_states, num_states))
    np.add.at(walk, (np.nonzero(going)[0], graph.successors[going]), 1 / num_actions)
    hit = rewarded.sum(1) / num_actions
    place, total = np.eye(num_states)[start], 0.0
    for _ in range(num_steps):
        total += place @ hit
        place = place @ walk
    return float(total)


def _search(graph: Graph, start: int) -> tuple[np.ndarray, np.ndarray]:
    """Distances i64[S] and which states end an episode, bool[S], by breadth-first search."""
    distance, ended = np.full(len(graph.successors), -1), np.zeros(len(graph.successors), bool)
    distance[start] = 0
    frontier = deque([start])
    while frontier:
        state = frontier.popleft()
        for successor, over in zip(graph.successors[state], graph.terminated[state], strict=True):
            if distance[successor] < 0:
                distance[successor], ended[successor] = distance[state] + 1, over
                if not over:
                    frontier.append(successor)
    return distance, ended
