"""Settings of the hub: environment variables `HUB_…`, plus an optional YAML or TOML file named by `HUB_CONFIG`.

The environment wins over the file. Everything is checked at start; `load_settings` raises one `SettingsError` that lists every
wrong key in words. Each field's description is bilingual, separated by ` | `, and is what error messages and `hub settings` show.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, InitSettingsSource, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from charging_core.clock import ClockError, clock_from_spec
from hub.errors import SettingsError

PREFIX = "HUB_"
MIN_KEY_LENGTH = 16  # the least `charging_core.secretbox` takes
_FOREIGN = ("HUB_CONFIG", "HUB_TEST_", "HUB_DEMO_", "HUB_FAULT_")
_TYPO_LIKENESS = 0.85  # a variable this similar to a setting, but not equal, is a typing error and not somebody else's
_MEBI = 1024 * 1024

DestinationKind = Literal["default", "partner", "regulator", "park"]
Days = Annotated[int, Field(ge=1, le=3650)]


def _pairs(value: Any) -> Any:
    """`partner=180,park=30` of the environment as a mapping; a file's mapping as it is."""
    if not isinstance(value, str):
        return value
    pairs = (pair.partition("=") for pair in value.split(",") if pair.strip())
    return {name.strip(): number.strip() for name, _, number in pairs}


DaysByKind = Annotated[dict[DestinationKind, Days], NoDecode, BeforeValidator(_pairs)]


def _text(zh: str, en: str) -> str:
    return f"{zh} | {en}"


