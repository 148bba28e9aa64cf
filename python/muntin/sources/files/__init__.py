"""Sources for files: text and Parquet, one file, several, or a folder that grows."""
