"""Worlds of points and robots that move continuously, with the gymnax interface."""

from purejaxexplore.envs.control.hard_maze import HardMaze, HardMazeParams, HardMazeState
from purejaxexplore.envs.control.point_maze import PointMaze, PointMazeParams, PointMazeState

__all__ = ["HardMaze", "HardMazeParams", "HardMazeState", "PointMaze", "PointMazeParams", "PointMazeState"]
