"""What runs when: jobs by CRON and TIMER, their states, and `/jobs`."""
