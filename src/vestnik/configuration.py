"""The whole configuration: which sections there are, and what only shows when one sees several of them together."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError

from vestnik.delivery.build import ConfiguredChannel
from vestnik.delivery.settings import ChannelSettings, worker_name
from vestnik.delivery.workers.catalogue import find_worker
from vestnik.delivery.workers.worker import WorkerSettings
from vestnik.mailings.settings import MailingsSettings
from vestnik.runtime.log import LogSettings
from vestnik.sandbox.settings import SandboxSettings
from vestnik.settings.catalogue import BrokenEntry, UnknownEntry
from vestnik.settings.document import ABSENT, Document, Hidden, Key, MissingFile, read_document
from vestnik.settings.problems import Problem, did_you_mean, quoted
from vestnik.settings.validation import raise_problems, secrets_in, validate
from vestnik.settings.values import Address, AddressValue, Duration, OneOrMore, Section, is_loopback_host
from vestnik.web.auth import AuthSettings, public_key_problem, secret_problem
from vestnik.web.foreign_pages import LOOPBACK_NAMES

if TYPE_CHECKING:
    from vestnik.quiz.settings import ConfiguredQuiz

_CHANNEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def _host_name(value: Any) -> str:
    if not re.fullmatch(r"[\w.-]{1,253}|\[[0-9A-Fa-f:.]+\]", str(value), re.ASCII):
        raise ValueError("a name without a port, such as vestnik.example.org")
    return str(value)


class ServiceSettings(Section):
    listen: AddressValue = Address("127.0.0.1", 8080)
    hosts: OneOrMore[Annotated[str, BeforeValidator(_host_name)]] = ()  # what else a reverse proxy calls it, in `Host`
    state_dir: Path = Path("var")  # database, generated secrets, logs, the maintenance flag
    metrics: Literal["loopback", "open"] = "loopback"

    @property
    def own_jwt_secret(self) -> Path:
        """Where the daemon keeps the secret that it makes, unless the configuration names another file."""
        return self.state_dir / "secrets" / "jwt"

    def keyless_hosts(self) -> tuple[str, ...] | None:
        """The names that a caller without credentials may use; None: any, where others are to reach the daemon."""
        if not is_loopback_host(self.listen.host):
            return None
        listen = str(self.listen).rpartition(":")[0]
        return (*LOOPBACK_NAMES, listen, *self.hosts)


def _sqlite_path(value: Any) -> Path:
    match = re.fullmatch(r"sqlite:///(.+)", str(value))
    if match is None or match[1] == ":memory:":
        raise ValueError("sqlite:///PATH (an absolute path has four slashes); other databases come later")
    return Path(match[1])


class Settings(Section):
    service: ServiceSettings = ServiceSettings()
    store: Annotated[Path, BeforeValidator(_sqlite_path)] | None = None
    retention: Annotated[Duration, Field(ge=timedelta(days=2))] = timedelta(days=30)  # of what ended
    log: LogSettings = LogSettings()
    auth: AuthSettings = AuthSettings()
    channels: dict[str, ChannelSettings]
    quiz: dict[str, Any] | None = Field(default=None, repr=False)  # as it is written; checked by quiz.settings
    mailings: MailingsSettings = MailingsSettings()
    sandbox: SandboxSettings | None = None


@dataclass(frozen=True)
class Configuration:
    """Everything checked. `channels` pairs each channel with its worker's own settings."""

    path: Path
    settings: Settings
    channels: dict[str, ConfiguredChannel]
    quiz: ConfiguredQuiz | None
    jwt_secret_file: Path | None  # made at the first start; None when the secret stands in the configuration

    @property
    def database(self) -> Path:
        return self.settings.store or self.settings.service.state_dir / "vestnik.db"

    def secrets(self) -> Iterator[str]:
        """All that must not show in logs and errors; without the secret that the daemon makes itself."""
        yield from secrets_in(self.settings)
        for channel in self.channels.values():
            yield from secrets_in(channel.params)
        if self.quiz:
            yield from self.quiz.secrets()


def load(path: Path, *, serving: bool = False) -> Configuration:
    """Raises ConfigurationError with every problem at once; nothing is started or written.

    `serving` asks also for what a daemon needs that others can reach; `vestnik token` makes the secret that it needs.
    """
    document = read_document(path)
    value = document.value if isinstance(document.value, dict) else _no_mapping(document)
    secret_file = _own_secret(document, value)
    settings = validate(Settings, document, value)
    # The workers' own settings are checked even when another section is wrong: all problems at once.
    channels = dict(_channels(document, value.get("channels")))
    quiz = _quiz(document, value.get("quiz"))
    _check_secret(document, value.get("auth"))
    if settings is not None and settings.sandbox:
        _check_addresses(document, settings.service.listen, settings.sandbox)
    if settings is not None and settings.mailings.report:
        _check_report(document, settings.mailings.report.channel, channels)
    if settings is not None and serving and not is_loopback_host(settings.service.listen.host):
        _check_beyond_loopback(document, settings, secret_file)
    raise_problems(document)
    assert settings is not None  # noqa: S101 - no problems, so it was valid
    if settings.auth.jwt.secret is None and secret_file is None:
        secret_file = settings.service.own_jwt_secret
    return Configuration(path, settings, channels, quiz, secret_file)


def _no_mapping(document: Document) -> dict[str, Any]:
    document.problems.append(Problem(document.place_of(()), "", "found no sections, wanted keys with values"))
    return {}


