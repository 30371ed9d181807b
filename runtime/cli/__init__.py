"""The command line: `main` puts it together, each module beside it has the sub-commands of one subject."""
