"""Sources for rows in this process."""
