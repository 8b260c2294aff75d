"""Hikvision plate cameras and entrance controllers on the LAN: ISAPI with HTTP Digest (`specs/parking.md` section 3)."""
