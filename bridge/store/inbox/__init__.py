"""How an event is kept: read what the database knows, decide, write."""
