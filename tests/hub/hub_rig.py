"""What the tests of the hub share: the example file, its environment, and the same for another tenant."""

from __future__ import annotations

from importlib import resources

SECRET_KEY = "a-key-for-tests-0123456789"


def demo_environ() -> dict[str, str]:
    """What the example file refers to."""
    environ = {
        "HUB_DEMO_PARTNER_URL": "http://127.0.0.1:9/evcs/v1",
        "HUB_DEMO_REGULATOR_URL": "http://127.0.0.1:9/evcs/v1",
        "HUB_DEMO_ISECURE_URL": "http://127.0.0.1:9",
        "HUB_DEMO_CAMERA_URL": "http://127.0.0.1:9",
        "HUB_DEMO_ISECURE_APP_SECRET": "isecure-secret-zzz",
        "HUB_DEMO_CAMERA_PASSWORD": "camera-secret-zzz",
    }
    for party in ("PARTNER", "REGULATOR"):
        for side in ("IN", "OUT"):
            prefix = f"HUB_DEMO_{party}_{side}"
            environ[f"{prefix}_OPERATOR_SECRET"] = f"operator-{side}-zzzzz"
            environ[f"{prefix}_DATA_SECRET"] = "1234567890abcdef"
            environ[f"{prefix}_DATA_IV"] = "abcdef1234567890"
            environ[f"{prefix}_SIG_SECRET"] = "signature-zzzzzz"
    return environ


def example_text() -> str:
    """The shipped example."""
    return resources.files("hub.examples").joinpath("operator.yaml").read_text("utf-8")


def other_tenant_text() -> str:
    """The example as another tenant would have it: other ids everywhere."""
    changes = {"id: demo\n": "id: other\n", "MA5DEMO01": "MA5OTHER1", "320106000000": "320106999999"}
    changes |= {"330106001": "330106777", "MA5PARTN1": "MA5PARTN2"}
    text = example_text()
    for before, after in changes.items():
        assert before in text
        text = text.replace(before, after)
    return text
