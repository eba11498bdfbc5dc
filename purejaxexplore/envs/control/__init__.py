"""Worlds of points and robots that move continuously, with the gymnax interface."""

from purejaxexplore.envs.control.cartpole_id import CartpoleID, CartpoleIDParams
from purejaxexplore.envs.control.hard_maze import HardMaze, HardMazeParams, HardMazeState
from purejaxexplore.envs.control.lidar_maze import LidarMaze, LidarMazeParams, LidarMazeState
from purejaxexplore.envs.control.pendulum_id import PendulumID, PendulumIDParams
from purejaxexplore.envs.control.pick_place import PickPlace2D, PickPlaceParams, PickPlaceState
from purejaxexplore.envs.control.point_maze import PointMaze, PointMazeParams, PointMazeState
from purejaxexplore.envs.control.quadrotor_id import QuadrotorID, QuadrotorIDParams
from purejaxexplore.envs.control.warehouse import Warehouse2D, WarehouseParams, WarehouseState

__all__ = [
    "CartpoleID",
    "CartpoleIDParams",
    "HardMaze",
    "HardMazeParams",
    "HardMazeState",
    "LidarMaze",
    "LidarMazeParams",
    "LidarMazeState",
    "PendulumID",
    "PendulumIDParams",
    "PickPlace2D",
    "PickPlaceParams",
    "PickPlaceState",
    "PointMaze",
    "PointMazeParams",
    "PointMazeState",
    "QuadrotorID",
    "QuadrotorIDParams",
    "Warehouse2D",
    "WarehouseParams",
    "WarehouseState",
]
