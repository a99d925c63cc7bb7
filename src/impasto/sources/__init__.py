"""The sources of pictures: folders, archives, tables and addresses, which are read without unpacking."""
