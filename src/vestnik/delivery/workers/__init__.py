"""The ways out. `worker` says what one is, `catalogue` lists them; each other module is one worker."""
