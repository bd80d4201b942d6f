"""Literal YAML in, exact error lines out: what an operator sees at night."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vestnik.configuration import Configuration, load
from vestnik.delivery.model import RetryPolicy
from vestnik.errors import ExitCode
from vestnik.settings.problems import ConfigurationError
from vestnik.settings.values import Address, Rate

CHANNELS = "channels: {nowhere: {worker: null}}\n"
STRONG = "q8Zt4Lw1Xv7Rb2Ny9Kc5Hd3Mf6Jp0Gs+uE"
PUBLIC_KEY = """-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
-----END PUBLIC KEY-----
"""
SECTIONS = "(known are auth, channels, log, mailings, quiz, retention, sandbox, service, store)"
CHANNEL_KEYS = "(known are executors, expire, on_ambiguous, params, queue, rate, retry, timeout, worker)"
DURATION = "wanted a duration such as 500ms, 30s, 5m, 2h, 1d or a number of seconds"


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def configuration(text: str, *, serving: bool = False) -> Configuration:
    Path("v.yaml").write_text(text)
    return load(Path("v.yaml"), serving=serving)


def problems(text: str, *, serving: bool = True) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        configuration(text, serving=serving)
    assert raised.value.exit_code == ExitCode.BAD_USAGE
    return str(raised.value).split("\n")


# What is right


def test_everything_but_channels_has_a_default() -> None:
    found = configuration(CHANNELS, serving=True)
    assert found.settings.service.listen == Address("127.0.0.1", 8080)
    assert found.database == Path("var/vestnik.db")
    assert found.jwt_secret_file == Path("var/secrets/jwt")
    assert found.settings.auth.send is None
    assert found.settings.sandbox is None
    assert list(found.channels) == ["nowhere"]


def test_loading_writes_nothing() -> None:
    configuration(CHANNELS, serving=True)
    assert [path.name for path in Path().iterdir()] == ["v.yaml"]


def test_a_channel_takes_all_that_the_architecture_names() -> None:
    text = """
channels:
  alerts:
    worker: telegram
    params: {token: "1:abcdefghij", chat_id: "-1001", api_server: "http://127.0.0.1:8090/telegram"}
    executors: 2
    retry: {delay: 5s, attempts: 3, factor: 2.0, max_delay: 1m}
    rate: {total: 30/s, per_recipient: 20/min}
    expire: 1d
    on_ambiguous: stop
  plain: {worker: "null", rate: 20/min, queue: memory}
"""
    found = configuration(text)
    alerts, plain = (found.channels[name].settings for name in ("alerts", "plain"))
    policy = alerts.policy()
    assert isinstance(policy, RetryPolicy)
    assert (policy.delay.total_seconds(), policy.attempts, policy.factor) == (5, 3, 2)
    assert alerts.rate.total == Rate(30, 1)
    assert alerts.rate.per_recipient == Rate(20, 60)
    assert plain.rate.total == Rate(20, 60)
    assert plain.queue == "memory"


@pytest.mark.parametrize("worker", ["null", '"null"', "'null'", "~", ""])
def test_the_null_worker_needs_no_quotes(worker: str) -> None:
    found = configuration(f"channels:\n  nowhere:\n    worker: {worker}\n")
    assert found.channels["nowhere"].settings.worker == "null"


def test_ports_that_the_system_chooses_are_never_the_same() -> None:
    text = "service: {listen: 127.0.0.1:0}\nsandbox: {listen: 127.0.0.1:0, smtp: 127.0.0.1:0}\n"
    assert configuration(CHANNELS + text).settings.sandbox


def test_a_delay_above_max_delay_is_right_where_it_does_not_grow() -> None:
    assert configuration("channels: {a: {worker: null, retry: {delay: 2h}}}\n").channels


@pytest.mark.parametrize("params", ["", "params: {}"])
def test_params_may_be_left_out(params: str) -> None:
    assert configuration(f"channels:\n  a:\n    worker: null\n    {params}\n").channels


def test_an_unquoted_json_template_keeps_its_kinds() -> None:
    text = """
