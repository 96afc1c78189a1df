"""Complete designs with the ports that other tools expect."""
