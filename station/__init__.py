"""What the processes share: configuration, messages, sockets, clock, supervisor, dashboard."""
