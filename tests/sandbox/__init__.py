"""The sandbox: what it accepts, refuses, stores and answers."""
