"""Grid worlds with the gymnax interface: small, fast, exactly known."""

from purejaxexplore.envs.grids.craft import CraftLite, CraftParams, CraftState
from purejaxexplore.envs.grids.dark_noisy_rooms import DarkNoisyRooms, DarkNoisyRoomsState
from purejaxexplore.envs.grids.gauss_grid import GaussGrid8, GaussGridParams, GaussGridState
from purejaxexplore.envs.grids.jelly import JellyLite, JellyParams, JellyState
from purejaxexplore.envs.grids.key_rooms import KeyRooms, KeyRoomsParams, KeyRoomsState
from purejaxexplore.envs.grids.mars import MarsGrid, MarsParams, MarsState
from purejaxexplore.envs.grids.mars_team import MarsTeam, MarsTeamParams, MarsTeamState
from purejaxexplore.envs.grids.nov_grid import NovGridLite, NovGridParams, NovGridState
from purejaxexplore.envs.grids.pyramid import Pyramid, PyramidParams, PyramidState
from purejaxexplore.envs.grids.room_chain import RoomChain, RoomChainParams, RoomChainState
from purejaxexplore.envs.grids.room_maze import RoomMaze, RoomMazeParams, RoomMazeState
from purejaxexplore.envs.grids.semantic_house import SemanticHouse, SemanticHouseParams, SemanticHouseState
from purejaxexplore.envs.grids.spiral import Spiral, SpiralParams, SpiralState

__all__ = [
    "CraftLite",
    "CraftParams",
    "CraftState",
    "DarkNoisyRooms",
    "DarkNoisyRoomsState",
    "GaussGrid8",
    "GaussGridParams",
    "GaussGridState",
    "JellyLite",
    "JellyParams",
    "JellyState",
    "KeyRooms",
    "KeyRoomsParams",
    "KeyRoomsState",
    "MarsGrid",
    "MarsParams",
    "MarsState",
    "MarsTeam",
    "MarsTeamParams",
    "MarsTeamState",
    "NovGridLite",
    "NovGridParams",
    "NovGridState",
    "Pyramid",
    "PyramidParams",
    "PyramidState",
    "RoomChain",
    "RoomChainParams",
    "RoomChainState",
    "RoomMaze",
    "RoomMazeParams",
    "RoomMazeState",
    "SemanticHouse",
    "SemanticHouseParams",
    "SemanticHouseState",
    "Spiral",
    "SpiralParams",
    "SpiralState",
]
