"""The first schema: every table of 0.1.0.

Row-level security is not here: `hub.migrate` puts it on every tenant table after each upgrade (PostgreSQL).
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "alarm",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("object_id", sa.String(length=64), nullable=False),
        sa.Column("text", sa.String(length=500), nullable=False),
        sa.Column("raised_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cleared_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alarm")),
    )
    with op.batch_alter_table("alarm", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_alarm_tenant_id"), ["tenant_id"], unique=False)
        batch_op.create_index(
            "uq_alarm_open",
            ["tenant_id", "kind", "object_id"],
            unique=True,
            postgresql_where=sa.text("cleared_at IS NULL"),
            sqlite_where=sa.text("cleared_at IS NULL"),
        )

    op.create_table(
        "api_token",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_token")),
    )
    with op.batch_alter_table("api_token", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_api_token_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "charge_sample",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("order_id", sa.String(length=26), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("energy_kwh", sa.BigInteger(), nullable=False),
        sa.Column("reading", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_charge_sample")),
    )
    with op.batch_alter_table("charge_sample", schema=None) as batch_op:
        batch_op.create_index("ix_charge_sample_order", ["order_id", "at"], unique=False)
        batch_op.create_index(batch_op.f("ix_charge_sample_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "delivery",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("destination_kind", sa.String(length=32), nullable=False),
        sa.Column("destination_id", sa.String(length=64), nullable=False),
        sa.Column("interface", sa.String(length=64), nullable=False),
        sa.Column("object_key", sa.String(length=128), nullable=False),
        sa.Column("object_version", sa.BigInteger(), nullable=False),
        sa.Column("lane", sa.String(length=300), nullable=True),
        sa.Column("lane_order", sa.BigInteger(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("deadline_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("urgent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expire", sa.Boolean(), nullable=False),
        sa.Column("requires_interface", sa.String(length=64), nullable=True),
        sa.Column("requires_key", sa.String(length=128), nullable=True),
        sa.Column("batch_count", sa.Integer(), nullable=True),
        sa.Column("batch_from", sa.DateTime(timezone=True), nullable=True),
        sa.Column("call_id", sa.String(length=26), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lease_owner", sa.String(length=64), nullable=True),
        sa.Column("lease_token", sa.String(length=26), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempt_count", sa.Integer(), nullable=False),
        sa.Column("failure_count", sa.Integer(), nullable=False),
        sa.Column("attempt_id", sa.String(length=26), nullable=True),
        sa.Column("attempt_started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempt_worker", sa.String(length=64), nullable=True),
        sa.Column("event_id", sa.String(length=26), nullable=True),
        sa.Column("snapshot", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("policy_name", sa.String(length=64), nullable=False),
        sa.Column("policy_version", sa.String(length=32), nullable=False),
        sa.Column("outcome", sa.String(length=24), nullable=True),
        sa.Column("code", sa.String(length=64), nullable=True),
        sa.Column("reason", sa.String(length=300), nullable=True),
        sa.Column("dispute", sa.Boolean(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery")),
        sa.UniqueConstraint(
            "tenant_id",
            "destination_kind",
            "destination_id",
            "interface",
            "object_key",
            "object_version",
            name="uq_delivery_object",
        ),
        postgresql_with={"fillfactor": 70, "toast_tuple_target": 256},
    )
    with op.batch_alter_table("delivery", schema=None) as batch_op:
        batch_op.create_index(
            "ix_delivery_due",
            ["tenant_id", "destination_kind", "destination_id", "priority", "next_attempt_at", "id"],
            unique=False,
            postgresql_where=sa.text("state = 'waiting'"),
            sqlite_where=sa.text("state = 'waiting'"),
        )
        batch_op.create_index(
            "ix_delivery_finished_at",
            ["finished_at"],
            unique=False,
            postgresql_where=sa.text("finished_at IS NOT NULL"),
            sqlite_where=sa.text("finished_at IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_delivery_lane",
            ["lane", "lane_order", "id"],
            unique=False,
            postgresql_where=sa.text("state IN ('waiting', 'leased', 'held')"),
            sqlite_where=sa.text("state IN ('waiting', 'leased', 'held')"),
        )
        batch_op.create_index(
            "ix_delivery_leased",
            ["lease_owner"],
            unique=False,
            postgresql_where=sa.text("state = 'leased'"),
            sqlite_where=sa.text("state = 'leased'"),
        )
        batch_op.create_index(
            "ix_delivery_next",
            ["tenant_id", "destination_kind", "destination_id", "next_attempt_at"],
            unique=False,
            postgresql_where=sa.text("state = 'waiting'"),
            sqlite_where=sa.text("state = 'waiting'"),
        )
        batch_op.create_index("ix_delivery_object_key", ["object_key"], unique=False)
        batch_op.create_index(
            "ix_delivery_retrying",
            ["tenant_id", "destination_kind", "destination_id", "next_attempt_at"],
            unique=False,
            postgresql_where=sa.text("state = 'waiting' AND failure_count > 0"),
            sqlite_where=sa.text("state = 'waiting' AND failure_count > 0"),
        )
        batch_op.create_index(
            "ix_delivery_urgent",
            ["tenant_id", "destination_kind", "destination_id", "priority", "urgent_at", "lane_order", "id"],
            unique=False,
            postgresql_where=sa.text("state = 'waiting' AND urgent_at IS NOT NULL"),
            sqlite_where=sa.text("state = 'waiting' AND urgent_at IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_delivery_urgent_at",
            ["tenant_id", "destination_kind", "destination_id", "urgent_at"],
            unique=False,
            postgresql_where=sa.text("state = 'waiting' AND urgent_at IS NOT NULL"),
            sqlite_where=sa.text("state = 'waiting' AND urgent_at IS NOT NULL"),
        )

    op.create_table(
        "delivery_attempt",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("delivery_id", sa.String(length=26), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("call_id", sa.String(length=26), nullable=True),
        sa.Column("duration_ms", sa.Integer(), nullable=True),
        sa.Column("request_text", sa.Text(), nullable=True),
        sa.Column("answer_text", sa.Text(), nullable=True),
        sa.Column("http_status", sa.Integer(), nullable=True),
        sa.Column("error", sa.String(length=32), nullable=True),
        sa.Column("outcome", sa.String(length=24), nullable=True),
        sa.Column("code", sa.String(length=64), nullable=True),
        sa.Column("message", sa.String(length=300), nullable=True),
        sa.Column("worker", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", "started_at", name=op.f("pk_delivery_attempt")),
        postgresql_partition_by="RANGE (started_at)",
    )
    with op.batch_alter_table("delivery_attempt", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_delivery_attempt_delivery_id"), ["delivery_id"], unique=False)

    op.create_table(
        "destination_state",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("destination_id", sa.String(length=64), nullable=False),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.Column("hold_reason", sa.String(length=300), nullable=True),
        sa.Column("held_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("configuration_failures", sa.Integer(), nullable=False),
        sa.Column("consecutive_failures", sa.Integer(), nullable=False),
        sa.Column("failing_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("open_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_call_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("concurrency", sa.Integer(), nullable=True),
        sa.Column("last_accepted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("event_version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "kind", "destination_id", name=op.f("pk_destination_state")),
    )
    op.create_table(
        "domain_event",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("subject_id", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("snapshot", sa.Text(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("problem", sa.String(length=500), nullable=True),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_domain_event")),
    )
    with op.batch_alter_table("domain_event", schema=None) as batch_op:
        batch_op.create_index(
            "ix_domain_event_pending",
            ["id"],
            unique=False,
            postgresql_where=sa.text("state = 'pending'"),
            sqlite_where=sa.text("state = 'pending'"),
        )
        batch_op.create_index("ix_domain_event_subject", ["subject_id", "version"], unique=False)
        batch_op.create_index(batch_op.f("ix_domain_event_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "exchange",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("link_id", sa.String(length=64), nullable=True),
        sa.Column("direction", sa.String(length=3), nullable=False),
        sa.Column("interface", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("duration_ms", sa.Integer(), nullable=False),
        sa.Column("path", sa.String(length=300), nullable=False),
        sa.Column("remote", sa.String(length=64), nullable=True),
        sa.Column("operator_id", sa.String(length=32), nullable=True),
        sa.Column("http_status", sa.Integer(), nullable=True),
        sa.Column("ret", sa.Integer(), nullable=True),
        sa.Column("message", sa.String(length=300), nullable=True),
        sa.Column("failed_check", sa.String(length=64), nullable=True),
        sa.Column("seq", sa.String(length=16), nullable=True),
        sa.Column("object_key", sa.String(length=64), nullable=True),
        sa.Column("request_body", sa.Text(), nullable=True),
        sa.Column("reply_body", sa.Text(), nullable=True),
        sa.Column("request_raw", sa.Text(), nullable=True),
        sa.Column("reply_raw", sa.Text(), nullable=True),
        sa.Column("request_bytes", sa.Integer(), nullable=False),
        sa.Column("reply_bytes", sa.Integer(), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exchange")),
    )
    with op.batch_alter_table("exchange", schema=None) as batch_op:
        batch_op.create_index("ix_exchange_at", ["at"], unique=False)
        batch_op.create_index("ix_exchange_link", ["link_id", "id"], unique=False)
        batch_op.create_index("ix_exchange_object", ["object_key", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_exchange_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "firmware_rollout",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("package", sa.Text(), nullable=False),
        sa.Column("password", sa.Text(), nullable=False),
        sa.Column("version", sa.String(length=32), nullable=True),
        sa.Column("failures_allowed", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("asked_by", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=True),
        sa.Column("history", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_firmware_rollout")),
    )
    with op.batch_alter_table("firmware_rollout", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_firmware_rollout_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "ground_lock",
        sa.Column("connector_code", sa.String(length=26), nullable=False),
        sa.Column("position", sa.String(length=16), nullable=False),
        sa.Column("occupied", sa.Boolean(), nullable=True),
        sa.Column("battery_percent", sa.Integer(), nullable=True),
        sa.Column("alarm", sa.String(length=32), nullable=True),
        sa.Column("reported_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("connector_code", name=op.f("pk_ground_lock")),
    )
    with op.batch_alter_table("ground_lock", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_ground_lock_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "member",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("phone", sa.String(length=32), nullable=True),
        sa.Column("balance_yuan", sa.BigInteger(), nullable=False),
        sa.Column("credit_yuan", sa.BigInteger(), nullable=False),
        sa.Column("per_charge_yuan", sa.BigInteger(), nullable=True),
        sa.Column("stations", sa.Text(), nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("blocked", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_member")),
        sa.UniqueConstraint("tenant_id", "code", name=op.f("uq_member_tenant_id_code")),
    )
    with op.batch_alter_table("member", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_member_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "ocpp_access",
        sa.Column("pile_code", sa.String(length=14), nullable=False),
        sa.Column("identity", sa.String(length=48), nullable=False),
        sa.Column("secret", sa.Text(), nullable=True),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("pile_code", name=op.f("pk_ocpp_access")),
        sa.UniqueConstraint("identity", name=op.f("uq_ocpp_access_identity")),
    )
    with op.batch_alter_table("ocpp_access", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_ocpp_access_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "ocpp_transaction",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("pile_code", sa.String(length=14), nullable=False),
        sa.Column("connector_no", sa.Integer(), nullable=False),
        sa.Column("id_tag", sa.String(length=64), nullable=False),
        sa.Column("trade_number", sa.String(length=64), nullable=False),
        sa.Column("meter_start_wh", sa.BigInteger(), nullable=False),
        sa.Column("meter_stop_wh", sa.BigInteger(), nullable=True),
        sa.Column("told_start", sa.DateTime(timezone=True), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("told_stop", sa.DateTime(timezone=True), nullable=True),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ocpp_transaction")),
        sa.UniqueConstraint("trade_number", name=op.f("uq_ocpp_transaction_trade_number")),
    )
    with op.batch_alter_table("ocpp_transaction", schema=None) as batch_op:
        batch_op.create_index("ix_ocpp_transaction_pile", ["pile_code", "connector_no"], unique=False)
        batch_op.create_index(batch_op.f("ix_ocpp_transaction_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "operator",
        sa.Column("operator_id", sa.String(length=9), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("tel", sa.String(length=32), nullable=False),
        sa.Column("credit_code", sa.String(length=18), nullable=True),
        sa.Column("registered_address", sa.String(length=128), nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("operator_id", name=op.f("pk_operator")),
    )
    with op.batch_alter_table("operator", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_operator_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "park",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("rule", sa.Text(), nullable=True),
        sa.Column("exit_policy", sa.String(length=16), nullable=False),
        sa.Column("max_stay_days", sa.Integer(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_park")),
        sa.UniqueConstraint("tenant_id", "code", name=op.f("uq_park_tenant_id_code")),
    )
    with op.batch_alter_table("park", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_park_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "partner_link",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("slug", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("profile", sa.String(length=200), nullable=False),
        sa.Column("environment", sa.String(length=8), nullable=False),
        sa.Column("our_operator_id", sa.String(length=9), nullable=False),
        sa.Column("their_operator_ids", sa.Text(), nullable=False),
        sa.Column("inbound_bases", sa.Text(), nullable=False),
        sa.Column("outbound_base", sa.String(length=300), nullable=True),
        sa.Column("inbound_keys", sa.Text(), nullable=False),
        sa.Column("outbound_keys", sa.Text(), nullable=True),
        sa.Column("outbound_next_keys", sa.Text(), nullable=True),
        sa.Column("stations", sa.Text(), nullable=False),
        sa.Column("options", sa.Text(), nullable=False),
        sa.Column("allow_ips", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_partner_link")),
        sa.UniqueConstraint("tenant_id", "slug", name=op.f("uq_partner_link_tenant_id_slug")),
    )
    with op.batch_alter_table("partner_link", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_partner_link_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "pile_card",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("pile_code", sa.String(length=14), nullable=False),
        sa.Column("number", sa.String(length=16), nullable=False),
        sa.Column("physical", sa.String(length=16), nullable=False),
        sa.Column("wanted", sa.Boolean(), nullable=False),
        sa.Column("present", sa.Boolean(), nullable=True),
        sa.Column("problem", sa.String(length=100), nullable=True),
        sa.Column("command_id", sa.String(length=26), nullable=True),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pile_card")),
        sa.UniqueConstraint("pile_code", "physical", name=op.f("uq_pile_card_pile_code_physical")),
    )
    with op.batch_alter_table("pile_card", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_pile_card_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "pile_command",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("order_id", sa.String(length=26), nullable=True),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("pile_code", sa.String(length=14), nullable=False),
        sa.Column("connector_no", sa.Integer(), nullable=False),
        sa.Column("trade_number", sa.String(length=64), nullable=True),
        sa.Column("balance_yuan", sa.BigInteger(), nullable=True),
        sa.Column("parameters", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.String(length=64), nullable=True),
        sa.Column("reason", sa.String(length=200), nullable=True),
        sa.Column("batch_id", sa.String(length=26), nullable=True),
        sa.Column("answer_within_s", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("hold_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("detail", sa.String(length=200), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pile_command")),
    )
    with op.batch_alter_table("pile_command", schema=None) as batch_op:
        batch_op.create_index(
            "ix_pile_command_asked",
            ["expires_at"],
            unique=False,
            postgresql_where=sa.text("order_id IS NULL AND state IN ('pending', 'sent')"),
            sqlite_where=sa.text("order_id IS NULL AND state IN ('pending', 'sent')"),
        )
        batch_op.create_index(batch_op.f("ix_pile_command_batch_id"), ["batch_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_pile_command_order_id"), ["order_id"], unique=False)
        batch_op.create_index(
            "ix_pile_command_pending",
            ["pile_code", "id"],
            unique=False,
            postgresql_where=sa.text("state = 'pending'"),
            sqlite_where=sa.text("state = 'pending'"),
        )
        batch_op.create_index("ix_pile_command_pile", ["pile_code", "kind", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_pile_command_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "pile_frame",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("order_id", sa.String(length=26), nullable=True),
        sa.Column("pile_code", sa.String(length=14), nullable=False),
        sa.Column("connector_no", sa.Integer(), nullable=True),
        sa.Column("protocol", sa.String(length=8), nullable=False),
        sa.Column("frame_type", sa.Integer(), nullable=False),
        sa.Column("raw", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pile_frame")),
    )
    with op.batch_alter_table("pile_frame", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_pile_frame_at"), ["at"], unique=False)
        batch_op.create_index(
            "ix_pile_frame_order",
            ["order_id"],
            unique=False,
            postgresql_where=sa.text("order_id IS NOT NULL"),
            sqlite_where=sa.text("order_id IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_pile_frame_pile",
            ["pile_code", "at"],
            unique=False,
            postgresql_where=sa.text("order_id IS NULL"),
            sqlite_where=sa.text("order_id IS NULL"),
        )
        batch_op.create_index(batch_op.f("ix_pile_frame_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "refused_login",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("pile_code", sa.String(length=48), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("firmware", sa.String(length=32), nullable=True),
        sa.Column("protocol", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=True),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refused_login")),
        sa.UniqueConstraint("pile_code", "address", name=op.f("uq_refused_login_pile_code_address")),
    )
    with op.batch_alter_table("refused_login", schema=None) as batch_op:
        batch_op.create_index("ix_refused_login_last", ["last_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_refused_login_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "regulator_link",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("slug", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("profile", sa.String(length=200), nullable=False),
        sa.Column("environment", sa.String(length=8), nullable=False),
        sa.Column("our_operator_id", sa.String(length=9), nullable=False),
        sa.Column("their_operator_id", sa.String(length=9), nullable=False),
        sa.Column("outbound_base", sa.String(length=300), nullable=False),
        sa.Column("outbound_keys", sa.Text(), nullable=False),
        sa.Column("wire_names", sa.Text(), nullable=False),
        sa.Column("stations", sa.Text(), nullable=False),
        sa.Column("assigned_codes", sa.Text(), nullable=False),
        sa.Column("options", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_regulator_link")),
        sa.UniqueConstraint("tenant_id", "slug", name=op.f("uq_regulator_link_tenant_id_slug")),
    )
    with op.batch_alter_table("regulator_link", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_regulator_link_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "schedule_tick",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("origin", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_tick", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_schedule_tick")),
    )
    op.create_table(
        "station",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("code", sa.String(length=20), nullable=False),
        sa.Column("operator_id", sa.String(length=9), nullable=False),
        sa.Column("owner_id", sa.String(length=18), nullable=True),
        sa.Column("name", sa.String(length=50), nullable=False),
        sa.Column("area_code", sa.String(length=20), nullable=False),
        sa.Column("address", sa.String(length=200), nullable=False),
        sa.Column("service_tel", sa.String(length=30), nullable=False),
        sa.Column("station_tel", sa.String(length=30), nullable=True),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("construction", sa.String(length=32), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("bays", sa.Integer(), nullable=False),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("texts", sa.Text(), nullable=False),
        sa.Column("extra", sa.Text(), nullable=False),
        sa.Column("tariff_id", sa.String(length=26), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_station")),
        sa.UniqueConstraint("operator_id", "code", name=op.f("uq_station_operator_id_code")),
    )
    with op.batch_alter_table("station", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_station_operator_id"), ["operator_id"], unique=False)
        batch_op.create_index("ix_station_tenant_code", ["tenant_id", "code"], unique=False)
        batch_op.create_index(batch_op.f("ix_station_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "tariff",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tariff")),
        sa.UniqueConstraint("tenant_id", "code", name=op.f("uq_tariff_tenant_id_code")),
    )
    with op.batch_alter_table("tariff", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_tariff_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "tenant",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tenant")),
    )
    op.create_table(
        "trade_record",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("trade_number", sa.String(length=64), nullable=False),
        sa.Column("pile_code", sa.String(length=14), nullable=False),
        sa.Column("connector_no", sa.Integer(), nullable=False),
        sa.Column("order_id", sa.String(length=26), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("problem", sa.String(length=500), nullable=True),
        sa.Column("content", sa.String(length=64), nullable=False),
        sa.Column("told", sa.Text(), nullable=False),
        sa.Column("matched_by", sa.String(length=16), nullable=True),
        sa.Column("raw", sa.Text(), nullable=False),
        sa.Column("seen", sa.Integer(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trade_record")),
    )
    with op.batch_alter_table("trade_record", schema=None) as batch_op:
        batch_op.create_index("ix_trade_record_number", ["trade_number"], unique=False)
        batch_op.create_index(batch_op.f("ix_trade_record_order_id"), ["order_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_trade_record_tenant_id"), ["tenant_id"], unique=False)
        batch_op.create_index(
            "uq_trade_record_first",
            ["trade_number", "pile_code"],
            unique=True,
            postgresql_where=sa.text("state <> 'conflict'"),
            sqlite_where=sa.text("state <> 'conflict'"),
        )

    op.create_table(
        "worker_lease",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_worker_lease")),
    )
    op.create_table(
        "firmware_rollout_pile",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("rollout_id", sa.String(length=26), nullable=False),
        sa.Column("pile_code", sa.String(length=14), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("group_no", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("detail", sa.String(length=200), nullable=True),
        sa.Column("command_id", sa.String(length=26), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["rollout_id"], ["firmware_rollout.id"], name=op.f("fk_firmware_rollout_pile_rollout_id_firmware_rollout")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_firmware_rollout_pile")),
        sa.UniqueConstraint("rollout_id", "pile_code", name=op.f("uq_firmware_rollout_pile_rollout_id_pile_code")),
    )
    with op.batch_alter_table("firmware_rollout_pile", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_firmware_rollout_pile_rollout_id"), ["rollout_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_firmware_rollout_pile_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "member_action",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("member_id", sa.String(length=26), nullable=False),
        sa.Column("card_id", sa.String(length=26), nullable=True),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.String(length=96), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_member_action_member_id_member")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_member_action")),
    )
    with op.batch_alter_table("member_action", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_member_action_member_id"), ["member_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_member_action_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "member_card",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("member_id", sa.String(length=26), nullable=False),
        sa.Column("number", sa.String(length=16), nullable=False),
        sa.Column("physical", sa.String(length=16), nullable=False),
        sa.Column("pin_hash", sa.String(length=160), nullable=True),
        sa.Column("offline", sa.Boolean(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("blocked", sa.Boolean(), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_member_card_member_id_member")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_member_card")),
        sa.UniqueConstraint("tenant_id", "number", name=op.f("uq_member_card_tenant_id_number")),
        sa.UniqueConstraint("tenant_id", "physical", name=op.f("uq_member_card_tenant_id_physical")),
    )
    with op.batch_alter_table("member_card", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_member_card_member_id"), ["member_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_member_card_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "member_movement",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("member_id", sa.String(length=26), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("amount_yuan", sa.BigInteger(), nullable=False),
        sa.Column("balance_yuan", sa.BigInteger(), nullable=False),
        sa.Column("order_id", sa.String(length=26), nullable=True),
        sa.Column("bill_number", sa.Integer(), nullable=True),
        sa.Column("reference", sa.String(length=64), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.String(length=96), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=True),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_member_movement_member_id_member")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_member_movement")),
        sa.UniqueConstraint("member_id", "reference", name=op.f("uq_member_movement_member_id_reference")),
        sa.UniqueConstraint("order_id", "bill_number", name=op.f("uq_member_movement_order_id_bill_number")),
    )
    with op.batch_alter_table("member_movement", schema=None) as batch_op:
        batch_op.create_index("ix_member_movement_member", ["member_id", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_member_movement_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "member_vehicle",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("member_id", sa.String(length=26), nullable=False),
        sa.Column("vin", sa.String(length=17), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_member_vehicle_member_id_member")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_member_vehicle")),
        sa.UniqueConstraint("tenant_id", "vin", name=op.f("uq_member_vehicle_tenant_id_vin")),
    )
    with op.batch_alter_table("member_vehicle", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_member_vehicle_member_id"), ["member_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_member_vehicle_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "park_connection",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("park_id", sa.String(length=26), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("adapter", sa.String(length=32), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("secrets", sa.Text(), nullable=False),
        sa.Column("roles", sa.Text(), nullable=False),
        sa.Column("inbound_token", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("auth_failed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_push_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("clock_skew_s", sa.Integer(), nullable=True),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["park_id"], ["park.id"], name=op.f("fk_park_connection_park_id_park")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_park_connection")),
        sa.UniqueConstraint("inbound_token", name=op.f("uq_park_connection_inbound_token")),
        sa.UniqueConstraint("park_id", "code", name=op.f("uq_park_connection_park_id_code")),
    )
    with op.batch_alter_table("park_connection", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_park_connection_park_id"), ["park_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_park_connection_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "park_station",
        sa.Column("station_id", sa.String(length=26), nullable=False),
        sa.Column("park_id", sa.String(length=26), nullable=False),
        sa.Column("rule", sa.Text(), nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["park_id"], ["park.id"], name=op.f("fk_park_station_park_id_park")),
        sa.PrimaryKeyConstraint("station_id", name=op.f("pk_park_station")),
    )
    with op.batch_alter_table("park_station", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_park_station_park_id"), ["park_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_park_station_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "parking_grant",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("order_id", sa.String(length=26), nullable=False),
        sa.Column("park_id", sa.String(length=26), nullable=False),
        sa.Column("station_id", sa.String(length=26), nullable=False),
        sa.Column("stay_id", sa.String(length=26), nullable=True),
        sa.Column("plate", sa.String(length=32), nullable=True),
        sa.Column("energy_kwh", sa.BigInteger(), nullable=False),
        sa.Column("charge_started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("charge_ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=True),
        sa.Column("message", sa.String(length=300), nullable=True),
        sa.Column("benefit_kind", sa.String(length=16), nullable=True),
        sa.Column("benefit_value", sa.BigInteger(), nullable=True),
        sa.Column("idempotency_key", sa.String(length=64), nullable=False),
        sa.Column("vendor_ref", sa.String(length=128), nullable=True),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=True),
        sa.Column("valid_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["park_id"], ["park.id"], name=op.f("fk_parking_grant_park_id_park")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_parking_grant")),
        sa.UniqueConstraint("tenant_id", "order_id", name=op.f("uq_parking_grant_tenant_id_order_id")),
    )
    with op.batch_alter_table("parking_grant", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_parking_grant_park_id"), ["park_id"], unique=False)
        batch_op.create_index("ix_parking_grant_plate", ["park_id", "plate"], unique=False)
        batch_op.create_index("ix_parking_grant_state", ["state", "valid_until"], unique=False)
        batch_op.create_index(batch_op.f("ix_parking_grant_stay_id"), ["stay_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_parking_grant_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "partner_dispute",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("link_id", sa.String(length=26), nullable=False),
        sa.Column("order_id", sa.String(length=26), nullable=True),
        sa.Column("start_charge_seq", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("delivery_id", sa.String(length=26), nullable=True),
        sa.Column("statement_id", sa.String(length=26), nullable=True),
        sa.Column("object_version", sa.Integer(), nullable=False),
        sa.Column("energy_kwh", sa.String(length=32), nullable=True),
        sa.Column("total_yuan", sa.String(length=32), nullable=True),
        sa.Column("their_kwh", sa.String(length=32), nullable=True),
        sa.Column("their_yuan", sa.String(length=32), nullable=True),
        sa.Column("reason_code", sa.Integer(), nullable=True),
        sa.Column("reason", sa.String(length=300), nullable=True),
        sa.Column("judgement", sa.String(length=32), nullable=True),
        sa.Column("explanation", sa.String(length=500), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("history", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["link_id"], ["partner_link.id"], name=op.f("fk_partner_dispute_link_id_partner_link")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_partner_dispute")),
        sa.UniqueConstraint("link_id", "start_charge_seq", name=op.f("uq_partner_dispute_link_id_start_charge_seq")),
    )
    with op.batch_alter_table("partner_dispute", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_partner_dispute_order_id"), ["order_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_partner_dispute_state"), ["state"], unique=False)
        batch_op.create_index(batch_op.f("ix_partner_dispute_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "partner_replay",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("link_id", sa.String(length=26), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["link_id"], ["partner_link.id"], name=op.f("fk_partner_replay_link_id_partner_link")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_partner_replay")),
    )
    with op.batch_alter_table("partner_replay", schema=None) as batch_op:
        batch_op.create_index("ix_partner_replay_expires", ["link_id", "expires_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_partner_replay_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "partner_statement",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("link_id", sa.String(length=26), nullable=False),
        sa.Column("direction", sa.String(length=3), nullable=False),
        sa.Column("check_seq", sa.String(length=64), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("order_count", sa.Integer(), nullable=False),
        sa.Column("energy_kwh", sa.BigInteger(), nullable=False),
        sa.Column("total_yuan", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("dispute_count", sa.Integer(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["link_id"], ["partner_link.id"], name=op.f("fk_partner_statement_link_id_partner_link")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_partner_statement")),
        sa.UniqueConstraint(
            "link_id", "direction", "check_seq", name=op.f("uq_partner_statement_link_id_direction_check_seq")
        ),
    )
    with op.batch_alter_table("partner_statement", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_partner_statement_link_id"), ["link_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_partner_statement_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "partner_token",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("link_id", sa.String(length=26), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["link_id"], ["partner_link.id"], name=op.f("fk_partner_token_link_id_partner_link")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_partner_token")),
    )
    with op.batch_alter_table("partner_token", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_partner_token_expires_at"), ["expires_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_partner_token_link_id"), ["link_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_partner_token_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "pile",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("code", sa.String(length=14), nullable=False),
        sa.Column("station_id", sa.String(length=26), nullable=False),
        sa.Column("name", sa.String(length=30), nullable=True),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("power_kw", sa.BigInteger(), nullable=False),
        sa.Column("protocol", sa.String(length=16), nullable=False),
        sa.Column("protocol_options", sa.Text(), nullable=False),
        sa.Column("manufacturer", sa.String(length=30), nullable=True),
        sa.Column("model", sa.String(length=20), nullable=True),
        sa.Column("extra", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("online", sa.Boolean(), nullable=False),
        sa.Column("firmware", sa.String(length=32), nullable=True),
        sa.Column("confirmed_tariff_version_id", sa.String(length=26), nullable=True),
        sa.Column("last_login_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("connection_id", sa.String(length=64), nullable=True),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["station_id"], ["station.id"], name=op.f("fk_pile_station_id_station")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pile")),
        sa.UniqueConstraint("code", name=op.f("uq_pile_code")),
    )
    with op.batch_alter_table("pile", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_pile_station_id"), ["station_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_pile_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "regulator_last_value",
        sa.Column("link_id", sa.String(length=26), nullable=False),
        sa.Column("interface", sa.String(length=64), nullable=False),
        sa.Column("object_key", sa.String(length=128), nullable=False),
        sa.Column("object_version", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["link_id"], ["regulator_link.id"], name=op.f("fk_regulator_last_value_link_id_regulator_link")
        ),
        sa.PrimaryKeyConstraint("link_id", "interface", "object_key", name=op.f("pk_regulator_last_value")),
    )
    with op.batch_alter_table("regulator_last_value", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_regulator_last_value_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "roaming_order",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("link_id", sa.String(length=26), nullable=False),
        sa.Column("start_charge_seq", sa.String(length=64), nullable=False),
        sa.Column("connector_id", sa.String(length=64), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=True),
        sa.Column("phone", sa.String(length=32), nullable=True),
        sa.Column("plate", sa.String(length=16), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("failure", sa.String(length=200), nullable=True),
        sa.Column("ident_code", sa.String(length=64), nullable=True),
        sa.Column("policy", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("stop_asked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("queried_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("queries", sa.Integer(), nullable=False),
        sa.Column("sample", sa.Text(), nullable=True),
        sa.Column("sampled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("stop_reason", sa.Integer(), nullable=True),
        sa.Column("energy_kwh", sa.BigInteger(), nullable=True),
        sa.Column("elec_fee", sa.BigInteger(), nullable=True),
        sa.Column("service_fee", sa.BigInteger(), nullable=True),
        sa.Column("total_fee", sa.BigInteger(), nullable=True),
        sa.Column("bill", sa.Text(), nullable=True),
        sa.Column("billed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("confirm_result", sa.Integer(), nullable=True),
        sa.Column("history", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["link_id"], ["partner_link.id"], name=op.f("fk_roaming_order_link_id_partner_link")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_roaming_order")),
        sa.UniqueConstraint("link_id", "request_id", name=op.f("uq_roaming_order_link_id_request_id")),
        sa.UniqueConstraint("link_id", "start_charge_seq", name=op.f("uq_roaming_order_link_id_start_charge_seq")),
    )
    with op.batch_alter_table("roaming_order", schema=None) as batch_op:
        batch_op.create_index("ix_roaming_order_ended", ["link_id", "ended_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_roaming_order_start_charge_seq"), ["start_charge_seq"], unique=False)
        batch_op.create_index("ix_roaming_order_state", ["state", "created_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_roaming_order_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "roaming_station",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("link_id", sa.String(length=26), nullable=False),
        sa.Column("operator_id", sa.String(length=32), nullable=False),
        sa.Column("station_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("info", sa.Text(), nullable=False),
        sa.Column("fees", sa.Text(), nullable=True),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("gone_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["link_id"], ["partner_link.id"], name=op.f("fk_roaming_station_link_id_partner_link")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_roaming_station")),
        sa.UniqueConstraint(
            "link_id", "operator_id", "station_id", name=op.f("uq_roaming_station_link_id_operator_id_station_id")
        ),
    )
    with op.batch_alter_table("roaming_station", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_roaming_station_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "roaming_sync",
        sa.Column("link_id", sa.String(length=26), nullable=False),
        sa.Column("full_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("partial_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["link_id"], ["partner_link.id"], name=op.f("fk_roaming_sync_link_id_partner_link")),
        sa.PrimaryKeyConstraint("link_id", name=op.f("pk_roaming_sync")),
    )
    with op.batch_alter_table("roaming_sync", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_roaming_sync_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "stay",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("park_id", sa.String(length=26), nullable=False),
        sa.Column("plate", sa.String(length=32), nullable=True),
        sa.Column("plate_color", sa.String(length=16), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("entered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("entry_lane", sa.String(length=64), nullable=True),
        sa.Column("exit_seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("exited_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("exit_lane", sa.String(length=64), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_by", sa.String(length=16), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["park_id"], ["park.id"], name=op.f("fk_stay_park_id_park")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stay")),
    )
    with op.batch_alter_table("stay", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_stay_park_id"), ["park_id"], unique=False)
        batch_op.create_index("ix_stay_plate", ["park_id", "plate"], unique=False)
        batch_op.create_index("ix_stay_state", ["state", "entered_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_stay_tenant_id"), ["tenant_id"], unique=False)
        batch_op.create_index(
            "uq_stay_inside",
            ["park_id", "plate"],
            unique=True,
            postgresql_where=sa.text("state = 'inside' AND plate IS NOT NULL"),
            sqlite_where=sa.text("state = 'inside' AND plate IS NOT NULL"),
        )

    op.create_table(
        "tariff_version",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("tariff_id", sa.String(length=26), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("model_number", sa.String(length=4), nullable=False),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("periods", sa.Text(), nullable=False),
        sa.Column("day", sa.String(length=32), nullable=True),
        sa.Column("plan", sa.Text(), nullable=True),
        sa.Column("declared_from", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["tariff_id"], ["tariff.id"], name=op.f("fk_tariff_version_tariff_id_tariff")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tariff_version")),
        sa.UniqueConstraint("tariff_id", "number", name=op.f("uq_tariff_version_tariff_id_number")),
    )
    with op.batch_alter_table("tariff_version", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_tariff_version_tariff_id"), ["tariff_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_tariff_version_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "unclaimed_bill",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("link_id", sa.String(length=26), nullable=False),
        sa.Column("start_charge_seq", sa.String(length=64), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["link_id"], ["partner_link.id"], name=op.f("fk_unclaimed_bill_link_id_partner_link")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_unclaimed_bill")),
        sa.UniqueConstraint("link_id", "start_charge_seq", name=op.f("uq_unclaimed_bill_link_id_start_charge_seq")),
    )
    with op.batch_alter_table("unclaimed_bill", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_unclaimed_bill_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "connector",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("code", sa.String(length=26), nullable=False),
        sa.Column("pile_id", sa.String(length=26), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=30), nullable=True),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("voltage_upper_v", sa.Integer(), nullable=False),
        sa.Column("voltage_lower_v", sa.Integer(), nullable=False),
        sa.Column("current_a", sa.Integer(), nullable=False),
        sa.Column("power_kw", sa.BigInteger(), nullable=False),
        sa.Column("national_standard", sa.Integer(), nullable=False),
        sa.Column("bay", sa.String(length=10), nullable=True),
        sa.Column("extra", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("plugged", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sampled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sample", sa.Text(), nullable=True),
        sa.Column("reserved_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["pile_id"], ["pile.id"], name=op.f("fk_connector_pile_id_pile")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_connector")),
        sa.UniqueConstraint("code", name=op.f("uq_connector_code")),
    )
    with op.batch_alter_table("connector", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_connector_pile_id"), ["pile_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_connector_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "gate_lane",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("park_id", sa.String(length=26), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("direction", sa.String(length=8), nullable=False),
        sa.Column("connection_id", sa.String(length=26), nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["park_connection.id"], name=op.f("fk_gate_lane_connection_id_park_connection")
        ),
        sa.ForeignKeyConstraint(["park_id"], ["park.id"], name=op.f("fk_gate_lane_park_id_park")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gate_lane")),
        sa.UniqueConstraint("park_id", "code", name=op.f("uq_gate_lane_park_id_code")),
    )
    with op.batch_alter_table("gate_lane", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_gate_lane_park_id"), ["park_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_gate_lane_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "partner_statement_line",
        sa.Column("statement_id", sa.String(length=26), nullable=False),
        sa.Column("start_charge_seq", sa.String(length=64), nullable=False),
        sa.Column("link_id", sa.String(length=26), nullable=False),
        sa.Column("direction", sa.String(length=3), nullable=False),
        sa.Column("order_id", sa.String(length=26), nullable=True),
        sa.Column("energy_kwh", sa.BigInteger(), nullable=False),
        sa.Column("total_yuan", sa.BigInteger(), nullable=False),
        sa.Column("finding", sa.String(length=16), nullable=False),
        sa.Column("their_kwh", sa.BigInteger(), nullable=True),
        sa.Column("their_yuan", sa.BigInteger(), nullable=True),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["statement_id"],
            ["partner_statement.id"],
            name=op.f("fk_partner_statement_line_statement_id_partner_statement"),
        ),
        sa.PrimaryKeyConstraint("statement_id", "start_charge_seq", name=op.f("pk_partner_statement_line")),
    )
    with op.batch_alter_table("partner_statement_line", schema=None) as batch_op:
        batch_op.create_index(
            "ix_partner_statement_line_order", ["link_id", "start_charge_seq", "direction"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_partner_statement_line_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "passage",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("park_id", sa.String(length=26), nullable=False),
        sa.Column("connection_id", sa.String(length=26), nullable=False),
        sa.Column("stay_id", sa.String(length=26), nullable=True),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("lane_ref", sa.String(length=64), nullable=False),
        sa.Column("plate", sa.String(length=32), nullable=True),
        sa.Column("plate_raw", sa.String(length=64), nullable=False),
        sa.Column("plate_color", sa.String(length=16), nullable=True),
        sa.Column("confidence", sa.BigInteger(), nullable=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("is_replay", sa.Boolean(), nullable=False),
        sa.Column("source_event_id", sa.String(length=128), nullable=True),
        sa.Column("device_ref", sa.String(length=64), nullable=True),
        sa.Column("pictures", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["park_connection.id"], name=op.f("fk_passage_connection_id_park_connection")
        ),
        sa.ForeignKeyConstraint(["park_id"], ["park.id"], name=op.f("fk_passage_park_id_park")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_passage")),
    )
    with op.batch_alter_table("passage", schema=None) as batch_op:
        batch_op.create_index("ix_passage_occurred", ["connection_id", "occurred_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_passage_park_id"), ["park_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_passage_stay_id"), ["stay_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_passage_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "roaming_connector",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("link_id", sa.String(length=26), nullable=False),
        sa.Column("station_row_id", sa.String(length=26), nullable=False),
        sa.Column("connector_id", sa.String(length=64), nullable=False),
        sa.Column("equipment_id", sa.String(length=64), nullable=False),
        sa.Column("info", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("park_status", sa.Integer(), nullable=True),
        sa.Column("lock_status", sa.Integer(), nullable=True),
        sa.Column("status_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("policy", sa.Text(), nullable=True),
        sa.Column("policy_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("gone_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["link_id"], ["partner_link.id"], name=op.f("fk_roaming_connector_link_id_partner_link")
        ),
        sa.ForeignKeyConstraint(
            ["station_row_id"], ["roaming_station.id"], name=op.f("fk_roaming_connector_station_row_id_roaming_station")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_roaming_connector")),
        sa.UniqueConstraint("link_id", "connector_id", name=op.f("uq_roaming_connector_link_id_connector_id")),
    )
    with op.batch_alter_table("roaming_connector", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_roaming_connector_station_row_id"), ["station_row_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_roaming_connector_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "charge_order",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("operator_id", sa.String(length=9), nullable=False),
        sa.Column("station_id", sa.String(length=26), nullable=False),
        sa.Column("connector_id", sa.String(length=26), nullable=False),
        sa.Column("origin", sa.String(length=16), nullable=False),
        sa.Column("link_id", sa.String(length=64), nullable=True),
        sa.Column("start_charge_seq", sa.String(length=64), nullable=True),
        sa.Column("trade_number", sa.String(length=64), nullable=True),
        sa.Column("plate", sa.String(length=16), nullable=True),
        sa.Column("phone", sa.String(length=32), nullable=True),
        sa.Column("vin", sa.String(length=17), nullable=True),
        sa.Column("member_id", sa.String(length=26), nullable=True),
        sa.Column("card", sa.String(length=16), nullable=True),
        sa.Column("group_id", sa.String(length=26), nullable=True),
        sa.Column("group_number", sa.String(length=12), nullable=True),
        sa.Column("limit_yuan", sa.BigInteger(), nullable=True),
        sa.Column("limit_kwh", sa.BigInteger(), nullable=True),
        sa.Column("limit_minutes", sa.Integer(), nullable=True),
        sa.Column("limit_soc", sa.Integer(), nullable=True),
        sa.Column("over_limit", sa.String(length=8), nullable=False),
        sa.Column("tariff_version_id", sa.String(length=26), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("state_since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("start_by", sa.DateTime(timezone=True), nullable=False),
        sa.Column("plug_by", sa.DateTime(timezone=True), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("stop_asked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("stop_asked_by", sa.String(length=16), nullable=True),
        sa.Column("stop_tries", sa.Integer(), nullable=False),
        sa.Column("stop_told", sa.Boolean(), nullable=False),
        sa.Column("stop_reason", sa.String(length=16), nullable=True),
        sa.Column("stop_code", sa.Integer(), nullable=True),
        sa.Column("failure", sa.String(length=64), nullable=True),
        sa.Column("idle_seen", sa.Integer(), nullable=False),
        sa.Column("link_lost", sa.Boolean(), nullable=False),
        sa.Column("review", sa.String(length=500), nullable=True),
        sa.Column("energy_kwh", sa.BigInteger(), nullable=True),
        sa.Column("elec_fee", sa.BigInteger(), nullable=True),
        sa.Column("service_fee", sa.BigInteger(), nullable=True),
        sa.Column("energy_by_class", sa.Text(), nullable=True),
        sa.Column("meter_start", sa.BigInteger(), nullable=True),
        sa.Column("meter_end", sa.BigInteger(), nullable=True),
        sa.Column("pile_amount", sa.BigInteger(), nullable=True),
        sa.Column("sample", sa.Text(), nullable=True),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["connector_id"], ["connector.id"], name=op.f("fk_charge_order_connector_id_connector")
        ),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_charge_order_member_id_member")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_charge_order")),
        sa.UniqueConstraint("link_id", "start_charge_seq", name=op.f("uq_charge_order_link_id_start_charge_seq")),
        sa.UniqueConstraint("trade_number", name=op.f("uq_charge_order_trade_number")),
    )
    with op.batch_alter_table("charge_order", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_charge_order_connector_id"), ["connector_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_charge_order_created_at"), ["created_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_charge_order_group_id"), ["group_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_charge_order_member_id"), ["member_id"], unique=False)
        batch_op.create_index(
            "ix_charge_order_open_states",
            ["state"],
            unique=False,
            postgresql_where=sa.text(
                "state IN ('accepted', 'charging', 'created', 'ended_no_record', 'starting', 'stopping', 'wait_plug')"
            ),
            sqlite_where=sa.text(
                "state IN ('accepted', 'charging', 'created', 'ended_no_record', 'starting', 'stopping', 'wait_plug')"
            ),
        )
        batch_op.create_index(batch_op.f("ix_charge_order_start_charge_seq"), ["start_charge_seq"], unique=False)
        batch_op.create_index(batch_op.f("ix_charge_order_station_id"), ["station_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_charge_order_tenant_id"), ["tenant_id"], unique=False)
        batch_op.create_index(
            "uq_charge_order_open",
            ["connector_id"],
            unique=True,
            postgresql_where=sa.text(
                "state IN ('accepted', 'charging', 'created', 'ended_no_record', 'starting', 'stopping', 'wait_plug')"
            ),
            sqlite_where=sa.text(
                "state IN ('accepted', 'charging', 'created', 'ended_no_record', 'starting', 'stopping', 'wait_plug')"
            ),
        )

    op.create_table(
        "gate_command",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("park_id", sa.String(length=26), nullable=False),
        sa.Column("lane_id", sa.String(length=26), nullable=False),
        sa.Column("connection_id", sa.String(length=26), nullable=False),
        sa.Column("stay_id", sa.String(length=26), nullable=True),
        sa.Column("passage_id", sa.String(length=26), nullable=True),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("asked_by", sa.String(length=64), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("outcome", sa.String(length=24), nullable=True),
        sa.Column("code", sa.String(length=64), nullable=True),
        sa.Column("message", sa.String(length=300), nullable=True),
        sa.Column("method", sa.String(length=32), nullable=True),
        sa.Column("attempts", sa.Text(), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["park_connection.id"], name=op.f("fk_gate_command_connection_id_park_connection")
        ),
        sa.ForeignKeyConstraint(["lane_id"], ["gate_lane.id"], name=op.f("fk_gate_command_lane_id_gate_lane")),
        sa.ForeignKeyConstraint(["park_id"], ["park.id"], name=op.f("fk_gate_command_park_id_park")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gate_command")),
        sa.UniqueConstraint("passage_id", name=op.f("uq_gate_command_passage_id")),
    )
    with op.batch_alter_table("gate_command", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_gate_command_park_id"), ["park_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_gate_command_stay_id"), ["stay_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_gate_command_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "reservation",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("connector_id", sa.String(length=26), nullable=False),
        sa.Column("desk", sa.String(length=64), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("plate", sa.String(length=16), nullable=True),
        sa.Column("phone", sa.String(length=32), nullable=True),
        sa.Column("member_id", sa.String(length=26), nullable=True),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("order_id", sa.String(length=26), nullable=True),
        sa.Column("asked_by", sa.String(length=96), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=True),
        sa.Column("ended_by", sa.String(length=96), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["connector_id"], ["connector.id"], name=op.f("fk_reservation_connector_id_connector")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reservation")),
        sa.UniqueConstraint("desk", "request_id", name=op.f("uq_reservation_desk_request_id")),
    )
    with op.batch_alter_table("reservation", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_reservation_connector_id"), ["connector_id"], unique=False)
        batch_op.create_index(
            "ix_reservation_held_until",
            ["until"],
            unique=False,
            postgresql_where=sa.text("state = 'held'"),
            sqlite_where=sa.text("state = 'held'"),
        )
        batch_op.create_index(batch_op.f("ix_reservation_tenant_id"), ["tenant_id"], unique=False)
        batch_op.create_index(
            "uq_reservation_held",
            ["connector_id"],
            unique=True,
            postgresql_where=sa.text("state = 'held'"),
            sqlite_where=sa.text("state = 'held'"),
        )

    op.create_table(
        "order_action",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("order_id", sa.String(length=26), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("by", sa.String(length=96), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("before", sa.Text(), nullable=False),
        sa.Column("after", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["charge_order.id"], name=op.f("fk_order_action_order_id_charge_order")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_order_action")),
    )
    with op.batch_alter_table("order_action", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_order_action_order_id"), ["order_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_order_action_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "order_bill",
        sa.Column("order_id", sa.String(length=26), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("made_by", sa.String(length=96), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=True),
        sa.Column("tariff_version_id", sa.String(length=26), nullable=False),
        sa.Column("discount", sa.String(length=64), nullable=True),
        sa.Column("energy_kwh", sa.BigInteger(), nullable=False),
        sa.Column("elec_fee", sa.BigInteger(), nullable=False),
        sa.Column("service_fee", sa.BigInteger(), nullable=False),
        sa.Column("refund_yuan", sa.BigInteger(), nullable=False),
        sa.Column("limit_yuan", sa.BigInteger(), nullable=True),
        sa.Column("waived_yuan", sa.BigInteger(), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("checks", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["charge_order.id"], name=op.f("fk_order_bill_order_id_charge_order")),
        sa.PrimaryKeyConstraint("order_id", "number", name=op.f("pk_order_bill")),
    )
    with op.batch_alter_table("order_bill", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_order_bill_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "order_detail",
        sa.Column("order_id", sa.String(length=26), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rate_class", sa.String(length=16), nullable=False),
        sa.Column("elec_price", sa.BigInteger(), nullable=False),
        sa.Column("service_price", sa.BigInteger(), nullable=False),
        sa.Column("energy_kwh", sa.BigInteger(), nullable=False),
        sa.Column("elec_fee", sa.BigInteger(), nullable=False),
        sa.Column("service_fee", sa.BigInteger(), nullable=False),
        sa.Column("basis", sa.String(length=16), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["charge_order.id"], name=op.f("fk_order_detail_order_id_charge_order")),
        sa.PrimaryKeyConstraint("order_id", "number", name=op.f("pk_order_detail")),
    )
    with op.batch_alter_table("order_detail", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_order_detail_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "order_transition",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("order_id", sa.String(length=26), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("happened", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("detail", sa.String(length=200), nullable=True),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["order_id"], ["charge_order.id"], name=op.f("fk_order_transition_order_id_charge_order")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_order_transition")),
    )
    with op.batch_alter_table("order_transition", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_order_transition_order_id"), ["order_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_order_transition_tenant_id"), ["tenant_id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("order_transition", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_order_transition_tenant_id"))
        batch_op.drop_index(batch_op.f("ix_order_transition_order_id"))

    op.drop_table("order_transition")
    with op.batch_alter_table("order_detail", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_order_detail_tenant_id"))

    op.drop_table("order_detail")
    with op.batch_alter_table("order_bill", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_order_bill_tenant_id"))

    op.drop_table("order_bill")
    with op.batch_alter_table("order_action", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_order_action_tenant_id"))
        batch_op.drop_index(batch_op.f("ix_order_action_order_id"))

    op.drop_table("order_action")
    with op.batch_alter_table("reservation", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_reservation_held", postgresql_where=sa.text("state = 'held'"), sqlite_where=sa.text("state = 'held'")
        )
        batch_op.drop_index(batch_op.f("ix_reservation_tenant_id"))
        batch_op.drop_index(
            "ix_reservation_held_until",
            postgresql_where=sa.text("state = 'held'"),
            sqlite_where=sa.text("state = 'held'"),
        )
        batch_op.drop_index(batch_op.f("ix_reservation_connector_id"))

    op.drop_table("reservation")
    with op.batch_alter_table("gate_command", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_gate_command_tenant_id"))
        batch_op.drop_index(batch_op.f("ix_gate_command_stay_id"))
        batch_op.drop_index(batch_op.f("ix_gate_command_park_id"))

    op.drop_table("gate_command")
    with op.batch_alter_table("charge_order", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_charge_order_open",
            postgresql_where=sa.text(
                "state IN ('accepted', 'charging', 'created', 'ended_no_record', 'starting', 'stopping', 'wait_plug')"
            ),
            sqlite_where=sa.text(
                "state IN ('accepted', 'charging', 'created', 'ended_no_record', 'starting', 'stopping', 'wait_plug')"
            ),
        )
        batch_op.drop_index(batch_op.f("ix_charge_order_tenant_id"))
        batch_op.drop_index(batch_op.f("ix_charge_order_station_id"))
        batch_op.drop_index(batch_op.f("ix_charge_order_start_charge_seq"))
        batch_op.drop_index(
            "ix_charge_order_open_states",
            postgresql_where=sa.text(
                "state IN ('accepted', 'charging', 'created', 'ended_no_record', 'starting', 'stopping', 'wait_plug')"
            ),
            sqlite_where=sa.text(
                "state IN ('accepted', 'charging', 'created', 'ended_no_record', 'starting', 'stopping', 'wait_plug')"
            ),
        )
        batch_op.drop_index(batch_op.f("ix_charge_order_member_id"))
        batch_op.drop_index(batch_op.f("ix_charge_order_group_id"))
        batch_op.drop_index(batch_op.f("ix_charge_order_created_at"))
        batch_op.drop_index(batch_op.f("ix_charge_order_connector_id"))

    op.drop_table("charge_order")
    with op.batch_alter_table("roaming_connector", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_roaming_connector_tenant_id"))
        batch_op.drop_index(batch_op.f("ix_roaming_connector_station_row_id"))

    op.drop_table("roaming_connector")
    with op.batch_alter_table("passage", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_passage_tenant_id"))
        batch_op.drop_index(batch_op.f("ix_passage_stay_id"))
        batch_op.drop_index(batch_op.f("ix_passage_park_id"))
        batch_op.drop_index("ix_passage_occurred")

    op.drop_table("passage")
    with op.batch_alter_table("partner_statement_line", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_partner_statement_line_tenant_id"))
        batch_op.drop_index("ix_partner_statement_line_order")

    op.drop_table("partner_statement_line")
    with op.batch_alter_table("gate_lane", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_gate_lane_tenant_id"))
        batch_op.drop_index(batch_op.f("ix_gate_lane_park_id"))

    op.drop_table("gate_lane")
    with op.batch_alter_table("connector", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_connector_tenant_id"))
        batch_op.drop_index(batch_op.f("ix_connector_pile_id"))

    op.drop_table("connector")
    with op.batch_alter_table("unclaimed_bill", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_unclaimed_bill_tenant_id"))

    op.drop_table("unclaimed_bill")
    with op.batch_alter_table("tariff_version", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_tariff_version_tenant_id"))
        batch_op.drop_index(batch_op.f("ix_tariff_version_tariff_id"))

    op.drop_table("tariff_version")
    with op.batch_alter_table("stay", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_stay_inside",
            postgresql_where=sa.text("state = 'inside' AND plate IS NOT NULL"),
            sqlite_where=sa.text("state = 'inside' AND plate IS NOT NULL"),
        )
        batch_op.drop_index(batch_op.f("ix_stay_tenant_id"))
        batch_op.drop_index("ix_stay_state")
        batch_op.drop_index("ix_stay_plate")
        batch_op.drop_index(batch_op.f("ix_stay_park_id"))

    op.drop_table("stay")
    with op.batch_alter_table("roaming_sync", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_roaming_sync_tenant_id"))

    op.drop_table("roaming_sync")
    with op.batch_alter_table("roaming_station", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_roaming_station_tenant_id"))

    op.drop_table("roaming_station")
    with op.batch_alter_table("roaming_order", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_roaming_order_tenant_id"))
        batch_op.drop_index("ix_roaming_order_state")
        batch_op.drop_index(batch_op.f("ix_roaming_order_start_charge_seq"))
        batch_op.drop_index("ix_roaming_order_ended")

    op.drop_table("roaming_order")
    with op.batch_alter_table("regulator_last_value", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_regulator_last_value_tenant_id"))

    op.drop_table("regulator_last_value")
    with op.batch_alter_table("pile", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_pile_tenant_id"))
        batch_op.drop_index(batch_op.f("ix_pile_station_id"))

    op.drop_table("pile")
    with op.batch_alter_table("partner_token", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_partner_token_tenant_id"))
        batch_op.drop_index(batch_op.f("ix_partner_token_link_id"))
        batch_op.drop_index(batch_op.f("ix_partner_token_expires_at"))

    op.drop_table("partner_token")
    with op.batch_alter_table("partner_statement", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_partner_statement_tenant_id"))
        batch_op.drop_index(batch_op.f("ix_partner_statement_link_id"))

    op.drop_table("partner_statement")
    with op.batch_alter_table("partner_replay", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_partner_replay_tenant_id"))
        batch_op.drop_index("ix_partner_replay_expires")

    op.drop_table("partner_replay")
    with op.batch_alter_table("partner_dispute", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_partner_dispute_tenant_id"))
        batch_op.drop_index(batch_op.f("ix_partner_dispute_state"))
        batch_op.drop_index(batch_op.f("ix_partner_dispute_order_id"))

    op.drop_table("partner_dispute")
    with op.batch_alter_table("parking_grant", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_parking_grant_tenant_id"))
        batch_op.drop_index(batch_op.f("ix_parking_grant_stay_id"))
        batch_op.drop_index("ix_parking_grant_state")
        batch_op.drop_index("ix_parking_grant_plate")
        batch_op.drop_index(batch_op.f("ix_parking_grant_park_id"))

    op.drop_table("parking_grant")
    with op.batch_alter_table("park_station", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_park_station_tenant_id"))
        batch_op.drop_index(batch_op.f("ix_park_station_park_id"))

    op.drop_table("park_station")
    with op.batch_alter_table("park_connection", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_park_connection_tenant_id"))
        batch_op.drop_index(batch_op.f("ix_park_connection_park_id"))

    op.drop_table("park_connection")
    with op.batch_alter_table("member_vehicle", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_member_vehicle_tenant_id"))
        batch_op.drop_index(batch_op.f("ix_member_vehicle_member_id"))

    op.drop_table("member_vehicle")
    with op.batch_alter_table("member_movement", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_member_movement_tenant_id"))
        batch_op.drop_index("ix_member_movement_member")

    op.drop_table("member_movement")
    with op.batch_alter_table("member_card", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_member_card_tenant_id"))
        batch_op.drop_index(batch_op.f("ix_member_card_member_id"))

    op.drop_table("member_card")
    with op.batch_alter_table("member_action", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_member_action_tenant_id"))
        batch_op.drop_index(batch_op.f("ix_member_action_member_id"))

    op.drop_table("member_action")
    with op.batch_alter_table("firmware_rollout_pile", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_firmware_rollout_pile_tenant_id"))
        batch_op.drop_index(batch_op.f("ix_firmware_rollout_pile_rollout_id"))

    op.drop_table("firmware_rollout_pile")
    op.drop_table("worker_lease")
    with op.batch_alter_table("trade_record", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_trade_record_first",
            postgresql_where=sa.text("state <> 'conflict'"),
            sqlite_where=sa.text("state <> 'conflict'"),
        )
        batch_op.drop_index(batch_op.f("ix_trade_record_tenant_id"))
        batch_op.drop_index(batch_op.f("ix_trade_record_order_id"))
        batch_op.drop_index("ix_trade_record_number")

    op.drop_table("trade_record")
    op.drop_table("tenant")
    with op.batch_alter_table("tariff", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_tariff_tenant_id"))

    op.drop_table("tariff")
    with op.batch_alter_table("station", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_station_tenant_id"))
        batch_op.drop_index("ix_station_tenant_code")
        batch_op.drop_index(batch_op.f("ix_station_operator_id"))

    op.drop_table("station")
    op.drop_table("schedule_tick")
    with op.batch_alter_table("regulator_link", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_regulator_link_tenant_id"))

    op.drop_table("regulator_link")
    with op.batch_alter_table("refused_login", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_refused_login_tenant_id"))
        batch_op.drop_index("ix_refused_login_last")

    op.drop_table("refused_login")
    with op.batch_alter_table("pile_frame", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_pile_frame_tenant_id"))
        batch_op.drop_index(
            "ix_pile_frame_pile", postgresql_where=sa.text("order_id IS NULL"), sqlite_where=sa.text("order_id IS NULL")
        )
        batch_op.drop_index(
            "ix_pile_frame_order",
            postgresql_where=sa.text("order_id IS NOT NULL"),
            sqlite_where=sa.text("order_id IS NOT NULL"),
        )
        batch_op.drop_index(batch_op.f("ix_pile_frame_at"))

    op.drop_table("pile_frame")
    with op.batch_alter_table("pile_command", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_pile_command_tenant_id"))
        batch_op.drop_index("ix_pile_command_pile")
        batch_op.drop_index(
            "ix_pile_command_pending",
            postgresql_where=sa.text("state = 'pending'"),
            sqlite_where=sa.text("state = 'pending'"),
        )
        batch_op.drop_index(batch_op.f("ix_pile_command_order_id"))
        batch_op.drop_index(batch_op.f("ix_pile_command_batch_id"))
        batch_op.drop_index(
            "ix_pile_command_asked",
            postgresql_where=sa.text("order_id IS NULL AND state IN ('pending', 'sent')"),
            sqlite_where=sa.text("order_id IS NULL AND state IN ('pending', 'sent')"),
        )

    op.drop_table("pile_command")
    with op.batch_alter_table("pile_card", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_pile_card_tenant_id"))

    op.drop_table("pile_card")
    with op.batch_alter_table("partner_link", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_partner_link_tenant_id"))

    op.drop_table("partner_link")
    with op.batch_alter_table("park", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_park_tenant_id"))

    op.drop_table("park")
    with op.batch_alter_table("operator", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_operator_tenant_id"))

    op.drop_table("operator")
    with op.batch_alter_table("ocpp_transaction", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_ocpp_transaction_tenant_id"))
        batch_op.drop_index("ix_ocpp_transaction_pile")

    op.drop_table("ocpp_transaction")
    with op.batch_alter_table("ocpp_access", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_ocpp_access_tenant_id"))

    op.drop_table("ocpp_access")
    with op.batch_alter_table("member", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_member_tenant_id"))

    op.drop_table("member")
    with op.batch_alter_table("ground_lock", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_ground_lock_tenant_id"))

    op.drop_table("ground_lock")
    with op.batch_alter_table("firmware_rollout", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_firmware_rollout_tenant_id"))

    op.drop_table("firmware_rollout")
    with op.batch_alter_table("exchange", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_exchange_tenant_id"))
        batch_op.drop_index("ix_exchange_object")
        batch_op.drop_index("ix_exchange_link")
        batch_op.drop_index("ix_exchange_at")

    op.drop_table("exchange")
    with op.batch_alter_table("domain_event", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_domain_event_tenant_id"))
        batch_op.drop_index("ix_domain_event_subject")
        batch_op.drop_index(
            "ix_domain_event_pending",
            postgresql_where=sa.text("state = 'pending'"),
            sqlite_where=sa.text("state = 'pending'"),
        )

    op.drop_table("domain_event")
    op.drop_table("destination_state")
    with op.batch_alter_table("delivery_attempt", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_delivery_attempt_delivery_id"))

    op.drop_table("delivery_attempt")
    with op.batch_alter_table("delivery", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_delivery_urgent_at",
            postgresql_where=sa.text("state = 'waiting' AND urgent_at IS NOT NULL"),
            sqlite_where=sa.text("state = 'waiting' AND urgent_at IS NOT NULL"),
        )
        batch_op.drop_index(
            "ix_delivery_urgent",
            postgresql_where=sa.text("state = 'waiting' AND urgent_at IS NOT NULL"),
            sqlite_where=sa.text("state = 'waiting' AND urgent_at IS NOT NULL"),
        )
        batch_op.drop_index(
            "ix_delivery_retrying",
            postgresql_where=sa.text("state = 'waiting' AND failure_count > 0"),
            sqlite_where=sa.text("state = 'waiting' AND failure_count > 0"),
        )
        batch_op.drop_index("ix_delivery_object_key")
        batch_op.drop_index(
            "ix_delivery_next", postgresql_where=sa.text("state = 'waiting'"), sqlite_where=sa.text("state = 'waiting'")
        )
        batch_op.drop_index(
            "ix_delivery_leased", postgresql_where=sa.text("state = 'leased'"), sqlite_where=sa.text("state = 'leased'")
        )
        batch_op.drop_index(
            "ix_delivery_lane",
            postgresql_where=sa.text("state IN ('waiting', 'leased', 'held')"),
            sqlite_where=sa.text("state IN ('waiting', 'leased', 'held')"),
        )
        batch_op.drop_index(
            "ix_delivery_finished_at",
            postgresql_where=sa.text("finished_at IS NOT NULL"),
            sqlite_where=sa.text("finished_at IS NOT NULL"),
        )
        batch_op.drop_index(
            "ix_delivery_due", postgresql_where=sa.text("state = 'waiting'"), sqlite_where=sa.text("state = 'waiting'")
        )

    op.drop_table("delivery")
    with op.batch_alter_table("charge_sample", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_charge_sample_tenant_id"))
        batch_op.drop_index("ix_charge_sample_order")

    op.drop_table("charge_sample")
    with op.batch_alter_table("api_token", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_api_token_tenant_id"))

    op.drop_table("api_token")
    with op.batch_alter_table("alarm", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_alarm_open", postgresql_where=sa.text("cleared_at IS NULL"), sqlite_where=sa.text("cleared_at IS NULL")
        )
        batch_op.drop_index(batch_op.f("ix_alarm_tenant_id"))

    op.drop_table("alarm")
