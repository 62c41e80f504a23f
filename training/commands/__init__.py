"""What the command line does, a file for each command. ``training.__main__`` reads the arguments."""
