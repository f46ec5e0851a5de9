"""The only room that awaits the network."""
