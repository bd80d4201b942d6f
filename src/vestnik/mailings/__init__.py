"""Mailings: clients, who gets what when, and the figures. Delivery carries the messages."""
