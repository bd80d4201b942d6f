"""What a user would pick instead. Each module runs in the peers' own virtual environment, and imports one peer."""
