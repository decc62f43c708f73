"""IP packets, UDP datagrams, link layers and fragments on bytes."""
