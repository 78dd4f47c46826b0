"""What every room needs and none is about.

check, registry                                 arguments: their checks; objects by name
files, reading, locks                           written whole or not at all; opened without waiting; one writer at a
                                                time
npz_file, zip_members, npy, fields              models' files: arrays and a header, nothing in them believed unread
machine_memory, memory_need, cgroup, batches    how much memory there is, and what fits into it
progress, announce                              what is said on the terminal
"""
