"""What every room needs and no room is about: checks of arguments, files, memory, progress."""
