"""All workers there are: this table, and what installed packages offer under the entry point `vestnik.workers`."""

from __future__ import annotations

from vestnik.delivery.workers.worker import Worker
from vestnik.settings.catalogue import Catalogue

GROUP = "vestnik.workers"

#: Imported on first use: a library that no channel needs costs nothing.
WORKERS = {
    "null": "vestnik.delivery.workers.null:NullWorker",
    "telegram": "vestnik.delivery.workers.telegram:TelegramWorker",
    "sms": "vestnik.delivery.workers.sms:SmsWorker",
    "email": "vestnik.delivery.workers.email:EmailWorker",
}

_CATALOGUE: Catalogue[Worker] = Catalogue(GROUP, WORKERS, Worker)

worker_names = _CATALOGUE.names
find_worker = _CATALOGUE.find
