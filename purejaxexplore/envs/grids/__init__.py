"""Grid worlds with the gymnax interface: small, fast, exactly known."""

from purejaxexplore.envs.grids.key_rooms import KeyRooms, KeyRoomsParams, KeyRoomsState
from purejaxexplore.envs.grids.pyramid import Pyramid, PyramidParams, PyramidState
from purejaxexplore.envs.grids.room_chain import RoomChain, RoomChainParams, RoomChainState

__all__ = [
    "KeyRooms",
    "KeyRoomsParams",
    "KeyRoomsState",
    "Pyramid",
    "PyramidParams",
    "PyramidState",
    "RoomChain",
    "RoomChainParams",
    "RoomChainState",
]
