"""Vestnik: one daemon that gets messages out, now, later or on schedule."""
