"""The whole directory of frames of specs/ykc.md 4, as data: `TABLES[type]`."""

from collections.abc import Mapping
from types import MappingProxyType

from charging_core.piles.protocols.ykc.fields import FrameTable
from charging_core.piles.protocols.ykc.tables import charge, device, link, vehicle

TABLES: Mapping[int, FrameTable] = MappingProxyType(
    {table.type: table for table in (*link.TABLES, *charge.TABLES, *vehicle.TABLES, *device.TABLES)}
)
"""Every published frame type of 1.5 / 1.6, the QR supplement and 1.7's trade record."""
