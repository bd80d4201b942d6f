"""What every long-running part needs and no domain knows: service, clock, maintenance, log, secrets."""
