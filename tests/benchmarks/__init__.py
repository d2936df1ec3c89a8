"""What `make bench` runs: the cost of authentication, ours beside the peers'. Nothing here is part of `make test`."""
