"""The e-mail worker against a real Postfix (Debian: postfix), with a configuration, a queue and a port of its own.

Nothing of the machine's own Postfix is read or touched. Postfix can be started by root only.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import smtplib
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import trustme
from programs import require_program, require_root

from vestnik.delivery.model import MessageId, Task, TaskId
from vestnik.delivery.workers.email import EmailWorker
from vestnik.delivery.workers.email_settings import EmailSettings
from vestnik.delivery.workers.worker import Refused, Unavailable

pytestmark = pytest.mark.service

PATIENCE = 60.0
SUBJECT = "Обед в полдень, и ещё много слов, чтобы тема не поместилась в одну строку заголовка"
TEXT = "Щи.\n.борщ\n..\n.\nкомпот"
NOBODY = 65534

MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = /dev/stdout
myhostname = mx.example.test
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
local_recipient_maps =
default_transport = error:nothing leaves this machine
virtual_mailbox_domains = example.test
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = inline:{{ {{ a@example.test = a/ }}, {{ later@example.test = a/ }} }}
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
message_size_limit = 50000
smtpd_recipient_restrictions =
    check_recipient_access inline:{{ {{ later@example.test = 450 4.2.1 come back later }} }}
    reject_unauth_destination
smtpd_tls_chain_files = {folder}/server.pem
smtpd_tls_security_level = may
smtpd_tls_received_header = yes
"""

MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
127.0.0.1:{hasty} inet n - n - - smtpd -o smtpd_timeout=1s
cleanup unix n - n - 0 cleanup
qmgr    unix n - n 300 1 qmgr
tlsmgr  unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce  unix - - n - 0 bounce
defer   unix - - n - 0 bounce
trace   unix - - n - 0 bounce
verify  unix - - n - 1 verify
flush   unix n - n 1000? 0 flush
error   unix - - n - - error
retry   unix - - n - - error
virtual unix - n n - - virtual
anvil   unix - - n - 1 anvil
scache  unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


@dataclass
class Postfix:
    folder: Path
    port: int
    hasty: int  # of a service that ends connections after one idle second

    log_from: int = 0

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[self.log_from :]

    def arrived(self) -> list[Path]:
        return sorted((self.folder / "mail" / "a" / "new").glob("*"))

    async def mail(self) -> EmailMessage:
        """The only one that arrived."""
        await until(lambda: bool(self.arrived()))
        (path,) = self.arrived()
        message = message_from_bytes(path.read_bytes(), policy=policy.default)
        assert isinstance(message, EmailMessage)
        return message


@pytest.fixture(scope="module")
def server() -> Iterator[Postfix]:
    """One for all tests, as it takes seconds to start."""
    program = require_program("postfix")
    require_root("postfix")
    # Not pytest's own folder, which nobody but its owner can enter: Postfix's programs run as several users.
    folder = Path(tempfile.mkdtemp(prefix="vestnik-postfix-"))
    folder.chmod(0o755)
    server = Postfix(folder, *free_ports(2))
    configure(server, trustme.CA())
    with (folder / "log").open("wb") as output:
        launcher = subprocess.Popen(
            [program, "-c", str(folder / "etc"), "start-fg"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            umask=0o022,
        )
    try:
        wait_for_greeting(server, launcher)
        yield server
    finally:
        end(server, launcher)
        shutil.rmtree(folder)


@pytest.fixture
def postfix(server: Postfix) -> Postfix:
    """With an empty mailbox, and a log from here on."""
    for path in server.arrived():
        path.unlink()
    return replace(server, log_from=len(server.log))


def configure(postfix: Postfix, authority: trustme.CA) -> None:
    folder = postfix.folder
    for name in ("etc", "queue", "data", "mail"):
        (folder / name).mkdir()
        (folder / name).chmod(0o755)  # whatever the umask
    shutil.chown(folder / "data", "postfix")
    os.chown(folder / "mail", NOBODY, NOBODY)
    (folder / "etc" / "main.cf").write_text(MAIN.format(folder=folder))
    (folder / "etc" / "master.cf").write_text(MASTER.format(port=postfix.port, hasty=postfix.hasty))
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    authority.cert_pem.write_to_path(folder / "ca.pem")


def wait_for_greeting(postfix: Postfix, launcher: subprocess.Popen[bytes]) -> None:
    latest = time.monotonic() + PATIENCE
    while time.monotonic() < latest:
        assert launcher.poll() is None, f"Postfix ended before it listened: {postfix.log}"
        try:
            with smtplib.SMTP("127.0.0.1", postfix.port, local_hostname="localhost", timeout=PATIENCE):
                return
        except ConnectionRefusedError:
            time.sleep(0.02)
    pytest.fail(f"Postfix does not listen: {postfix.log}")


def end(postfix: Postfix, launcher: subprocess.Popen[bytes]) -> None:
    """The launcher waits for the master, which leads a process group of its own and takes that with it."""
    pid_file = postfix.folder / "queue" / "pid" / "master.pid"
    master = int(pid_file.read_text()) if pid_file.exists() else launcher.pid
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(master, number)
        try:
            launcher.wait(timeout=5)
            break
        except subprocess.TimeoutExpired:
            continue
    latest = time.monotonic() + 5
    while group_lives(master) and time.monotonic() < latest:
        time.sleep(0.02)
    assert not group_lives(master)


def group_lives(leader: int) -> bool:
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return False
    return True


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.02)


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@asynccontextmanager
async def worker_for(postfix: Postfix, **params: Any) -> AsyncIterator[EmailWorker]:
    usual = {
        "host": "127.0.0.1",
        "port": postfix.port,
        "tls": "none",
        "from": "Вестник <v@example.test>",
        "to": "a@example.test",
        "helo": "tests.example.test",
    }
    worker = EmailWorker(EmailSettings.model_validate(usual | params), "office-mail")
    try:
        async with asyncio.timeout(PATIENCE):
            yield worker
    finally:
        await worker.stop()


