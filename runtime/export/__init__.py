"""What leaves the store for analysts: facts of the log and announces of the journal, in files that can be verified."""