class Settings(BaseSettings):
    """All settings; immutable. Secrets are `SecretStr`, so that printing shows stars."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    database_url: str = Field(
        "sqlite:///hub.db",
        description=_text(
            "数据库地址: sqlite:///… 或 postgresql+psycopg://…", "database: sqlite:///… or postgresql+psycopg://…"
        ),
    )
    database_owner_url: str | None = Field(
        None,
        description=_text("迁移用的数据库账号 (hub_owner)", "database address of the role that migrates (hub_owner)"),
    )
    database_pool: int = Field(
        20, ge=1, le=200, description=_text("数据库连接数, 1–200", "database connections, 1–200")
    )
    sqlite_synchronous: Literal["FULL", "NORMAL"] = Field(
        "FULL",
        description=_text(
            "FULL 断电不丢; NORMAL 更快, 断电可能丢最近的提交",
            "FULL survives a power cut, NORMAL may lose the last commits",
        ),
    )
    redis_url: str | None = Field(
        None, description=_text("Redis 地址 (集群必需)", "Redis address, required in a cluster")
    )
    secret_key: SecretStr = Field(
        description=_text(
            f"密钥, 至少 {MIN_KEY_LENGTH} 个字符, 多个用逗号分隔 (第一个用于加密); 用 `hub settings --generate-key` 生成",
            f"secret key of at least {MIN_KEY_LENGTH} characters, several separated by commas (the first one seals); "
            "make one with `hub settings --generate-key`",
        )
    )
    environment: Literal["development", "production"] = Field(
        "development", description=_text("运行环境: development 或 production", "development or production")
    )
    bind: str = Field("127.0.0.1", description=_text("监听地址", "address to listen on"))
    web_port: int = Field(8080, ge=0, le=65535, description=_text("网页与接口端口", "port of web and interfaces"))
    pile_port: int = Field(8768, ge=0, le=65535, description=_text("充电桩端口", "port of the piles"))
    ocpp_port: int = Field(
        8769,
        ge=0,
        le=65535,
        description=_text("OCPP 1.6J 充电桩端口 (WebSocket)", "port of OCPP 1.6J piles (WebSocket)"),
    )
    public_url: str | None = Field(
        None, description=_text("对外地址, 用于显示链接", "address under which others reach the hub, for links")
    )
    shard: str = Field(
        "pile-1",
        pattern=r"^[A-Za-z0-9_-]{1,32}$",
        description=_text("桩服务分片名, 每个进程不同", "name of this pile server's shard, different per process"),
    )
    clock: str = Field(
        "", description=_text("演示时钟 开始时间@倍率, 生产环境禁用", "demo clock START@RATE, refused in production")
    )
    delivery_threads: int = Field(8, ge=1, le=256, description=_text("推送线程数, 1–256", "delivery threads, 1–256"))
    delivery_margin_s: float = Field(
        10.0,
        ge=1,
        le=300,
        description=_text(
            "工作进程被杀后, 其推送在超时之外再等多少秒才由他人接手",
            "seconds beyond its time limit after which the push of a killed worker is taken over",
        ),
    )
    web_threads: int = Field(
        24, ge=1, le=200, description=_text("接口读库线程数, 1–200", "threads for database work of requests, 1–200")
    )
    max_body_bytes: int = Field(
        _MEBI, ge=1024, le=64 * _MEBI, description=_text("请求体上限 (字节)", "largest request body in bytes")
    )
    max_callback_bytes: int = Field(
        10 * _MEBI,
        ge=1024,
        le=64 * _MEBI,
        description=_text("停车事件请求体上限 (字节)", "largest parking push in bytes"),
    )
    rate_per_minute: int = Field(
        1200, ge=1, description=_text("每个调用方每分钟请求数", "requests per caller and minute")
    )
    partner_rate_per_s: int = Field(
        200, ge=1, description=_text("每个伙伴地址每秒请求数", "requests per second of a partner's address")
    )
    frame_days: int = Field(
        90,
        ge=0,
        le=3650,
        description=_text("充电报文保留天数, 0 为不保留", "days to keep the piles' frames of charges, 0 keeps none"),
    )
    keep_attempts_days: DaysByKind = Field(
        {},
        description=_text(
            "推送尝试保留天数, 按对象类型 (default|partner|regulator|park), 缺省 90, 例 partner=180,park=30",
            "days to keep the attempts of ended deliveries, by kind of destination, else 90: partner=180,park=30",
        ),
    )
    keep_deliveries_days: DaysByKind = Field(
        {},
        description=_text(
            "已结束推送保留天数, 按对象类型 (default|partner|regulator|park), 缺省 730, 例 park=90",
            "days to keep ended deliveries, by kind of destination, else 730: park=90",
        ),
    )
    guard_margin_yuan: Decimal = Field(
        Decimal("0.05"),
        ge=0,
        le=100,
        decimal_places=2,
        description=_text(
            "金额上限的余量 (元): 预计达到 上限−余量 即停充",
            "margin below a payer's limit in yuan: a charge is stopped when it would reach limit - margin",
        ),
    )
    guard_sample_s: int = Field(
        15,
        ge=1,
        le=300,
        description=_text(
            "估算下一次读数前的秒数 (桩充电中上送周期)",
            "seconds until the next sample of a charge, for the limit's look ahead",
        ),
    )
    guard_stop_s: int = Field(
        5,
        ge=0,
        le=120,
        description=_text("停充指令生效的秒数", "seconds until a stop takes hold, for the limit's look ahead"),
    )
    over_limit: Literal["full", "capped"] = Field(
        "full",
        description=_text(
            "账单超出付款人上限时: full 全额, capped 只收上限",
            "a bill above the payer's limit: charged full, or capped at the limit",
        ),
    )
    missing_record: Literal["wait", "refuse", "ignore"] = Field(
        "wait",
        description=_text(
            "同一枪上一单交易记录未到时的启动: wait 先读桩再启动, refuse 拒绝, ignore 照常",
            "a start while the record of the connector's last charge is missing: wait (read the pile first), refuse, ignore",
        ),
    )
    drain_s: float = Field(
        20.0,
        ge=0,
        le=600,
        description=_text("停止时等待在途请求的秒数", "seconds to let running work finish at a stop"),
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description=_text("日志级别 debug/info/warning/error", "log level debug/info/warning/error")
    )
    log_format: Literal["text", "json"] = Field(
        "text", description=_text("日志格式 text 或 json", "log format text or json")
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then the file of `HUB_CONFIG`."""
        return init_settings, env_settings, InitSettingsSource(settings_cls, read_config_file())

    @property
    def embedded(self) -> bool:
        """Whether the database is SQLite, so that everything runs in one program."""
        return make_url(self.database_url).get_backend_name() == "sqlite"

    @property
    def owner_url(self) -> str:
        """The address migrations use."""
        return self.database_owner_url or self.database_url

    @property
    def secret_keys(self) -> list[str]:
        """The keys, the sealing one first."""
        return [key.strip() for key in self.secret_key.get_secret_value().split(",") if key.strip()]

    @field_validator("database_url", "database_owner_url")
    @classmethod
    def _known_database(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            backend, driver = make_url(value).get_backend_name(), make_url(value).drivername
        except ArgumentError as error:
            raise ValueError("不是数据库地址 / not a database address") from error
        if backend not in {"sqlite", "postgresql"} or driver.endswith(("asyncpg", "aiosqlite", "psycopg2")):
            raise ValueError("只支持 sqlite:/// 与 postgresql+psycopg:// / only sqlite:/// and postgresql+psycopg://")
        return f"postgresql+psycopg{value[len(driver) :]}" if driver == "postgresql" else value

    @field_validator("secret_key")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        keys = [key.strip() for key in value.get_secret_value().split(",")]
        if any(len(key) < MIN_KEY_LENGTH for key in keys):
            raise ValueError(
                f"每个密钥至少 {MIN_KEY_LENGTH} 个字符 / each key needs at least {MIN_KEY_LENGTH} characters"
            )
        return value

    @field_validator("clock")
    @classmethod
    def _readable_clock(cls, value: str) -> str:
        try:
            clock_from_spec(value)
        except ClockError as error:
            raise ValueError(str(error)) from error
        return value

    @model_validator(mode="after")
    def _real_time_in_production(self) -> Settings:
        if self.clock and self.environment == "production":
            raise ValueError(
                "HUB_CLOCK: 生产环境不允许演示时钟 / a demo clock is refused with HUB_ENVIRONMENT=production"
            )
        return self


def read_config_file() -> dict[str, Any]:
    """The members of the file named by `HUB_CONFIG`; keys in lower case without prefix. Raises `SettingsError`."""
    name = os.environ.get("HUB_CONFIG")
    if not name:
        return {}
    path = Path(name)
    try:
        raw = path.read_bytes()
        found = tomllib.loads(raw.decode()) if path.suffix == ".toml" else yaml.safe_load(raw)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise SettingsError([f"HUB_CONFIG: 无法读取 / cannot be read: {name}: {error}"]) from error
    if not isinstance(found, dict):
        raise SettingsError([f"HUB_CONFIG: {name} 应为键值表 / must be a table of keys"])
    return {str(key).lower().removeprefix(PREFIX.lower()): value for key, value in found.items()}


def load_settings(**overrides: Any) -> Settings:
    """Read and check everything; `overrides` win. Raises `SettingsError` with every problem found."""
    problems = _misspelt()
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        problems += [_in_words(dict(item)) for item in error.errors()]
    else:
        if not problems:
            return settings
    raise SettingsError(problems)


def _misspelt() -> list[str]:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    problems = []
    for name in sorted(os.environ):
        if not name.startswith(PREFIX) or name in known or name.startswith(_FOREIGN):
            continue
        near = difflib.get_close_matches(name, known, 1, _TYPO_LIKENESS)
        if near:
            problems.append(f"{name}: 没有这个设置, 是否指 {near[0]}? / no such setting, did you mean {near[0]}?")
    return problems


def _in_words(error: dict[str, Any]) -> str:
    if not error["loc"]:
        return str(error["msg"]).removeprefix("Value error, ")
    field = str(error["loc"][0])
    key = PREFIX + field.upper()
    if error["type"] == "extra_forbidden":
        return f"{key} (HUB_CONFIG): 没有这个设置 / no such setting"
    zh, en = (Settings.model_fields[field].description or " | ").split(" | ")
    if error["type"] == "missing":
        return f"{key}: 未设置 — {zh} / not set — {en}"
    reason = str(error["msg"]).removeprefix("Value error, ")
    given = "" if field == "secret_key" or field.endswith("_url") else f" ({error['input']!r})"
    return f"{key}{given}: {zh} / {en}: {reason}"


def masked(settings: Settings) -> dict[str, str]:
    """Every setting as text for people: secrets as stars, passwords in addresses hidden."""
    return {PREFIX + name.upper(): _mask(name, getattr(settings, name)) for name in type(settings).model_fields}


def _mask(name: str, value: object) -> str:
    if isinstance(value, SecretStr):
        return "********"
    if value is None:
        return ""
    if name.endswith("_url") and "@" in str(value):
        return make_url(str(value)).render_as_string(hide_password=True)
    return str(value)
