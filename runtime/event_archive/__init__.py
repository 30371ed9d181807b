"""The oldest events of the log in files: byte for byte what they were, and still read by whoever asks for them."""