def _own_secret(document: Document, value: dict[str, Any]) -> Path | None:
    """The file that `auth.jwt.secret` names when it is not there yet: the daemon makes it at its first start."""
    auth = value.get("auth")
    jwt = auth.get("jwt") if isinstance(auth, dict) else None
    if not isinstance(jwt, dict):
        return None
    found = jwt.get("secret")
    if not isinstance(found, MissingFile) or found.cause != ABSENT:
        return None
    jwt["secret"] = None
    del document.missing["auth", "jwt", "secret"]
    return found.path


def _channels(document: Document, value: Any) -> Iterator[tuple[str, ConfiguredChannel]]:
    if not isinstance(value, dict):
        return
    if not value:
        document.problems.append(Problem(document.place_of(("channels",)), "channels", "wanted at least one channel"))
    for name, raw in value.items():
        key: Key = ("channels", name)
        if not _CHANNEL_NAME.fullmatch(name):
            what = f"found {quoted(name)}, wanted a name of letters, digits, dots, dashes and underscores"
            document.problems.append(Problem(document.place_of(key), "channels", what))
        configured = _channel(document, key, raw) if isinstance(raw, dict) and "worker" in raw else None
        if configured:
            yield name, configured


def _channel(document: Document, key: Key, raw: dict[str, Any]) -> ConfiguredChannel | None:
    worker = worker_name(raw["worker"])
    if not isinstance(worker, str):  # said already, with the document as a whole
        return None
    try:
        schema = find_worker(worker).Settings
    except UnknownEntry as error:
        found = "what !file or !env gave (not shown)" if isinstance(worker, Hidden) else quoted(worker)
        what = f"found {found}, wanted one of {', '.join(error.known)}{did_you_mean(worker, error.known)}"
        document.problems.append(Problem(document.place_of((*key, "worker")), _dotted(key, "worker"), what))
        return None
    except BrokenEntry as error:
        document.problems.append(Problem(document.place_of((*key, "worker")), _dotted(key, "worker"), str(error)))
        return None
    params: WorkerSettings | None = validate(schema, document, raw.get("params") or {}, (*key, "params"))
    try:
        settings = ChannelSettings.model_validate({**raw, "params": {}})
    except ValueError:  # said already, with the document as a whole
        return None
    return ConfiguredChannel(settings, params) if params is not None else None


def _quiz(document: Document, value: Any) -> ConfiguredQuiz | None:
    if not isinstance(value, dict):  # not there, or said already, with the document as a whole
        return None
    from vestnik.quiz.settings import configured_quiz  # noqa: PLC0415 - without the section nothing of it is loaded

    return configured_quiz(document, ("quiz",), value)


def _check_report(document: Document, name: str, channels: Mapping[str, ConfiguredChannel]) -> None:
    channel = channels.get(name)
    if channel is not None and find_worker(channel.settings.worker).takes_subject:
        return
    fitting = [known for known, one in channels.items() if find_worker(one.settings.worker).takes_subject]
    wanted = f"wanted a channel for e-mail: {', '.join(fitting) or 'there is none'}"
    place = document.place_of(("mailings", "report", "channel"))
    document.problems.append(Problem(place, "mailings.report.channel", f"found {quoted(name)}, {wanted}"))


def _check_addresses(document: Document, listen: Address, sandbox: SandboxSettings) -> None:
    """What the first of them listens on keeps out the others, and the daemon would not start."""
    taken = [("service.listen", listen)]
    for name, address in (("listen", sandbox.listen), ("smtp", sandbox.smtp)):
        key = _dotted(("sandbox",), name)
        for other in (other for other, used in taken if used.overlaps(address)):
            what = f"found {quoted(address)}, wanted another address than that of {other}"
            document.problems.append(Problem(document.place_of(("sandbox", name)), key, what))
        taken.append((key, address))


def _dotted(key: Key, last: str) -> str:
    return ".".join(map(str, (*key, last)))


def _check_secret(document: Document, auth: Any) -> None:
    """Looks at its own section only, so that it is heard also when another section is wrong."""
    try:
        jwt = AuthSettings.model_validate(auth or {}).jwt
    except ValidationError:  # said already, with the document as a whole
        return
    secret = jwt.secret.get_secret_value() if jwt.secret else ""
    what: str | None
    if len({algorithm[:2] == "HS" for algorithm in jwt.algorithms}) > 1:
        what = "shared-secret (HS…) and public-key algorithms together let a public key sign tokens: choose one kind"
        document.problems.append(Problem(document.place_of(("auth", "jwt", "algorithms")), "auth.jwt.algorithms", what))
        return
    if jwt.algorithms[0].startswith("HS"):
        weak = secret_problem(secret, jwt.algorithms) if secret else None
        what = weak and f"{weak}; leave it out, and one is made"
    else:
        what = public_key_problem(secret, jwt.algorithms)
    if what:
        document.problems.append(Problem(document.place_of(("auth", "jwt", "secret")), "auth.jwt.secret", what))


def _check_beyond_loopback(document: Document, settings: Settings, secret_file: Path | None) -> None:
    """What is right by itself and wrong for a daemon that others can reach."""
    listen = document.place_of(("service", "listen"))
    if settings.auth.send is None:
        what = f"listening on {settings.service.listen}, beyond this machine, needs a decision: auth.send: open or key"
        document.problems.append(Problem(listen, "auth.send", what))
    path = secret_file or settings.service.own_jwt_secret
    if settings.auth.jwt.secret is None and not path.exists():
        what = f"listening beyond this machine needs a secret, and {path} is not there: `vestnik token` makes it"
        document.problems.append(Problem(listen, "auth.jwt.secret", what))