def a_task(recipient: str = "a@example.test", text: str = TEXT) -> Task:
    return Task(
        id=TaskId(42),
        message_id=MessageId(41),
        channel="office-mail",
        recipient=recipient,
        text=text,
        subject=SUBJECT,
    )


def text_of(mail: EmailMessage) -> str:
    return str(mail.get_content()).replace("\r\n", "\n").removesuffix("\n")


async def test_a_mail_is_queued_and_lands_in_the_mailbox_as_it_was_written(postfix: Postfix) -> None:
    async with worker_for(postfix) as worker:
        receipt = await worker.deliver(a_task())
    queued = re.fullmatch(r"2\.0\.0 Ok: queued as (\w+)", receipt or "")
    assert queued, receipt
    mail = await postfix.mail()
    assert mail["Subject"] == SUBJECT
    assert str(mail["From"]) == "Вестник <v@example.test>"
    assert mail["To"].addresses[0].addr_spec == "a@example.test"
    assert mail["Delivered-To"] == "a@example.test"
    assert text_of(mail) == TEXT
    assert not mail.defects
    await until(lambda: re.search(rf"{queued[1]}: .*status=sent", postfix.log) is not None)
    assert f"message-id={mail['Message-ID']}" in postfix.log


async def test_a_plain_text_with_dots_lands_as_it_was_written(postfix: Postfix) -> None:
    text = ".\n..\n.plain \n\n" + "x" * 998
    async with worker_for(postfix) as worker:
        await worker.deliver(a_task(text=text))
    mail = await postfix.mail()
    assert mail["Content-Transfer-Encoding"] == "7bit"
    assert text_of(mail) == text


async def test_starttls_with_our_own_authority(postfix: Postfix) -> None:
    async with worker_for(postfix, tls="starttls", ca_file=str(postfix.folder / "ca.pem")) as worker:
        await worker.deliver(a_task())
        await worker.deliver(a_task())
    await until(lambda: len(postfix.arrived()) == 2)
    assert b"using TLS" in postfix.arrived()[0].read_bytes()


async def test_a_certificate_of_an_unknown_authority_is_not_trusted(postfix: Postfix) -> None:
    async with worker_for(postfix, tls="starttls") as worker:
        with pytest.raises(Unavailable, match="is not trusted: ") as caught:
            await worker.deliver(a_task())
    assert not caught.value.maybe_sent


async def test_an_unknown_recipient_is_refused_and_the_connection_goes_on(postfix: Postfix) -> None:
    async with worker_for(postfix) as worker:
        with pytest.raises(Refused, match=r"550 5\.1\.1 .*User unknown"):
            await worker.deliver(a_task("nobody@example.test"))
        with pytest.raises(Refused, match=r"554 5\.7\.1 .*Relay access denied"):
            await worker.deliver(a_task("a@elsewhere.test"))
        await worker.deliver(a_task())
    await postfix.mail()
    assert len(re.findall(r"smtpd\[\d+\]: connect from", postfix.log)) == 1


async def test_a_450_is_for_later(postfix: Postfix) -> None:
    async with worker_for(postfix) as worker:
        with pytest.raises(Unavailable, match=r"450 4\.2\.1 .*come back later") as caught:
            await worker.deliver(a_task("later@example.test"))
    assert not caught.value.maybe_sent


async def test_a_mail_that_is_too_large_is_refused_before_it_is_sent(postfix: Postfix) -> None:
    async with worker_for(postfix) as worker:
        with pytest.raises(Refused, match=r"552 5\.3\.4 .*\(answer to MAIL\)"):
            await worker.deliver(a_task(text="ё" * 50_000))
        await worker.deliver(a_task())
    await postfix.mail()


async def test_a_connection_that_postfix_ended_for_idling_is_replaced(postfix: Postfix) -> None:
    async with worker_for(postfix, port=postfix.hasty) as worker:
        await worker.deliver(a_task())
        await until(lambda: "timeout after" in postfix.log)
        await worker.deliver(a_task())
    await until(lambda: len(postfix.arrived()) == 2)


async def test_both_copies_of_a_mail_sent_twice_bear_one_message_id(postfix: Postfix) -> None:
    async with worker_for(postfix) as worker:
        await asyncio.gather(worker.deliver(a_task()), worker.deliver(a_task()))
    await until(lambda: len(postfix.arrived()) == 2)
    ids = {message_from_bytes(path.read_bytes())["Message-ID"] for path in postfix.arrived()}
    assert len(ids) == 1
