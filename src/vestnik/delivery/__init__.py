"""Messages on their way out: channel, queue, worker, state machine.

Begin with `model` (what a task is and how it ends), then `execution` (the loop), `queues` and `workers`.
"""
