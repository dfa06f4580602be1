"""What a framework needs to be met half-way. Each module here imports its framework; nothing else here does."""
