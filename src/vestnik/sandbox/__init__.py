"""The far sides on loopback, to watch the daemon deliver, fail and recover without an account anywhere.

`far_side` says what one is; `bot_api`, `sms_gateways` and `mail_server` are them; `sandbox` runs all of them and
serves the inbox page. The tests use the same far sides.
"""
