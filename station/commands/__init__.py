"""What a running station can be asked from outside: the command socket, who listens there, and who asks."""
