"""What pictures come from: folders, archives and tables, read where they lie."""
