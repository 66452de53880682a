"""What is moved: canonical entities, their fields, references, and the records, writes and outcomes of systems."""
