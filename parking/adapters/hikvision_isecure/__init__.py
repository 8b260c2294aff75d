"""Hikvision iSecure Center (综合安防管理平台): OpenAPI of the "artemis" gateway (`specs/parking.md` section 4)."""
