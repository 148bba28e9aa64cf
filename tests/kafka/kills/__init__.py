"""Workers that are killed, and a verifier that knows only what is in the topics."""