channels:
  any:
    worker: sms
    params:
      gateway: http
      to: "79990000001"
      request: {url: "https://h.example/", json: {flag: true, n: 1, s: "1", none: null, to: "{phone}", t: ["{text}"]}}
"""
    params: Any = configuration(text).channels["any"].params
    wanted = {"flag": True, "n": 1, "s": "1", "none": None, "to": "{phone}", "t": ["{text}"]}
    assert params.request.json_ == wanted
    assert params.request.json_["flag"] is True


def test_all_secrets_are_known_to_who_redacts() -> None:
    text = f"""
auth: {{jwt: {{secret: "{STRONG}"}}}}
channels:
  t: {{worker: telegram, params: {{token: "1:abcdefghij", chat_id: "1"}}}}
  k: {{worker: sms, params: {{gateway: kannel, url: "http://h/", username: u, password: pass-word, from: f,
      to: "79990000001"}}}}
"""
    assert sorted(filter(None, configuration(text).secrets())) == sorted([STRONG, "1:abcdefghij", "pass-word"])


def test_channels_share_what_a_merge_gives_them() -> None:
    text = """
channels:
  a: &common {worker: null, retry: {delay: 5s}, executors: 3}
  b: {<<: *common, executors: 4}
"""
    b = configuration(text).channels["b"].settings
    assert (b.executors, b.retry.delay.total_seconds()) == (4, 5)


# What is wrong


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", ["v.yaml:1: channels: is missing"]),
        ("# nothing\n", ["v.yaml:1: channels: is missing"]),
        ("- a\n", ["v.yaml:1: found no sections, wanted keys with values", "v.yaml:1: channels: is missing"]),
        ("channels: {}\n", ["v.yaml:1: channels: wanted at least one channel"]),
        ("channels:\n", ["v.yaml:1: channels: found nothing, wanted keys with values"]),
        ("channels: x\n", ["v.yaml:1: channels: found text, wanted keys with values"]),
        (CHANNELS + "chanels: {}\n", [f'v.yaml:2: chanels: unknown key, did you mean "channels"? {SECTIONS}']),
        (CHANNELS + "service:\n", ["v.yaml:2: service: found nothing, wanted keys with values"]),
        (
            CHANNELS + "service:\n  listne: 127.0.0.1:1\n",
            [
                'v.yaml:3: service.listne: unknown key, did you mean "listen"? (known are hosts, listen, metrics, state_dir)'
            ],
        ),
        (
            CHANNELS + "service: {listen: 8080}\n",
            [
                'v.yaml:2: service.listen: found "8080", wanted an address such as 127.0.0.1:8080 or [::1]:8080',
            ],
        ),
        (CHANNELS + CHANNELS, ["v.yaml:2: channels: stands twice, first in line 1"]),
        (
            "channels:\n  a: {worker: null}\n  a: {worker: null}\n",
            ["v.yaml:3: channels.a: stands twice, first in line 2"],
        ),
        ("channels: {a: {}}\n", ["v.yaml:1: channels.a.worker: is missing"]),
        ("channels: {a: x}\n", ["v.yaml:1: channels.a: found text, wanted keys with values"]),
        ("channels: {a: {worker: [x]}}\n", ["v.yaml:1: channels.a.worker: found a list, wanted text"]),
        (
            "channels: {a b: {worker: null}}\n",
            [
                'v.yaml:1: channels: found "a b", wanted a name of letters, digits, dots, dashes and underscores',
            ],
        ),
        (
            "channels: {a: {worker: null, excutors: 2}}\n",
            [f'v.yaml:1: channels.a.excutors: unknown key, did you mean "executors"? {CHANNEL_KEYS}'],
        ),
        (
            "channels:\n  a:\n    worker: null\n    expire: 12:30\n    queue: no\n    executors: 0\n",
            [
                f'v.yaml:4: channels.a.expire: found "12:30", {DURATION}',
                "v.yaml:5: channels.a.queue: found \"no\", wanted 'durable' or 'memory'",
                'v.yaml:6: channels.a.executors: found "0", wanted at least 1',
            ],
        ),
        (
            "channels:\n  a:\n    worker: null\n    expire: 0\n    timeout: 0s\n",
            [
                'v.yaml:4: channels.a.expire: found "0", wanted more than 0s',
                'v.yaml:5: channels.a.timeout: found "0s", wanted more than 0s',
            ],
        ),
        (
            "channels:\n  a: {worker: null, retry: {delay: 1m, factor: 2, max_delay: 30s}}\n",
            [
                'v.yaml:2: channels.a.retry.max_delay: found "30s", '
                "wanted at least `delay` (60s), from which the wait grows",
            ],
        ),
        (
            "channels:\n  a: {worker: null, retry: {delay: 2h, factor: 2}}\n",
            [
                'v.yaml:2: channels.a.retry.max_delay: found "3600s", '
                "wanted at least `delay` (7200s), from which the wait grows",
            ],
        ),
        (
            "channels:\n  a:\n    worker: email\n    params: {host: h, from: a@b.test, to: a@b.test, username: u}\n",
            ["v.yaml:4: channels.a.params.password: is missing"],
        ),
        (CHANNELS + "log: {file: .}\n", ['v.yaml:2: log.file: found ".", wanted a file, and this is a folder']),
        (
            "channels: {a: {worker: null, rate: 5}}\n",
            [
                'v.yaml:1: channels.a.rate.total: found "5", wanted a rate such as 30/s, 20/min or 1000/h',
            ],
        ),
        (
            "channels: {a: {worker: null, retry: {delay: 30 s, attempts: many}}}\n",
            [
                'v.yaml:1: channels.a.retry.attempts: found "many", wanted a whole number',
                f'v.yaml:1: channels.a.retry.delay: found "30 s", {DURATION}',
            ],
        ),
        (
            "channels: {a: {worker: null, params: [x]}}\n",
            ["v.yaml:1: channels.a.params: found a list, wanted keys with values"],
        ),
        (
            "channels: {a: {worker: null, params: {dely: 1s}}}\n",
            [
                'v.yaml:1: channels.a.params.dely: unknown key, did you mean "delay"? '
                "(known are delay, fail, fail_first, log_text, recipients)",
            ],
        ),
        (
            CHANNELS + "store: postgresql://me:hunter2@host/db\n",
            [
                'v.yaml:2: store: found "postgresql://me:(not shown)@host/db", wanted sqlite:///PATH '
                "(an absolute path has four slashes); other databases come later",
            ],
        ),
        (
            CHANNELS + "store: 'sqlite:///:memory:'\n",
            [
                'v.yaml:2: store: found "sqlite:///:memory:", wanted sqlite:///PATH '
                "(an absolute path has four slashes); other databases come later",
            ],
        ),
        (
            CHANNELS + "log: {level: loud, rotate: 20, keep: 0}\n",
            [
                'v.yaml:2: log.keep: found "0", wanted at least 1',
                "v.yaml:2: log.level: found \"loud\", wanted 'debug', 'info', 'warning' or 'error'",
                'v.yaml:2: log.rotate: found "20", wanted at least 1024',
            ],
        ),
        (
            CHANNELS + "sandbox: {listen: 0.0.0.0:8090}\n",
            [
                'v.yaml:2: sandbox.listen: found "0.0.0.0:8090", wanted a loopback address such as 127.0.0.1:8090: '
                "the sandbox takes messages from anybody",
            ],
        ),
        (
            CHANNELS + "service: {listen: 127.0.0.1:1025}\nsandbox:\n  listen: localhost:1025\n",
            [
                'v.yaml:3: sandbox.smtp: found "127.0.0.1:1025", wanted another address than that of service.listen',
                'v.yaml:3: sandbox.smtp: found "127.0.0.1:1025", wanted another address than that of sandbox.listen',
                'v.yaml:4: sandbox.listen: found "localhost:1025", wanted another address than that of service.listen',
            ],
        ),
        (
            CHANNELS + "mailings:\n  report: {channel: a, at: '24:00', timezone: Moscow}\n",
            [
                'v.yaml:3: mailings.report.at: found "24:00", wanted a time of day such as "09:00", in quotes',
                'v.yaml:3: mailings.report.timezone: found "Moscow", '
                "wanted a time zone of the IANA database, such as Europe/Moscow",
            ],
        ),
        (
            'channels:\n  pager: {worker: sms, params: {gateway: probe, url: "http://a.test/", token: t, to: "79990000001"}}\n'
            "mailings: {report: {channel: pager}}\n",
            [
                'v.yaml:3: mailings.report.channel: found "pager", wanted a channel for e-mail: there is none',
            ],
        ),
        ("channels: !include none.yaml\n", ['v.yaml:1: channels: cannot read "none.yaml": there is no such file']),
    ],
)
def test_each_problem_has_its_line(text: str, wanted: list[str]) -> None:
    assert problems(text) == wanted


def test_an_unknown_worker_is_told_which_there_are() -> None:
    [problem] = problems("channels: {a: {worker: telegramm}}\n")
    assert problem.startswith('v.yaml:1: channels.a.worker: found "telegramm", wanted one of ')
    assert problem.endswith(', did you mean "telegram"?')


def test_a_key_that_cannot_be_read_is_not_also_missing() -> None:
    text = "channels: {a: {worker: telegram, params: {token: !env NONE, chat_id: [!file none, '1']}}}\n"
    assert problems(text) == [
        'v.yaml:1: channels.a.params.chat_id.0: cannot read the file "none": there is no such file',
        'v.yaml:1: channels.a.params.token: the environment has no variable "NONE"',
    ]


def test_a_missing_file_in_a_value_without_a_schema_is_an_error_too() -> None:
    text = (
        "channels: {a: {worker: sms, params: {gateway: http, to: '79990000001', "
        "request: {url: 'http://h/{phone}', json: {key: !file none, text: '{text}'}}}}}\n"
    )
    assert problems(text) == [
        'v.yaml:1: channels.a.params.request.json.key: cannot read the file "none": there is no such file'
    ]


def test_all_problems_of_all_files_come_at_once() -> None:
    Path("c.yaml").write_text("a:\n  worker: null\n  executors: x\nb:\n  worker: nul\n")
    Path("log.yaml").write_text("level: loud\n")
    text = (
        "service: {listen: x}\nlog: !include log.yaml\nchannels: !include c.yaml\n"
        "auth: {jwt: {secret: short}}\nfoo: 1\n"
    )
    assert [line.split(": ")[:2] for line in problems(text)] == [
        ["c.yaml:3", "channels.a.executors"],
        ["c.yaml:5", "channels.b.worker"],
        ["log.yaml:1", "log.level"],
        ["v.yaml:1", "service.listen"],
        ["v.yaml:4", "auth.jwt.secret"],
        ["v.yaml:5", "foo"],
    ]


def test_syntax_in_an_included_file_is_told_with_its_own_line() -> None:
    Path("c.yaml").write_text("a:\n\tworker: null\n")
    assert problems("channels: !include c.yaml\n") == [
        "c.yaml:2: channels: is not YAML: found a tab; YAML is indented with spaces"
    ]


@pytest.mark.parametrize(
    "text",
    [
        "channels: {t: {worker: telegram, params: {token: [hunter2-secret], chat_id: 1}}}",
        "channels: {t: {worker: telegram, params: hunter2-secret}}",
        "channels: {t: {worker: telegram, params: {token: hunter2-secret, chat_id: 1, nonsense: 1}}}",
        "channels: {t: {worker: telegram, params: {token: hunter2-secret}}}",
        "channels: {t: {worker: sms, params: {gateway: kannel, url: x, password: {a: hunter2-secret}}}}",
        "channels: {t: {worker: sms, params: {gateway: probe, url: 'http://h/', token: {a: hunter2-secret}, to: x}}}",
        "channels: {t: {worker: email, params: {host: h, password: [hunter2-secret]}}}",
        "auth: {jwt: {secret: [hunter2-secret]}}\nchannels: {}",
        "auth: {jwt: hunter2-secret}\nchannels: {}",
        "auth: {jwt: {secret: hunter2-secret}}\nchannels: {}",
        "service: {listen: !file s}\nchannels: {}",
        "service: {listen: !env VESTNIK_S}\nchannels: !file s",
        "store: !file s\nchannels: {a: {worker: !file s}}",
        "channels: {a: {worker: sms, params: {gateway: probe, url: 'http://u:hunter2-secret@h', token: t, to: 1}}}",
    ],
)
def test_no_error_shows_a_secret(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("s").write_text("hunter2-secret")
    monkeypatch.setenv("VESTNIK_S", "hunter2-secret")
    found = problems(text)
    assert found
    assert "hunter2" not in "\n".join(found)


# JWT secrets


@pytest.mark.parametrize(
    ("secret", "wanted"),
    [
        ("x", "is shorter than 32 bytes; leave it out, and one is made"),
        ("0123456789" * 4, "is a known sample or hardly random; leave it out, and one is made"),
        ("a" * 40, "is a known sample or hardly random; leave it out, and one is made"),
        ("my-company-secret-for-vestnik-2026-xyz", "is a known sample or hardly random; leave it out, and one is made"),
    ],
)
@pytest.mark.parametrize("serving", [True, False])
def test_a_weak_secret_is_refused_wherever_it_listens(secret: str, wanted: str, *, serving: bool) -> None:
    text = f'auth:\n  jwt:\n    secret: "{secret}"\n{CHANNELS}'
    assert problems(text, serving=serving) == [f"v.yaml:3: auth.jwt.secret: {wanted}"]


def test_a_secret_file_that_is_not_there_yet_is_made_at_the_first_start() -> None:
    found = configuration(f"auth: {{jwt: {{secret: !file here/jwt}}}}\n{CHANNELS}", serving=True)
    assert found.jwt_secret_file == Path("here/jwt")
    assert not Path("here").exists()


def test_a_secret_file_that_is_there_is_read() -> None:
    Path("jwt").write_text(STRONG + "\n")
    found = configuration(f"auth: {{jwt: {{secret: !file jwt}}}}\n{CHANNELS}")
    assert found.jwt_secret_file is None
    assert found.settings.auth.jwt.secret is not None
    assert found.settings.auth.jwt.secret.get_secret_value() == STRONG


def test_a_secret_file_that_cannot_be_read_is_not_made_anew() -> None:
    Path("jwt").write_bytes(b"\xff" * 40)
    assert problems(f"auth: {{jwt: {{secret: !file jwt}}}}\n{CHANNELS}") == [
        'v.yaml:1: auth.jwt.secret: cannot read the file "jwt": it is not UTF-8 text'
    ]


def test_shared_secrets_and_public_keys_do_not_mix() -> None:
    assert problems(f"auth: {{jwt: {{algorithms: [HS256, RS256]}}}}\n{CHANNELS}") == [
        "v.yaml:1: auth.jwt.algorithms: shared-secret (HS…) and public-key algorithms together let a public key "
        "sign tokens: choose one kind"
    ]


@pytest.mark.parametrize("algorithm", ["none", "hs256", "HS1"])
def test_other_algorithms_are_unknown(algorithm: str) -> None:
    [problem] = problems(f"auth: {{jwt: {{algorithms: [{algorithm}]}}}}\n{CHANNELS}")
    assert problem.startswith(f"v.yaml:1: auth.jwt.algorithms.0: found \"{algorithm}\", wanted 'HS256', ")


def test_a_public_key_algorithm_needs_its_key() -> None:
    assert problems(f"auth: {{jwt: {{algorithms: EdDSA}}}}\n{CHANNELS}") == [
        "v.yaml:1: auth.jwt.secret: is missing: EdDSA need the main server's public key, in PEM"
    ]
    assert problems(f"auth: {{jwt: {{algorithms: EdDSA, secret: {STRONG}}}}}\n{CHANNELS}") == [
        "v.yaml:1: auth.jwt.secret: is not a public key in PEM that fits EdDSA"
    ]
    Path("key.pem").write_text(PUBLIC_KEY)
    assert configuration(f"auth: {{jwt: {{algorithms: EdDSA, secret: !file key.pem}}}}\n{CHANNELS}")
    assert problems(f"auth: {{jwt: {{algorithms: RS256, secret: !file key.pem}}}}\n{CHANNELS}") == [
        "v.yaml:1: auth.jwt.secret: is not a public key in PEM that fits RS256"
    ]


@pytest.mark.parametrize("setting", ["max_age: 0s", 'audience: ""', 'issuer: ""', "roles: []", 'role_claim: ""'])
def test_a_check_that_checks_nothing_is_refused(setting: str) -> None:
    [problem] = problems(f"auth: {{jwt: {{{setting}}}}}\n{CHANNELS}")
    assert problem.startswith(f"v.yaml:1: auth.jwt.{setting.split(':', maxsplit=1)[0]}: ")


# Beyond loopback


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "[::1]:8080", "localhost:80", "127.9.9.9:1"])
def test_on_loopback_nothing_more_is_asked(listen: str) -> None:
    assert configuration(f'service: {{listen: "{listen}"}}\n{CHANNELS}', serving=True)


def test_on_loopback_keyless_callers_know_it_by_names_that_are_listed() -> None:
    service = '{listen: "127.9.9.9:1", hosts: [vestnik.example.org, "[2001:db8::1]"]}'
    found = configuration(f"service: {service}\n{CHANNELS}").settings.service.keyless_hosts()
    assert found == ("localhost", "127.0.0.1", "[::1]", "127.9.9.9", "vestnik.example.org", "[2001:db8::1]")
    beyond = configuration(f'service: {{listen: "[::]:1", hosts: a}}\n{CHANNELS}').settings.service
    assert beyond.keyless_hosts() is None


@pytest.mark.parametrize("host", ["vestnik.example.org:8080", "http://a", "a b", "2001:db8::1"])
def test_a_host_is_a_name_without_a_port(host: str) -> None:
    assert problems(f'service: {{hosts: ["{host}"]}}\n{CHANNELS}') == [
        f'v.yaml:1: service.hosts.0: found "{host}", wanted a name without a port, such as vestnik.example.org'
    ]


@pytest.mark.parametrize("listen", ["0.0.0.0:8080", "[::]:8080", "192.0.2.1:8080", "vestnik.example:8080"])
def test_beyond_loopback_it_wants_a_secret_and_a_decision(listen: str) -> None:
    assert problems(f'{CHANNELS}service: {{listen: "{listen}"}}\n') == [
        "v.yaml:2: auth.jwt.secret: listening beyond this machine needs a secret, and var/secrets/jwt is not there: "
        "`vestnik token` makes it",
        f"v.yaml:2: auth.send: listening on {listen}, beyond this machine, needs a decision: auth.send: open or key",
    ]


def test_the_commands_that_prepare_it_do_not_ask_for_what_they_make() -> None:
    assert configuration(f"service: {{listen: 0.0.0.0:80}}\n{CHANNELS}", serving=False)


@pytest.mark.parametrize("send", ["open", "key"])
def test_with_both_it_may_listen_beyond_loopback(send: str) -> None:
    beyond = f"service: {{listen: 0.0.0.0:80}}\n{CHANNELS}"
    assert configuration(f'{beyond}auth: {{send: {send}, jwt: {{secret: "{STRONG}"}}}}\n', serving=True)
    Path("var/secrets").mkdir(parents=True)
    Path("var/secrets/jwt").write_text(STRONG)
    assert configuration(f"{beyond}auth: {{send: {send}}}\n", serving=True)
